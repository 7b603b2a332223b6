"""The poster, and that each of its figures stands in the store."""

import os
from contextlib import contextmanager
from pathlib import Path

from winelab.checks.authoring import after, before, catches, given, remove, skip_all, swap
from winelab.checks.comparing import close
from winelab.checks.fixtures import EXPERIMENT, REGISTERED
from winelab.checks.scratch import scratch_store
from winelab.core.console import shortened

KEYS = ("champion", "run", "runs", "versions", "table", "service")
KINDS = ("png", "pdf")
WIDTH, HEIGHT = 16.5, 11.7
"""A3, in inches."""


# --- what the store says, read by the check itself -----------------------------------------------


def _champion(client):
    """The version that the alias points at, by way of the registered model's list of aliases."""
    aliases = client.get_registered_model(REGISTERED).aliases
    assert "champion" in aliases, (
        "there is no champion in this store, no model has passed the gate: run the cells above, "
        "from the top."
    )
    return client.get_model_version(REGISTERED, aliases["champion"])


def _measured(client, experiment_id):
    """The runs of the experiment that have an rmse, newest first."""
    found, token = [], None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        found += [run for run in page if "rmse" in run.data.metrics]
        token = page.token
        if not token:
            return found


def _in_store(client, experiment):
    """What read_store must give, by the same names."""
    import mlflow
    import pandas as pd

    champion = _champion(client)
    runs = _measured(client, experiment.experiment_id)
    rmse = [run.data.metrics["rmse"] for run in runs]
    alphas = [float(run.data.params.get("alpha", "nan")) for run in runs]
    versions = client.search_model_versions(f"name='{REGISTERED}'")
    return {
        "champion": champion,
        "run": client.get_run(champion.run_id).data,
        "runs": pd.Series(rmse, index=alphas, dtype=float),
        "versions": {
            int(version.version): client.get_run(version.run_id).data.metrics["rmse"]
            for version in versions
        },
        "table": mlflow.artifacts.load_dict(f"runs:/{runs[0].info.run_id}/table.json"),
        "service": mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json"),
    }


def _read_store(namespace):
    """The student's function."""
    found = namespace.get("read_store")
    assert callable(found), (
        'there is no function `read_store` yet: write it in the cell "Everything that the poster '
        'shows", as def read_store(client).'
    )
    return found


def _facts(namespace, client, where=""):
    """What the student's function gives, with all its keys."""
    read_store = _read_store(namespace)
    try:
        facts = read_store(client)
    # It is the student's: anything may come.
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise AssertionError(
            f"read_store(client) ended in {type(error).__name__}{where}: {shortened(first, 140)}"
        ) from None
    assert isinstance(facts, dict), (
        f"read_store(client) gave {type(facts).__name__}: end it with `return` and a dictionary."
    )
    missing = [key for key in KEYS if key not in facts]
    assert not missing, f"read_store(client) gives no {missing[0]!r}: add it to the dictionary."
    return facts


def _pairs(runs):
    """(alpha, rmse) of each run, in order of size; runs without an alpha cannot be placed."""
    return sorted((float(alpha), float(rmse)) for alpha, rmse in runs.items() if alpha == alpha)


def _same(found, true):
    """Whether two lists of pairs of figures agree."""
    return len(found) == len(true) and all(
        close(one, other)
        for mine, theirs in zip(found, true, strict=True)
        for one, other in zip(mine, theirs, strict=True)
    )


def _compare(facts, true, where=""):
    """The student's facts against those of the store; the first that differs is the hint."""
    champion = true["champion"]
    version = getattr(facts["champion"], "version", None)
    assert str(version) == str(champion.version), (
        f'"champion" is version {version}, and the alias points at {champion.version}{where}: ask '
        'client.get_model_version_by_alias(registered_name, "champion"), and write no number down.'
    )
    metrics = getattr(facts["run"], "metrics", None)
    assert isinstance(metrics, dict) and hasattr(facts["run"], "params"), (
        '"run" must have the metrics and the params of a run: client.get_run(...).data.'
    )
    assert metrics == true["run"].metrics, (
        f'"run" is not the run that made the champion{where}: take client.get_run(champion.run_id)'
        ".data."
    )
    runs = facts["runs"]
    assert hasattr(runs, "index") and hasattr(runs, "items") and not hasattr(runs, "columns"), (
        '"runs" must be one column, with alpha as its index: set_index("params.alpha") as '
        'numbers, then ["metrics.rmse"].'
    )
    try:
        pairs = _pairs(runs)
    except (TypeError, ValueError):
        pairs = None
    assert pairs is not None and all(not isinstance(alpha, str) for alpha in runs.index), (
        'the index of "runs" must be numbers, and MLflow keeps params as texts: use '
        'runs["params.alpha"].astype(float).'
    )
    wanted = _pairs(true["runs"])
    assert _same(pairs, wanted), (
        f'"runs" has {len(pairs)} runs or other figures, and {len(wanted)} runs of the experiment '
        f"have an rmse{where}: take all that mlflow.search_runs finds with metrics.rmse > 0."
    )
    versions = facts["versions"]
    assert isinstance(versions, dict) and all(isinstance(number, int) for number in versions), (
        '"versions" must be a dictionary from a version\'s number, as an int, to its RMSE: '
        "through a server a version is a text, so write int(v.version)."
    )
    assert set(versions) == set(true["versions"]), (
        f'"versions" has {len(versions)} versions, and the registry has {len(true["versions"])}'
        f"{where}: take all that client.search_model_versions finds under the name."
    )
    wrong = [n for n in versions if not close(float(versions[n]), true["versions"][n])]
    assert not wrong, (
        f'"versions" says that version {wrong[0]} has the RMSE {float(versions[wrong[0]]):.3f}, '
        f"and its own run says {true['versions'][wrong[0]]:.3f}{where}: each version has a run "
        "of its own, v.run_id."
    )
    assert facts["table"] == true["table"], (
        f'"table" is not the table.json of the newest run{where}: search_runs gives the newest '
        "first."
    )
    assert facts["service"] == true["service"], (
        f'"service" is not the service.json of the champion\'s run{where}.'
    )


