"""Wine Lab, block 21: A baseline.

Built by `make build`. Edit blocks/baseline/code.py and build again, not this file.
"""

import argparse
import os
import platform
from importlib import metadata
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature, make_metric
from sklearn.dummy import DummyRegressor
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


def bootstrap_rmse(predictions, targets):
    """The RMSE of 1000 samples of the wines, each drawn with replacement."""
    squared = ((predictions - targets) ** 2).to_numpy()
    samples = np.random.default_rng(42).choice(squared, (1000, len(squared)))
    return np.sqrt(samples.mean(axis=1))


def rmse_upper(predictions, targets, metrics):
    """The upper end of the RMSE's 95 % interval."""
    return np.quantile(bootstrap_rmse(predictions, targets), 0.975)


def within_half(predictions, targets, metrics):
    """The share of wines predicted within half a grade."""
    return (abs(predictions - targets) <= 0.5).mean()


extra_metrics = [
    make_metric(eval_fn=within_half, greater_is_better=True),
    make_metric(eval_fn=rmse_upper, greater_is_better=False),
]


def draw_evaluation(eval_df, builtin_metrics, artifacts_dir):
    """The predictions against the true quality, and how far the RMSE may be off."""
    figure, (wines, errors) = plt.subplots(1, 2, figsize=(10, 4), layout="tight")
    wines.scatter(eval_df["target"], eval_df["prediction"], alpha=0.3, color="#7b1e3a")
    wines.axline((6, 6), slope=1, color="black")
    wines.set(xlabel="true quality", ylabel="predicted quality")
    errors.hist(bootstrap_rmse(eval_df["prediction"], eval_df["target"]), bins=30, color="grey")
    errors.set(xlabel="RMSE", ylabel="bootstrap samples")
    plt.close(figure)
    return {"evaluation": figure}


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
test = X_test.assign(quality=y_test)

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

# The baseline: the mean of the training wines
baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)
baseline_table = test.assign(prediction=baseline.predict(X_test))
with mlflow.start_run(run_name="baseline"):
    baseline_evaluation = mlflow.models.evaluate(
        data=baseline_table,
        predictions="prediction",
        targets="quality",
        model_type="regressor",
        extra_metrics=extra_metrics,
        evaluator_config={"log_model_explainability": False},
    )

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

    test_set = mlflow.data.from_pandas(test, name="wine-test", targets="quality")
    evaluation = mlflow.models.evaluate(
        model_info.model_uri,
        data=test_set,
        model_type="regressor",
        extra_metrics=extra_metrics,
        custom_artifacts=[draw_evaluation],
        evaluator_config={"log_model_explainability": False},
    )
    mlflow.log_metric("baseline_rmse", baseline_evaluation.metrics["root_mean_squared_error"])
mlflow.sklearn.autolog(disable=True)

# 5. Look at the result
print(predictions[:5])
for name, value in metrics.items():
    print(f"{name}: {value:.3f}")
baseline_rmse = baseline_evaluation.metrics["root_mean_squared_error"]
better = 1 - metrics["rmse"] / baseline_rmse
print(f"rmse of the baseline: {baseline_rmse:.3f}; the model's is {better:.1%} smaller")
for name, value in evaluation.metrics.items():
    print(f"evaluate says {name}: {value:.3f}")
print("The model is", model_info.model_uri)
