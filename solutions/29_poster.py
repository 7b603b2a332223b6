"""Wine Lab, block 29: Report from the store.

Built by `make build`. Edit blocks/poster/code.py and build again, not this file.
"""

import argparse
import os
import platform
import socket
import sys
import time
from contextlib import contextmanager, suppress
from datetime import date
from importlib import metadata
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import psutil
import requests
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
gate = 0.7
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


def promote(client, version):
    """Make a version the champion if it passed, and beats the champion on the same wines."""
    tags = client.get_model_version(registered_name, version).tags
    if tags["validation"] != "passed":
        return "failed validation"
    if float(tags["rmse_upper"]) >= gate:
        return "failed the gate"
    aliases = client.get_registered_model(registered_name).aliases
    if "champion" in aliases:
        champion = client.get_model_version(registered_name, aliases["champion"]).tags
        if champion["test_digest"] != tags["test_digest"]:
            return "not compared"
        if float(tags["rmse"]) >= float(champion["rmse"]):
            return "kept the champion"
    client.set_registered_model_alias(registered_name, "champion", version)
    return "promoted"


def newest_version(client):
    """The newest version's number: as texts, 9 would be newer than 11."""
    found = client.search_model_versions(f"name='{registered_name}'")
    return max(int(version.version) for version in found)


def find_champion(client):
    """The version with the alias; where none has it, the program ends with a sentence."""
    if "champion" not in client.get_registered_model(registered_name).aliases:
        raise SystemExit(f"No model has passed the gate of {gate}: there is no champion to load.")
    return client.get_model_version_by_alias(registered_name, "champion")


def annotate(client, version):
    """Describe a version in words that a colleague understands, from what stands on it."""
    tags = client.get_model_version(registered_name, version).tags
    rmse, upper, mean = (float(tags[name]) for name in ("rmse", "rmse_upper", "baseline_rmse"))
    words = f"Test RMSE {rmse:.3f} (95 % interval up to {upper:.3f}), baseline {mean:.3f}."
    words = f"{words} Decision: {tags['decision']}."
    client.update_model_version(registered_name, version, description=words)
    client.set_model_version_tag(registered_name, version, "annotated", date.today().isoformat())


@contextmanager
def serving(model_uri, log):
    """Serve a model on a free port for as long as the `with` lasts, whatever happens inside."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # port 0: the system picks a free one
        port = probe.getsockname()[1]
    options = f"--model-uri {model_uri} --env-manager local --host 127.0.0.1 --port {port}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options.split()]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uvicorn is there
    os.environ["no_proxy"] = f"127.0.0.1,{requests.utils.getproxies().get('no', '')}"
    with log.open("wb") as out:
        server = psutil.Popen(command, env={**os.environ, "PATH": path}, stdout=out, stderr=out)
    try:
        while server.poll() is None:
            with suppress(requests.RequestException):  # not up yet
                requests.get(f"http://127.0.0.1:{port}/ping", timeout=5)
                break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"the server ended before it answered; read why in {log}")
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            for process in [*server.children(recursive=True), server]:
                process.kill()
        server.wait()


def ask(address, body):
    """Send a body to the service; return the status, and what it answers."""
    answer = requests.post(f"{address}/invocations", json=body, timeout=60)
    return answer.status_code, answer.json()


def read_store(client):
    """All that the poster shows, by name, as it stands in the store."""
    champion = client.get_model_version_by_alias(registered_name, "champion")
    return {
        "champion": champion,
        "run": client.get_run(champion.run_id),
        "candidates": mlflow.search_runs(filter_string="metrics.cv_rmse > 0"),
        "versions": client.search_model_versions(f"name='{registered_name}'"),
        "service": mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json"),
    }


def draw_gate(axes, versions):
    """Draw each version's RMSE up to the upper end of its interval, and the gate."""
    for version in versions:
        rmse, upper = float(version.tags["rmse"]), float(version.tags["rmse_upper"])
        axes.plot([int(version.version)] * 2, [rmse, upper], marker="o", color="grey")
    axes.axhline(gate, color="#c98b00", linewidth=4)
    axes.set(xlabel="version", ylabel="test RMSE, and the end of its interval")


