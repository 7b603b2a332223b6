"""Wine Lab, block 29: The course on one sheet.

Built by `make build`. Edit blocks/poster/code.py and build again, not this file.
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
    mlflow.set_experiment("wine-quality")


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
        wines = {"train": y_train.value_counts().to_dict(), "test": y_test.value_counts().to_dict()}
        mlflow.log_dict({"mean": y_train.mean(), "wines": wines}, "table.json")

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


def read_store(client):
    """All that the poster shows, by name, as it stands in the store."""
    champion = client.get_model_version_by_alias(registered_name, "champion")
    runs = mlflow.search_runs(filter_string="metrics.rmse > 0")  # the newest stands first
    found = client.search_model_versions(f"name='{registered_name}'")
    return {
        "champion": champion,
        "run": client.get_run(champion.run_id).data,
        "runs": runs.set_index(runs["params.alpha"].astype(float))["metrics.rmse"],
        "versions": {int(v.version): client.get_run(v.run_id).data.metrics["rmse"] for v in found},
        "table": mlflow.artifacts.load_dict(f"runs:/{runs['run_id'][0]}/table.json"),
        "service": mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json"),
    }


@plt.style.context({"font.size": 15, "axes.titlelocation": "left", "axes.ymargin": 0.2})
def draw_poster(champion, run, runs, versions, table, service):
    """The course on a sheet of A3 (16.5 by 11.7 inches), drawn from the store's facts alone."""
    red, gate, number = "#7b1e3a", float(champion.tags["gate"]), int(champion.version)
    mean, rmse, alpha = run.metrics["dummy_rmse"], run.metrics["rmse"], float(run.params["alpha"])
    wines = pd.DataFrame(table["wines"]).rename(index=float).rename(index=int).sort_index()
    poster, on = plt.subplot_mosaic("123;456", figsize=(16.5, 11.7), layout="tight")
    poster.suptitle(f"From a table to models:/{champion.name}@champion\n", size=36, color=red)
    poster.supxlabel(f"@champion is version {number}. {champion.description}", size=22, color=red)
    wines.plot.bar(ax=on["1"], stacked=True, rot=0, color=["silver", "grey"], xlabel="quality")
    on["1"].set(title=f"❶ {wines.sum().sum():g} wines ➜", ylabel="wines")
    on["2"].set_xscale("symlog", linthresh=0.01)
    for panel, dots, x in ((on["2"], runs, alpha), (on["4"], pd.Series(versions), number)):
        panel.axhspan(gate, mean, color="#fdf0d5", label="refused")
        panel.axhline(gate, color="#c98b00", linewidth=4)
        panel.scatter(dots.index, dots, s=150, color="silver", edgecolors="grey")
        panel.scatter(x, rmse, s=400, color=red)
        panel.text(x, rmse, "\n@champion", color=red, ha="center", va="top")
        panel.legend(loc="upper left")
        panel.set(yticks=[gate, mean], yticklabels=[f"gate\n{gate:g}", f"mean\n{mean:.3f}"])
    on["2"].set(title=f"❷ {len(runs)} runs ➜", xlabel="alpha", ylabel="RMSE", xlim=(-0.005, None))
    on["2"].set(xticks=[0, 0.01, 0.1, 1], xticklabels=[0, 0.01, 0.1, 1])
    on["4"].set(title=f"❹ {len(versions)} versions ➜", xlabel="version", ylabel="RMSE")
    on["4"].set(xticks=range(1, max(versions) + 1, len(versions) // 12 + 1), xmargin=0.1)
    scores = pd.Series(run.metrics)[["dummy_rmse", "rmse", "dummy_mae", "mae", "dummy_r2", "r2"]]
    bars = on["3"].bar([-0.5, 0.5, 2.5, 3.5, 5.5, 6.5], scores, 1, color=["silver", red])
    on["3"].bar_label(bars, fmt="%.3f")
    on["3"].set(title="❸ The mean, and ours ➜", xticks=[0, 3, 6], xticklabels=["RMSE", "MAE", "R²"])
    plot_predictions_vs_targets(on["5"], service["judged"], service["python"], table["mean"])
    on["5"].set(title="❺ What the service answers ➜")
    words = [f"{len(service[name])} answers to {name}" for name in ("python", "curl")]
    for name in ("malformed", "no alcohol"):
        words += [f"{name}: {service[name][0]}, {service[name][1].split('Error: ')[-1]:.60}"]
    on["6"].text(0.05, 0.95, "\n\n".join(pd.Series(words).str.wrap(31)), size=17, va="top")
    on["6"].set(title=f"❻ Served: at most {service['difference']:.1g} off", xticks=[], yticks=[])
    return poster


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
    annotate(client, champion.version)

    # 7. Serve the champion, and ask it
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--model-uri", f"models:/{registered_name}@champion"]
    with serving(command, output / "service.log") as address:
        answers = interview(address, tables[1])
    answers |= {"judged": tables[3].to_list(), "asked": time.time()}
    answers["difference"] = float(abs(predictions - answers["python"]).max())
    client.log_dict(champion.run_id, answers, "service.json")

    # 8. Draw the poster
    poster = draw_poster(**read_store(client))
    for kind in ("png", "pdf"):
        poster.savefig(output / f"poster.{kind}", dpi=200)
        client.log_artifact(champion.run_id, output / f"poster.{kind}", "poster")
    print("The poster is in the folder output, and on the champion's run.")


if __name__ == "__main__":
    main()
