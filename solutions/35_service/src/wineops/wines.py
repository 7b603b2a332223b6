"""The wine tables: read them, split them, and tell new wines from known ones."""

import pandas as pd
from sklearn.model_selection import train_test_split

from wineops import settings


def read_table(name="red-wine-quality.csv"):
    """Read a table of the data folder: eleven measurements and the quality, as floats."""
    path = settings.data_folder / name
    if not path.is_file():
        raise SystemExit(f"There is no table at {path}: name its folder in WINEOPS_DATA.")
    return pd.read_csv(path, sep=";").astype("float64")


def split(wines):
    """Split a table as in the whole course: three quarters of the rows train, the rest test."""
    return train_test_split(wines, test_size=0.25, random_state=42)


def only_new(test, train):
    """Keep the test rows that stand neither in the training table nor further up in the test."""
    repeated = pd.concat([train, test]).duplicated()[len(train) :]
    return test[~repeated]
