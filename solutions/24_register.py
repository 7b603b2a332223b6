"""Wine Lab, block 24: Register a model.

Built by `make build`. Edit blocks/register/code.py and build again, not this file.
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
from mlflow.models import MetricThreshold, infer_signature, make_metric
from mlflow.models.evaluation.validation import ModelValidationFailedException
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
registered_name = "wine-quality-elasticnet"
thresholds = {
    "root_mean_squared_error": MetricThreshold(min_absolute_change=0.1, greater_is_better=False),
    "within_half": MetricThreshold(threshold=0.5, greater_is_better=True),
}


def read_arguments():
    """The command line: which table, and which settings to try."""
    parser = argparse.ArgumentParser(description="Train a model of wine quality.")
    parser.add_argument("--data", type=Path, default=course / "data" / "red-wine-quality.csv")
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.01, 0.1, 0.2, 0.5, 1.0])
    parser.add_argument("--l1-ratio", type=float, default=0.3, help="0 is ridge, 1 is lasso")
    arguments = parser.parse_args()
    data_file = arguments.data
    if not data_file.is_file():
        parser.error(f"there is no table at {data_file}: name one with --data FILE")
    return data_file, arguments.alpha, arguments.l1_ratio


def open_store():
    """Tell MLflow where to write: the course's file, or the server that the environment names."""
    store = (course / "mlflow.db").as_posix()
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))
    experiment = mlflow.set_experiment("wine-quality")
    print("Experiment", experiment.name, "has the id", experiment.experiment_id)


def read_wine(data_file):
    """Read the wine table: training and test measurements, their qualities, and the test table."""
    wine = pd.read_csv(data_file, sep=";").drop_duplicates().astype("float64")
    X = wine.drop(columns="quality")
    y = wine["quality"]
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)
    test = X_test.assign(quality=y_test)
    return X_train, X_test, y_train, y_test, test


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


def choose_alpha(alphas, l1_ratio, tables):
    """Cross-validate each alpha in a run of its own; return the one with the lowest RMSE."""
    X_train, _, y_train, _, _ = tables
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
    return float(candidates["params.alpha"][0])


def evaluate_baseline(tables):
    """Evaluate the mean of the training wines as if it were a model, in a run of its own."""
    X_train, X_test, y_train, _, test = tables
    baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)
    baseline_table = test.assign(prediction=baseline.predict(X_test))
    with mlflow.start_run(run_name="baseline"):
        return mlflow.models.evaluate(
            data=baseline_table,
            predictions="prediction",
            targets="quality",
            model_type="regressor",
            extra_metrics=extra_metrics,
            evaluator_config={"log_model_explainability": False},
        )


def train(alpha, l1_ratio, tables, baseline_evaluation):
    """Train, log, evaluate and validate one model; return what MLflow knows about it."""
    X_train, X_test, y_train, y_test, test = tables
    mlflow.sklearn.autolog(log_models=False)
    with mlflow.start_run(run_name="elasticnet"):
        mlflow.set_tag("family", "linear")

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
        try:
            mlflow.validate_evaluation_results(thresholds, evaluation, baseline_evaluation)
            validation = "passed"
        except ModelValidationFailedException as failure:
            validation = f"failed: {failure}"
        mlflow.set_tag("validation", validation)
    mlflow.sklearn.autolog(disable=True)
    return model_info


def register(client, model_info):
    """Register a logged model; what its run has measured goes on the version, as tags."""
    run = client.get_run(model_info.run_id)
    digests = {used.dataset.name: used.dataset.digest for used in run.inputs.dataset_inputs}
    measured = ("rmse", "rmse_upper", "baseline_rmse")
    tags = {name: str(run.data.metrics[name]) for name in measured}
    tags |= {"validation": run.data.tags["validation"], "test_digest": digests["wine-test"]}
    return mlflow.register_model(model_info.model_uri, registered_name, tags=tags)


def main():
    """From the wine table to a registered model."""
    data_file, alphas, l1_ratio = read_arguments()

    # 3. Open the store, read the table
    open_store()
    tables = read_wine(data_file)
    client = mlflow.MlflowClient()

    # 4. Choose alpha, measure the baseline
    alpha = choose_alpha(alphas, l1_ratio, tables)
    baseline_evaluation = evaluate_baseline(tables)

    # 5. Train, and what becomes of the model
    model_info = train(alpha, l1_ratio, tables, baseline_evaluation)
    run = mlflow.get_run(model_info.run_id)
    print(f"alpha {alpha}: rmse {run.data.metrics['rmse']:.3f},", run.data.tags["validation"])
    version = register(client, model_info)
    print("registered: version", version.version, version.tags)


if __name__ == "__main__":
    main()
