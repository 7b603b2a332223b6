"""Wine Lab, block 17: Load a logged model.

Built by `make build`. Edit blocks/reload/code.py and build again, not this file.
"""

import argparse
import os
import platform
from importlib import metadata
from pathlib import Path

import joblib
import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def eval_metrics(actual, predicted):
    """How far predictions are from the truth: RMSE, MAE and R2."""
    return {
        "rmse": root_mean_squared_error(actual, predicted),
        "mae": mean_absolute_error(actual, predicted),
        "r2": r2_score(actual, predicted),
    }


def make_model(alpha, l1_ratio):
    """A pipeline: scale each measurement, then fit an ElasticNet."""
    elastic_net = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    return make_pipeline(StandardScaler(), elastic_net)


# 1. Settings
here = Path(__file__).resolve().parent
course = here.parent if here.name in ("my", "solutions") else here
output = course / "output"
output.mkdir(exist_ok=True)
parser = argparse.ArgumentParser(description="Train a model of wine quality.")
parser.add_argument("--data", type=Path, default=course / "data" / "red-wine-quality.csv")
parser.add_argument("--alpha", type=float, nargs="+", default=[0.01, 0.1, 0.2, 0.5, 1.0])
parser.add_argument("--l1-ratio", type=float, default=0.3, help="0 is ridge, 1 is lasso")
arguments = parser.parse_args()
data_file = arguments.data
if not data_file.is_file():
    parser.error(f"there is no table at {data_file}: name one with --data FILE")
alphas = arguments.alpha
l1_ratio = arguments.l1_ratio

# MLflow, and where it writes
mlflow_version = mlflow.__version__
print("MLflow", mlflow_version)
store = (course / "mlflow.db").as_posix()
mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))
tracking_uri = mlflow.get_tracking_uri()
print("Runs go to", tracking_uri)
experiment = mlflow.set_experiment("wine-quality")
print("Experiment", experiment.name, "has the id", experiment.experiment_id)

# 2. The wine table; a quarter of it is kept for the test
wine = pd.read_csv(data_file, sep=";").drop_duplicates().astype("float64")
X = wine.drop(columns="quality")
y = wine["quality"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)

MODEL_CODE = '''\
"""The wine model: what MLflow stores, and a server runs."""

import joblib
import mlflow
import pandas as pd


class WineModel(mlflow.pyfunc.PythonModel):
    """The pipeline, with its predictions on the scale of 0 to 10."""

    def load_context(self, context):
        self.pipeline = joblib.load(context.artifacts["pipeline"])

    def predict(self, context, model_input: pd.DataFrame, params=None):
        quality = self.pipeline.predict(model_input).clip(0, 10)
        return quality.round() if params and params["round"] else quality


mlflow.models.set_model(WineModel())
'''
(output / "wine_model.py").write_text(MODEL_CODE, encoding="utf-8")

# What the model needs to run
names = ("mlflow", "scikit-learn", "cloudpickle", "joblib", "pandas")
packages = [f"{name}=={metadata.version(name)}" for name in names]
conda_env = {
    "name": "wine-quality",
    "channels": ["conda-forge"],
    "dependencies": [f"python={platform.python_version()}", "pip", {"pip": packages}],
}

# 3. Choose alpha by cross-validation, on the training wines
with mlflow.start_run(run_name="alphas") as parent:
    for alpha in alphas:
        with mlflow.start_run(run_name=f"alpha {alpha}", nested=True):
            candidate = make_model(alpha, l1_ratio)
            scoring = "neg_root_mean_squared_error"
            scores = cross_val_score(candidate, X_train, y_train, cv=5, scoring=scoring)
            mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})
            mlflow.log_metric("cv_rmse", -scores.mean())
candidates = mlflow.search_runs(
    filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
    order_by=["metrics.cv_rmse ASC"],
)
print(candidates[["tags.mlflow.runName", "metrics.cv_rmse"]].round(3))
alpha = float(candidates["params.alpha"][0])
print("chosen: alpha", alpha)

# 4. Train
mlflow.sklearn.autolog(log_models=False)
with mlflow.start_run(run_name="elasticnet"):
    mlflow.set_tags({"family": "linear", "table": data_file.name})

    model = make_model(alpha, l1_ratio)
    model.fit(X_train, y_train)
    predictions = model.predict(X_test)

    metrics = eval_metrics(y_test, predictions)
    mlflow.log_metrics(metrics)

    joblib.dump(model, output / "pipeline.joblib")
    signature = infer_signature(X_train, model.predict(X_train), params={"round": False})
    model_info = mlflow.pyfunc.log_model(
        name="model",
        python_model=output / "wine_model.py",
        artifacts={"pipeline": str(output / "pipeline.joblib")},
        signature=signature,
        input_example=X_train.head(5),
        conda_env=conda_env,
    )
mlflow.sklearn.autolog(disable=True)

# 5. Look at the result
print(predictions[:5])
for name, value in metrics.items():
    print(f"{name}: {value:.3f}")
print("The model is", model_info.model_uri)
answer = output / "answer.json"
three_wines = X_test.head(3)
mlflow.models.predict(
    model_info.model_uri, input_data=three_wines, env_manager="local", output_path=answer
)
print(pd.read_json(answer))

# 6. Load the model, as another program would
reloaded = mlflow.pyfunc.load_model(model_info.model_uri)
reloaded_predictions = reloaded.predict(X_test)
reloaded_metrics = eval_metrics(y_test, reloaded_predictions)
grades = reloaded.predict(X_test, params={"round": True})
print(f"largest difference: {abs(reloaded_predictions - predictions).max():.12f}")
for name, value in reloaded_metrics.items():
    print(f"reloaded {name}: {value:.3f}")
print("whole grades:", grades[:5])