# --- a store where everything differs ------------------------------------------------------------

ELSEWHERE = " in a small store that the check made"
OLDER = (
    ", where an older run made the champion, and only the newest run with an rmse has a table.json"
)
TABLE = {"mean": 5.5, "wines": {"train": {"5.0": 3, "6.0": 3}, "test": {"6.0": 2}}}
SERVICE = {"python": [5.0], "curl": [5.0], "judged": [6.0]}


def _furnish(client, folder):
    """Four versions, of which the third is champion; only the newest measured run has a table."""
    experiment = client.create_experiment(EXPERIMENT, artifact_location=folder.as_uri())
    client.create_registered_model(REGISTERED)
    for at, rmse in enumerate((0.75, 0.68, 0.52, 0.61), start=1):
        run_id = client.create_run(experiment, start_time=at).info.run_id
        client.log_param(run_id, "alpha", at / 10)
        client.log_metric(run_id, "rmse", rmse)
        client.log_dict(run_id, SERVICE | {"difference": at / 8}, "service.json")
        client.create_model_version(REGISTERED, f"{folder.as_uri()}/{run_id}", run_id)
    client.log_dict(run_id, TABLE, "table.json")
    client.set_registered_model_alias(REGISTERED, "champion", "3")
    # The very newest run is one of the first blocks: it has measured nothing.
    client.create_run(experiment, start_time=9)
    return experiment


@contextmanager
def _small_store(back_to):
    """A client of that store, which is MLflow's store meanwhile; then all is as it was."""
    import mlflow

    from winelab.tracking.store import sqlite_file

    before = {name: value for name, value in os.environ.items() if "MLFLOW" in name}
    try:
        with scratch_store() as client:
            folder = sqlite_file(client.tracking_uri).parent
            mlflow.set_experiment(experiment_id=_furnish(client, folder / "files"))
            yield client
    finally:
        mlflow.set_experiment(experiment_id=back_to)
        for name in [name for name in os.environ if "MLFLOW" in name and name not in before]:
            del os.environ[name]
        os.environ.update(before)


# --- the files -----------------------------------------------------------------------------------


def _file(namespace, run, kind):
    """A file of the poster in the folder output, drawn after the newest run."""
    file = Path(namespace["output"]) / f"poster.{kind}"
    assert file.is_file(), (
        f"there is no poster.{kind} in the folder output yet: in the last cell, call "
        f'poster.savefig(output / "poster.{kind}", dpi=200).'
    )
    assert file.stat().st_mtime * 1000 >= run.info.start_time, (
        f"poster.{kind} in the folder output is older than your newest run: read the store, draw "
        "the poster and save it in the last cell, after the service has answered."
    )
    return file


# --- the checks ----------------------------------------------------------------------------------


CHAMPION = 'client.get_model_version_by_alias(registered_name, "champion")'


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_there_is_a_champion(run, client):
    "a run finished, and there is a champion"
    _champion(client)


