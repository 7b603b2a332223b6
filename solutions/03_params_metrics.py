"""Wine Lab, block 3: Log params and metrics.

Built by `make build`. Edit blocks/params_metrics/code.py and build again, not this file.
"""

import argparse
from pathlib import Path

import mlflow
import pandas as pd
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split


def eval_metrics(actual, predicted):
    """How far predictions are from the truth: RMSE, MAE and R2."""
    return {
        "rmse": root_mean_squared_error(actual, predicted),
        "mae": mean_absolute_error(actual, predicted),
        "r2": r2_score(actual, predicted),
    }


# 1. Settings
here = Path(__file__).resolve().parent
course = here.parent if here.name in ("my", "solutions") else here
parser = argparse.ArgumentParser(description="Train a model of wine quality.")
parser.add_argument("--data", type=Path, default=course / "data" / "red-wine-quality.csv")
parser.add_argument("--alpha", type=float, default=0.5, help="how strong the penalty is")
parser.add_argument("--l1-ratio", type=float, default=0.3, help="0 is ridge, 1 is lasso")
arguments = parser.parse_args()
data_file = arguments.data
if not data_file.is_file():
    parser.error(f"there is no table at {data_file}: name one with --data FILE")
alpha = arguments.alpha
l1_ratio = arguments.l1_ratio

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
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    model.fit(X_train, y_train)
    predictions = model.predict(X_test)

    mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})
    metrics = eval_metrics(y_test, predictions)
    mlflow.log_metrics(metrics)

# 5. Look at the result
print(predictions[:5])
for name, value in metrics.items():
    print(f"{name}: {value:.3f}")
