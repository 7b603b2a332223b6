"""Wine Lab, block 2: Start a run.

Built by `make build`. Edit blocks/run/code.py and build again, not this file.
"""

import argparse
from pathlib import Path

import mlflow
import pandas as pd
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import train_test_split

# 1. Settings
here = Path(__file__).resolve().parent
course = here.parent if here.name in ("my", "solutions") else here
parser = argparse.ArgumentParser(description="Train a model of wine quality.")
parser.add_argument("--data", type=Path, default=course / "data" / "red-wine-quality.csv")
arguments = parser.parse_args()
data_file = arguments.data
if not data_file.is_file():
    parser.error(f"there is no table at {data_file}: name one with --data FILE")

# MLflow, and where it writes
mlflow_version = mlflow.__version__
print("MLflow", mlflow_version)
tracking_uri = mlflow.get_tracking_uri()
print("Runs go to", tracking_uri)
experiment = mlflow.set_experiment("wine-quality")
print("Experiment", experiment.name, "has the id", experiment.experiment_id)

# 2. The wine table; a quarter of it is kept for the test
wine = pd.read_csv(data_file, sep=";").drop_duplicates()
X = wine.drop(columns="quality")
y = wine["quality"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)

# 4. Train
with mlflow.start_run(run_name="elasticnet"):
    model = ElasticNet(alpha=0.5, l1_ratio=0.3, random_state=42)
    model.fit(X_train, y_train)
    predictions = model.predict(X_test)

# 5. Look at the result
print(predictions[:5])