@plt.style.context({"font.size": 15, "axes.titlelocation": "left", "axes.ymargin": 0.2})
def draw_poster(champion, run, candidates, versions, service):
    """The course on a sheet of A3 (16.5 by 11.7 inches), drawn from the store's facts alone."""
    red, shown = "#7b1e3a", ["baseline_rmse", "rmse", "rmse_upper", "within_half"]
    poster, on = plt.subplot_mosaic("12;34", figsize=(16.5, 11.7), layout="tight")
    poster.suptitle(f"From a table to models:/{champion.name}@champion\n", size=32, color=red)
    poster.supxlabel(f"Version {champion.version}. {champion.description}", size=18, color=red)
    alphas = candidates["params.alpha"].astype(float)
    chosen = alphas == float(run.data.params["elasticnet__alpha"])
    on["1"].scatter(alphas, candidates["metrics.cv_rmse"], 200, np.where(chosen, red, "silver"))
    on["1"].set(title="1. RMSE of the candidates, cross-validated", xlabel="alpha", xscale="log")
    draw_gate(on["2"], versions)
    on["2"].locator_params("x", integer=True)
    on["2"].set(title=f"2. The versions, and the gate of {gate}")
    bars = on["3"].bar(shown, [run.data.metrics[name] for name in shown], color=red)
    on["3"].bar_label(bars, fmt="%.3f")
    on["3"].set(title="3. The champion, evaluated")
    on["4"].hist([service["answers"], service["grades"]], color=[red, "silver"])
    on["4"].legend(["as they are", "as whole grades"])
    on["4"].set(title="4. What the service answers", xlabel="quality", ylabel="wines")
    return poster


def main():
    """From the wine table to a champion."""
    data_file, alphas, l1_ratio = read_arguments()

    # 3. Open the store, read the table
    open_store()
    tables = read_wine(data_file)
    client = mlflow.MlflowClient()

    # 4. Choose alpha, measure the baseline
    alpha = choose_alpha(alphas, l1_ratio, tables)
    baseline_evaluation = evaluate_baseline(tables)

    # 5. Train, and what becomes of the model
    for candidate in (0.2, alpha):
        model_info = train(candidate, l1_ratio, tables, baseline_evaluation)
        version = register(client, model_info)
        number = version.version
        decision = promote(client, number)
        client.set_model_version_tag(registered_name, number, "decision", decision)
        rmse, upper = float(version.tags["rmse"]), float(version.tags["rmse_upper"])
        print(f"alpha {candidate}: version {number}, rmse {rmse:.3f}, up to {upper:.3f}:", decision)
        annotate(client, version.version)

    # 6. Find the champion
    champion = find_champion(client)
    model = mlflow.pyfunc.load_model(f"models:/{registered_name}@champion")
    X_test = tables[1]
    predictions = model.predict(X_test)
    print("the newest version is", newest_version(client))
    print(f"The champion is version {champion.version}; it says", predictions[:3])
    annotate(client, champion.version)
    print(client.get_model_version(registered_name, champion.version).description)

    # 7. Serve the champion, and ask it
    wines = X_test.to_dict("split")
    dry = X_test.drop(columns="alcohol").to_dict("split")
    with serving(f"models:/{registered_name}@champion", output / "service.log") as address:
        status, answer = ask(address, {"dataframe_split": wines})
        _, rounded = ask(address, {"dataframe_split": wines, "params": {"round": True}})
        refused, refusal = ask(address, {"dataframe_split": dry})
    service = {"answers": answer["predictions"], "grades": rounded["predictions"]}
    service["difference"] = float(abs(predictions - service["answers"]).max())
    client.log_dict(champion.run_id, service, "service.json")
    print(status, "grades:", service["grades"][:5], "off by", service["difference"])
    print(refused, refusal["message"].split("Error: ")[-1])

    # 8. Draw the poster
    poster = draw_poster(**read_store(client))
    for kind in ("png", "pdf"):
        poster.savefig(output / f"poster.{kind}", dpi=200)
        client.log_artifact(champion.run_id, output / f"poster.{kind}", "poster")
    print("The poster is in the folder output, and on the champion's run.")


if __name__ == "__main__":
    main()
