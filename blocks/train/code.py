# %% import-argparse (given, script)
import argparse

# %% import-pathlib (given)
from pathlib import Path

# %% import-pandas (given)
import pandas as pd

# %% import-models (given)
from sklearn.linear_model import ElasticNet

# %% import-selection (given)
from sklearn.model_selection import train_test_split

# %% course (given, script)
here = Path(__file__).resolve().parent
course = here.parent if here.name in ("my", "solutions") else here

# %% course (given, notebook)
course = Path.cwd().parent

# %% parser (given, script)
parser = argparse.ArgumentParser(description="Train a model of wine quality.")
parser.add_argument("--data", type=Path, default=course / "data" / "red-wine-quality.csv")

# %% parse (given, script)
arguments = parser.parse_args()

# %% data-file (given, script)
data_file = arguments.data
if not data_file.is_file():
    parser.error(f"there is no table at {data_file}: name one with --data FILE")

# %% data-file (given, notebook)
data_file = course / "data" / "red-wine-quality.csv"

# %% read
#: read the table at data_file into `wine`; its columns are separated
#: by semicolons. Keep each row once: drop those that repeat an earlier
#: one.
#: hint: pandas reads such a table with `pd.read_csv`. Which argument names the separator? The table
#: that it returns has a method that drops duplicates.
#: hint: `wine = pd.read_csv(data_file, sep=";").drop_duplicates()`
wine = pd.read_csv(data_file, sep=";").drop_duplicates()

# %% split
#: put the eleven measurements into `X`, without the column
#: "quality", and the quality into `y`. Then split both into X_train,
#: X_test, y_train and y_test: a quarter for the test, random_state=42.
#: hint: `wine.drop(columns=...)` leaves a column out, `wine[...]` takes one. `train_test_split`
#: returns four parts, in the order X_train, X_test, y_train, y_test.
#: hint: `X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25,
#: random_state=42)`
X = wine.drop(columns="quality")
y = wine["quality"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)

# %% model
#: create an ElasticNet called `model`, with alpha=0.5, l1_ratio=0.3
#: and random_state=42.
#: hint: The class is imported in the first cell. The three numbers are its arguments.
#: hint: `model = ElasticNet(alpha=0.5, l1_ratio=0.3, random_state=42)`
model = ElasticNet(alpha=0.5, l1_ratio=0.3, random_state=42)

# %% fit
#: train the model on the training wines, and only on them.
#: hint: You train a scikit-learn model with `fit`. Which two of the four parts may it see?
#: hint: `model.fit(X_train, y_train)`
model.fit(X_train, y_train)

# %% predict
#: predict the quality of the test wines, as `predictions`.
#: hint: The model hasn't seen `X_test` yet. Its method is named after what you want.
#: hint: `predictions = model.predict(X_test)`
predictions = model.predict(X_test)

# %% show
#: print the first five predictions.
#: hint: A slice takes the first five of many: `something[:5]`.
#: hint: `print(predictions[:5])`
print(predictions[:5])
