"""Wine Lab, block 24: Give the model a name.

Built by `make build`. Edit blocks/register/code.py and build again, not this file.
"""

import argparse
import os
from importlib import metadata
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import pandas as pd
from mlflow.models import infer_signature
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


def plot_predictions_vs_targets(axes, targets, predictions, guess):
    """Draw the predictions against the truth; the baseline says the same of every wine."""
    axes.scatter(targets, predictions, alpha=0.3, color="#7b1e3a", label="a wine")
    axes.axline((6, 6), slope=1, color="black", label="a perfect model")
    axes.axhline(guess, color="grey", linestyle="--", label="the baseline")
    axes.set(xlabel="quality, as judged", ylabel="quality, as predicted")
    axes.legend()


# 1. Settings
here = Path(__file__).resolve().parent
course = here.parent if here.name in ("my", "solutions") else here
output = course / "output"
output.mkdir(exist_ok=True)
registered_name = "wine-quality-elasticnet"


def read_arguments():
    """The command line: which table, and how strong the penalty is."""
    parser = argparse.ArgumentParser(description="Train a model of wine quality.")
    parser.add_argument("--data", type=Path, default=course / "data" / "red-wine-quality.csv")
    parser.add_argument("--alpha", type=float, default=0.5, help="how strong the penalty is")
    parser.add_argument("--l1-ratio", type=float, default=0.5, help="0 is ridge, 1 is lasso")
    arguments = parser.parse_args()
    data_file = arguments.data
    if not data_file.is_file():
        parser.error(f"there is no table at {data_file}: name one with --data FILE")
    return data_file, arguments.alpha, arguments.l1_ratio


def open_store():
    """Tell MLflow where to write: the course's file, or a server named in the environment."""
    store = (course / "mlflow.db").as_posix()
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))
    experiment = mlflow.set_experiment("wine-quality")
    print("Experiment", experiment.name, "has the id", experiment.experiment_id)


def read_wine(data_file):
    """The wine table in four parts: what to learn from, and what to test with."""
    wine = pd.read_csv(data_file, sep=";").astype("float64")
    X = wine.drop(columns="quality")
    y = wine["quality"]
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=42)
    return X_train, X_test, y_train, y_test


# What the model needs to run
packages = [f"{name}=={metadata.version(name)}" for name in ("mlflow", "scikit-learn", "skops")]


def train(alpha, l1_ratio, tables, register_as=None):
    """Train, log and evaluate one model; what MLflow knows of it."""
    X_train, X_test, y_train, y_test = tables
    baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)
    baseline_metrics = eval_metrics(y_test, baseline.predict(X_test))
    mlflow.sklearn.autolog(log_models=False)
    with mlflow.start_run(run_name="elasticnet"):
        model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
        model.fit(X_train, y_train)
        predictions = model.predict(X_test)

        metrics = eval_metrics(y_test, predictions)
        mlflow.log_metrics(metrics)
        mlflow.log_metrics({f"dummy_{name}": value for name, value in baseline_metrics.items()})

        signature = infer_signature(X_train, model.predict(X_train))
        model_info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=signature,
            input_example=X_train.head(5),
            pip_requirements=packages,
            registered_model_name=register_as,
        )

        mlflow.models.evaluate(
            model_info.model_uri,
            data=X_test.assign(quality=y_test),
            targets="quality",
            model_type="regressor",
            evaluator_config={"log_model_explainability": False},
        )
        figure, axes = plt.subplots()
        plot_predictions_vs_targets(axes, y_test, predictions, y_train.mean())
        mlflow.log_figure(figure, "plots/predictions_vs_targets.png")
        plt.close(figure)
    mlflow.sklearn.autolog(disable=True)
    return model_info


def main():
    """From the wine table to registered models."""
    data_file, alpha, l1_ratio = read_arguments()

    # 4. Open the store, read the table
    open_store()
    tables = read_wine(data_file)

    # 5. Train the candidates
    first = train(alpha, l1_ratio, tables, register_as=registered_name)
    print("registered at once: version", first.registered_model_version)
    second = train(0.1, l1_ratio, tables)
    later = mlflow.register_model(second.model_uri, registered_name)
    print("registered later: version", later.version)


if __name__ == "__main__":
    main()
