"""What the service takes and gives. FastAPI checks each request against it."""

from datetime import datetime

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from wineops import settings

ALIAS = "champion"


class Wine(BaseModel):
    """The measurements of one wine, under the names that the table has."""

    # strict: "9.4" is a text. forbid: a misspelt field is refused.
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    fixed_acidity: float = Field(alias="fixed acidity", ge=0, le=30, description="in g/l")
    volatile_acidity: float = Field(alias="volatile acidity", ge=0, le=5, description="in g/l")
    citric_acid: float = Field(alias="citric acid", ge=0, le=5, description="in g/l")
    residual_sugar: float = Field(alias="residual sugar", ge=0, le=200, description="in g/l")
    chlorides: float = Field(ge=0, le=5, description="in g/l")
    free_sulfur_dioxide: float = Field(
        alias="free sulfur dioxide", ge=0, le=400, description="in mg/l"
    )
    total_sulfur_dioxide: float = Field(
        alias="total sulfur dioxide", ge=0, le=600, description="in mg/l"
    )
    density: float = Field(ge=0.9, le=1.2, description="in g/cm3")
    pH: float = Field(ge=2, le=5, description="the pH value")
    sulphates: float = Field(ge=0, le=5, description="in g/l")
    alcohol: float = Field(ge=5, le=20, description="in % by volume")


EXAMPLE = {
    "fixed acidity": 7.4,
    "volatile acidity": 0.7,
    "citric acid": 0.0,
    "residual sugar": 1.9,
    "chlorides": 0.076,
    "free sulfur dioxide": 11.0,
    "total sulfur dioxide": 34.0,
    "density": 0.9978,
    "pH": 3.51,
    "sulphates": 0.56,
    "alcohol": 9.4,
}
FIELDS = list(Wine.model_fields)
COLUMNS = pd.Index(field.alias or name for name, field in Wine.model_fields.items())


class Wines(BaseModel):
    """One wine or many."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"wines": [EXAMPLE]}]}
    )

    wines: list[Wine] = Field(min_length=1, max_length=10_000)


class Predictions(BaseModel):
    """A quality for each wine, in their order, and the version that predicted all of them."""

    version: str
    predictions: list[float]


class Health(BaseModel):
    """The version in use, since when, and what is wrong; "" where nothing is."""

    model: str = settings.registered_name
    alias: str = ALIAS
    version: str | None = None
    since: datetime | None = None
    problem: str


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


def table_of(wines):
    """The wines as a table with the columns that the model was trained on."""
    rows = [[getattr(wine, name) for name in FIELDS] for wine in wines]
    return pd.DataFrame(np.array(rows), columns=COLUMNS)
