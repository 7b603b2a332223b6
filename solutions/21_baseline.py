"""Wine Lab, block 21: Better than what?.

Built by `make build`. Edit blocks/baseline/code.py and build again, not this file.
"""

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import mlflow
import pandas as pd
from mlflow.models import infer_signature, make_metric
from sklearn.dummy import DummyRegressor
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


def squared_diff_plus_one(predictions, targets, metrics):
    """Squared errors, where one unit too high counts more than one too low."""
    return ((predictions - targets + 1) ** 2).sum()


def sum_on_target_divided_by_two(predictions, targets, metrics):
    """Half of a metric that MLflow has computed before."""
    return metrics["sum_on_target"].aggregate_results["sum_on_target"] / 2


extra_metrics = [
    make_metric(eval_fn=squared_diff_plus_one, greater_is_better=False),
    make_metric(eval_fn=sum_on_target_divided_by_two, greater_is_better=False),
]


def prediction_scatter(eval_df, builtin_metrics, artifacts_dir):
    """The predictions against the truth, a point a wine."""
    figure, axes = plt.subplots()
    axes.scatter(eval_df["target"], eval_df["prediction"], alpha=0.3)
    axes.set(xlabel="quality, as judged", ylabel="quality, as predicted")
    plt.close(figure)
    return {"prediction_scatter": figure}


# 1. Settings
here = Path(__file__).resolve().parent
course = here.parent if here.name in ("my", "solutions") else here
output = course / "output"
output.mkdir(exist_ok=True)
parser = argparse.ArgumentParser(description="Train a model of wine quality.")
parser.add_argument("--data", type=Path, default=course / "data" / "red-wine-quality.csv")
parser.add_argument("--alpha", type=float, default=0.5, help="how strong the penalty is")
parser.add_argument("--l1-ratio", type=float, default=0.5, help="0 is ridge, 1 is lasso")
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
mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))
tracking_uri = mlflow.get_tracking_uri()
print("Runs go to", tracking_uri)
experiment = mlflow.set_experiment("wine-quality")
print("Experiment", experiment.name, "has the id", experiment.experiment_id)

# 2. The wine table; a quarter of it is kept for the test
wine = pd.read_csv(data_file, sep=";").astype("float64")
X = wine.drop(columns="quality")
y = wine["quality"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)
test = X_test.assign(quality=y_test)

# The model's code, in a file of its own
model_code = output / "wine_model.py"
model_code.write_text(
    '''"""The wine model: what MLflow stores, and a server runs."""

import joblib
import mlflow
import pandas as pd


class SklearnWrapper(mlflow.pyfunc.PythonModel):
    """A scikit-learn model behind the one face that all MLflow models have."""

    def load_context(self, context):
        self.model = joblib.load(context.artifacts["sklearn_model"])

    def predict(self, context, model_input: pd.DataFrame):
        return self.model.predict(model_input)


mlflow.models.set_model(SklearnWrapper())
''',
    encoding="utf-8",
)

# What the model needs to run
names = ("mlflow", "scikit-learn", "cloudpickle", "joblib", "pandas")
packages = [f"{name}=={version(name)}" for name in names]
conda_env = {
    "name": "wine-quality",
    "channels": ["conda-forge"],
    "dependencies": [f"python={platform.python_version()}", "pip", {"pip": packages}],
}

# 3. Train
baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)
baseline_metrics = eval_metrics(y_test, baseline.predict(X_test))
mlflow.sklearn.autolog(log_models=False)
with mlflow.start_run(run_name="elasticnet"):
    mlflow.set_tags({"family": "linear", "table": data_file.name})

    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    model.fit(X_train, y_train)
    predictions = model.predict(X_test)

    metrics = eval_metrics(y_test, predictions)
    mlflow.log_metrics(metrics)
    mlflow.log_metrics({f"dummy_{name}": value for name, value in baseline_metrics.items()})

    joblib.dump(model, output / "sklearn_model.joblib")
    signature = infer_signature(X_train, model.predict(X_train))
    model_info = mlflow.pyfunc.log_model(
        name="model",
        python_model=model_code,
        artifacts={"sklearn_model": str(output / "sklearn_model.joblib")},
        signature=signature,
        input_example=X_train.head(5),
        conda_env=conda_env,
    )

    evaluation = mlflow.models.evaluate(
        model_info.model_uri,
        data=test,
        targets="quality",
        model_type="regressor",
        extra_metrics=extra_metrics,
        custom_artifacts=[prediction_scatter],
        evaluator_config={"log_model_explainability": False},
    )
mlflow.sklearn.autolog(disable=True)

# 4. Look at the result
print(predictions[:5])
for name, value in metrics.items():
    print(f"{name}: {value:.3f}")
better = 1 - metrics["rmse"] / baseline_metrics["rmse"]
print(f"rmse of the mean: {baseline_metrics['rmse']:.3f}; the model's is {better:.1%} smaller")
for name, value in evaluation.metrics.items():
    print(f"evaluate says {name}: {value:.3f}")
best = mlflow.search_runs(order_by=["metrics.rmse ASC"], max_results=1).iloc[0]
print(f"best run so far: {best['tags.mlflow.runName']} with an rmse of {best['metrics.rmse']:.3f}")
print("The model is", model_info.model_uri)
