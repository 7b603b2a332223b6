"""Wine Lab, block 28: Serve the champion.

Built by `make build`. Edit blocks/serve/code.py and build again, not this file.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import pandas as pd
import psutil
import requests
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
gate = 0.7


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


def run_of(client, version):
    """The run that made a version: what it has measured stands there."""
    return client.get_run(client.get_model_version(registered_name, version).run_id)


def promote(client, version):
    """Make a version the champion if it passes the gate and beats the one that is there."""
    rmse = run_of(client, version).data.metrics["rmse"]
    if rmse >= gate:
        return "refused"
    aliases = client.get_registered_model(registered_name).aliases
    if "champion" in aliases and rmse >= run_of(client, aliases["champion"]).data.metrics["rmse"]:
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
    """Write on a version what its own run has measured, and the gate that it met."""
    data = run_of(client, version).data
    rmse, mean = data.metrics["rmse"], data.metrics["dummy_rmse"]
    client.set_model_version_tag(registered_name, version, "rmse", f"{rmse:.6f}")
    client.set_model_version_tag(registered_name, version, "gate", f"{gate}")
    words = f"Test RMSE {rmse:.3f} at alpha {data.params['alpha']}; the mean's is {mean:.3f}."
    client.update_model_version(registered_name, version, description=words)


@contextmanager
def serving(command, log):
    """Run a server on a free port, for as long as the `with` lasts, whatever happens inside."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # 0: the system picks a free one
        port = probe.getsockname()[1]
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    os.environ["no_proxy"] = f"127.0.0.1,{spared}"  # a proxy leads out of here, not back
    beside = f"{Path(sys.executable).parent}{os.pathsep}"  # the server calls programs there
    env = {**os.environ, "PATH": beside + os.environ["PATH"]}
    with log.open("w", encoding="utf-8") as out:
        server = psutil.Popen([*command, "--port", str(port)], env=env, stdout=out, stderr=out)
    try:
        while server.poll() is None:
            with suppress(requests.RequestException):  # not up yet
                if requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).ok:
                    break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"the server ended before it answered; read why in {log}")
        yield f"http://127.0.0.1:{port}"
    finally:
        family = [*server.children(recursive=True), server] if server.is_running() else []
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)


def interview(address, wines):
    """Ask a served model by Python and by curl, and send it two wrong bodies."""
    url, header = f"{address}/invocations", {"Content-Type": "application/json"}
    body = json.dumps({"dataframe_split": wines.to_dict("split")})
    dry = json.dumps({"dataframe_split": wines.drop(columns="alcohol").to_dict("split")})
    curl = ["curl", "--silent", "--header", "Content-Type: application/json", "--data", "@-", url]
    said = subprocess.run(curl, input=body, capture_output=True, text=True, check=True).stdout
    answers = {"curl": json.loads(said)["predictions"]}
    answers["python"] = requests.post(url, body, headers=header, timeout=60).json()["predictions"]
    for name, wrong in (("malformed", "wine"), ("no alcohol", dry)):
        refusal = requests.post(url, wrong, headers=header, timeout=60)
        answers[name] = [refusal.status_code, refusal.json()["message"]]
    return answers


def main():
    """From the wine table to a champion."""
    data_file, alpha, l1_ratio = read_arguments()

    # 4. Open the store, read the table
    open_store()
    tables = read_wine(data_file)
    client = mlflow.MlflowClient()

    # 5. Train the candidates
    for candidate in (alpha, 0.01, 0.1):
        model_info = train(candidate, l1_ratio, tables, register_as=registered_name)
        version = model_info.registered_model_version
        decision = promote(client, version)
        client.set_tag(model_info.run_id, "promotion", decision)
        print(f"alpha {candidate}: version {version} {decision}")
        annotate(client, version)

    # 6. Find the champion
    champion = find_champion(client)
    model = mlflow.pyfunc.load_model(f"models:/{registered_name}@champion")
    predictions = model.predict(tables[1])
    print("the newest version is", newest_version(client))
    print(f"The champion is version {champion.version}; it says", predictions[:3])
    annotate(client, champion.version)
    print(client.get_model_version(registered_name, champion.version).description)

    # 7. Serve the champion, and ask it
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--model-uri", f"models:/{registered_name}@champion"]
    with serving(command, output / "service.log") as address:
        answers = interview(address, tables[1])
    answers |= {"judged": tables[3].to_list(), "asked": time.time()}
    answers["difference"] = float(abs(predictions - answers["python"]).max())
    client.log_dict(champion.run_id, answers, "service.json")
    print(f"{len(answers['python'])} answers, {answers['difference']:.12f} from those made here")
    for name in ("malformed", "no alcohol"):
        print(f"{name}: {answers[name][0]}", answers[name][1].split("Error: ")[-1][:60])


if __name__ == "__main__":
    main()
