"""Wine Lab, block 8: Tags and search.

Built by `make build`. Edit blocks/tags/code.py and build again, not this file.
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
store = (course / "mlflow.db").as_posix()
mlflow.set_tracking_uri(f"sqlite:///{store}")
tracking_uri = mlflow.get_tracking_uri()
print("Runs go to", tracking_uri)
location = (course / "mlruns" / "wine-linear").as_uri()
experiment = mlflow.get_experiment_by_name("wine-linear")
if experiment is None:
    tags = {"data": "red wine", "models": "linear"}
    mlflow.create_experiment("wine-linear", artifact_location=location, tags=tags)
experiment = mlflow.set_experiment("wine-linear")
print("Experiment", experiment.name, "keeps its files at", experiment.artifact_location)

# 2. The wine table; a quarter of it is kept for the test
wine = pd.read_csv(data_file, sep=";").drop_duplicates().astype("float64")
X = wine.drop(columns="quality")
y = wine["quality"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)
tables = course / "output" / "tables"
tables.mkdir(parents=True, exist_ok=True)
train = wine.loc[X_train.index]
test = wine.loc[X_test.index]
train.to_csv(tables / "train.csv", index=False)
test.to_csv(tables / "test.csv", index=False)

# 4. Train
with mlflow.start_run(run_name="elasticnet"):
    dataset = mlflow.data.from_pandas(train, name="wine-train", targets="quality")
    mlflow.log_input(dataset, context="training")
    mlflow.log_artifacts(tables, artifact_path="tables")
    mlflow.log_artifact(data_file, artifact_path="data")
    mlflow.set_tags({"family": "linear", "table": data_file.name})

    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    model.fit(X_train, y_train)
    predictions = model.predict(X_test)

    mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})
    metrics = eval_metrics(y_test, predictions)
    mlflow.log_metrics(metrics)

    run_id = mlflow.active_run().info.run_id

# 5. Look at the result
print(predictions[:5])
for name, value in metrics.items():
    print(f"{name}: {value:.3f}")
last_run_id = mlflow.last_active_run().info.run_id
finished = mlflow.get_run(run_id)
rmse = finished.data.metrics["rmse"]
print(f"{finished.info.run_name} is {finished.info.status}, rmse: {rmse:.3f}")
found = mlflow.search_runs(filter_string="tags.family = 'linear'")
print(found[["tags.mlflow.runName", "tags.family", "tags.table", "metrics.rmse"]])