@catches(
    "the table was not logged",
    remove("log-table"),
    hint="your newest run has no table.json",
    error="table.json",
)
@catches(
    "the wines of one part were counted twice",
    swap("log-table", "y_test.value_counts()", "y_train.value_counts()"),
    hint="count y_train for the one and y_test for the other",
)
def test_the_table_is_on_the_run(run, client):
    "table.json on your newest run counts its wines"
    import json

    import mlflow

    listed = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert "table.json" in listed, (
        "your newest run has no table.json: inside the run, in the cell of `train`, call "
        'mlflow.log_dict(..., "table.json").'
    )
    folder = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="table.json")
    table = json.loads(Path(folder).read_text(encoding="utf-8"))
    try:
        train, test = (
            {float(quality): int(wines) for quality, wines in table["wines"][part].items()}
            for part in ("train", "test")
        )
        mean = float(table["mean"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AssertionError(
            'table.json must have "mean", a number, and "wines", with "train" and "test" in it: '
            "each a dictionary from a quality to its number of wines."
        ) from None
    learned = sum(train.values())
    assert learned and close(mean, sum(q * n for q, n in train.items()) / learned), (
        f'"mean" in table.json is {mean:.4f}, and not the mean of the qualities in "train": take '
        "both from y_train."
    )
    # The baseline says the mean of every test wine: its RMSE knows both parts.
    tested = sum(test.values())
    error = sum(n * (q - mean) ** 2 for q, n in test.items()) / max(tested, 1)
    assert tested and close(error**0.5, run.data.metrics["dummy_rmse"], 1e-6), (
        '"train" and "test" in table.json do not fit the run\'s dummy_rmse: count y_train for the '
        "one and y_test for the other."
    )


@catches(
    "each version got the champion's figure",
    swap("read-store", "v.run_id", "champion.run_id"),
    hint="each version has a run of its own",
)
def test_read_store_gives_what_is_there(namespace, client, experiment):
    "read_store(client) gives the store's own figures"
    _read_store(namespace)
    _compare(_facts(namespace, client), _in_store(client, experiment))


@catches(
    "the champion's number was written down",
    swap("read-store", CHAMPION, "client.get_model_version(registered_name, ONE)"),
    before("ONE = 2"),
    hint="write no number down",
)
@catches(
    "the table was read from the champion's run, which may be older than the table",
    swap("read-store", "runs['run_id'][0]", "champion.run_id"),
    hint="only the newest run with an rmse has a table.json",
)
def test_read_store_follows_the_store(namespace, experiment):
    "in another store, it gives that store's figures"
    _read_store(namespace)
    with _small_store(experiment.experiment_id) as client:
        facts = _facts(namespace, client, ELSEWHERE + OLDER)
        there = client.get_experiment_by_name(EXPERIMENT)
        _compare(facts, _in_store(client, there), ELSEWHERE)


@catches(
    "the poster was saved as for a screen",
    swap("poster", "dpi=200", "dpi=72"),
    hint="save it with dpi=200",
)
def test_the_poster_is_in_the_folder(namespace, run):
    "poster.png and poster.pdf are in the folder output, in the size of A3"
    import numpy as np
    from PIL import Image

    with Image.open(_file(namespace, run, "png")) as picture:
        width, height = picture.size
        small = np.asarray(picture.convert("L").resize((330, 234)))
    assert width >= 3000, (
        f"poster.png is {width} dots wide, which is coarse on a wall: save it with dpi=200."
    )
    assert abs(width / height - WIDTH / HEIGHT) < 0.01, (
        f"poster.png is {width} by {height} dots, and not of the form of A3: save the figure as "
        "draw_poster gives it."
    )
    assert small.std() > 5, "poster.png is blank: save the figure that draw_poster gives."
    start = _file(namespace, run, "pdf").read_bytes()[:5]
    assert start == b"%PDF-", (
        "poster.pdf is no PDF: savefig takes the kind from the end of the file's name."
    )


@catches(
    "the poster was logged on the run that was trained last",
    swap("poster", "champion.run_id", "model_info.run_id"),
    hint="the champion's run has no poster/poster.png",
)
def test_the_poster_is_on_the_champions_run(namespace, run, client):
    "both files are on the champion's run, under poster"
    import mlflow

    champion = _champion(client)
    for kind in KINDS:
        mine = _file(namespace, run, kind)
        listed = [file.path for file in client.list_artifacts(champion.run_id, "poster")]
        assert f"poster/poster.{kind}" in listed, (
            f"the champion's run has no poster/poster.{kind}: call client.log_artifact("
            f'champion.run_id, output / "poster.{kind}", "poster").'
        )
        there = mlflow.artifacts.download_artifacts(
            run_id=champion.run_id, artifact_path=f"poster/poster.{kind}"
        )
        assert Path(there).read_bytes() == mine.read_bytes(), (
            f"poster/poster.{kind} on the champion's run is another file than the one in the "
            "folder output: log it after it was saved."
        )


@catches(
    "the champion was described in other words, and the poster not drawn again",
    after(
        "client.update_model_version(\n"
        '    registered_name, champion.version, description="The best of the first day."\n'
        ")"
    ),
    hint="the store has other figures than poster.png shows",
)
def test_the_poster_shows_the_store(namespace, run, client, experiment):
    "the poster shows what is in the store now"
    import io

    import matplotlib.pyplot as plt
    import numpy as np
    from PIL import Image

    file = _file(namespace, run, "png")
    _read_store(namespace)
    open_before = plt.get_fignums()
    try:
        poster = namespace["draw_poster"](**_in_store(client, experiment))
        with Image.open(file) as picture, io.BytesIO() as drawn:
            poster.savefig(drawn, format="png", dpi=picture.size[0] / WIDTH)
            with Image.open(drawn) as again:
                same = np.array_equal(np.asarray(again), np.asarray(picture))
    finally:
        # Jupyter would show what is left open.
        for number in set(plt.get_fignums()) - set(open_before):
            plt.close(number)
    assert same, (
        "the store has other figures than poster.png shows: draw the poster from "
        "read_store(client), as the last thing, and run the last cell again."
    )
