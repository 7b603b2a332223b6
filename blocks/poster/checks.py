"""Everything is read from the store, and the poster that shows it is on the champion's run."""

from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

from winelab.checks.authoring import after, catches, hint, put, right, skip, split, swap
from winelab.checks.comparing import kind, plural, same_value
from winelab.checks.fixtures import EXPERIMENT, REGISTERED
from winelab.checks.scratch import call, scratch_store, student_function
from winelab.core.console import shortened

KEYS = ("champion", "metrics", "candidates", "versions", "service")
READING = "Everything that the poster shows, read from the store"
LAST = 'the cell "8. Draw the poster"'
SHOWN = ("baseline_rmse", "rmse", "rmse_upper", "within_half")
"""The metrics of the champion that the poster shows."""

# --- a store of the check's own ------------------------------------------------------------------


def _furnish(client):
    """Fill an empty store: three versions, of which the first is champion; its facts.

    The runs that were made last, and those of another experiment and model, are not to be shown.
    """
    import mlflow
    from mlflow.entities import Metric, Param

    folder = Path.cwd() / "files"
    experiment = client.create_experiment(EXPERIMENT, artifact_location=folder.as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    facts = {"candidates": [], "versions": {1, 2, 3}}
    for place, alpha in ((experiment, "0.1"), (experiment, "2"), ("0", "3")):
        run_id = client.create_run(place).info.run_id
        client.log_batch(run_id, [Metric("cv_rmse", float(alpha), 0, 0)], [Param("alpha", alpha)])
        facts["candidates"] += [run_id] if place == experiment else []
    for name in (REGISTERED, "tea"):
        client.create_registered_model(name)
    for number, name in enumerate((REGISTERED, REGISTERED, REGISTERED, "tea"), start=1):
        run_id = client.create_run(experiment).info.run_id
        metrics, service = {"rmse": number / 8, "rmse_upper": number / 4}, {"answers": [number]}
        client.log_batch(run_id, [Metric(key, metrics[key], 0, 0) for key in metrics])
        client.log_dict(run_id, service, "service.json")
        tags = {key: str(metrics[key]) for key in metrics}
        source = f"{folder.as_uri()}/{run_id}"
        made = client.create_model_version(name, source, run_id, tags=tags)
        if number == 1:
            facts |= {"champion": made, "metrics": metrics, "service": service}
    client.set_registered_model_alias(REGISTERED, "champion", "1")
    return facts


def _versions(found):
    """The names and numbers of a list of versions; an AssertionError where it is none."""
    try:
        return {(version.name, int(version.version)) for version in found}
    except (TypeError, ValueError, AttributeError):
        raise AssertionError(
            f'"versions" is {kind(found)}, not a list of versions: keep what '
            "`client.search_model_versions` finds."
        ) from None


# --- what was drawn ------------------------------------------------------------------------------


NOT_DRAWN = (None, "None", "none", "", " ")
"""How matplotlib may call a marker or a style that is none."""


def _drawn(axes):
    """The lines that stand on an axes, as pairs of points, and the dots."""
    from matplotlib.collections import LineCollection, PathCollection

    lines, dots = [], []
    for line in axes.lines:
        points = [tuple(map(float, point)) for point in line.get_xydata()]
        lines += pairwise(points) if line.get_linestyle() not in NOT_DRAWN else ()
        dots += points if line.get_marker() not in NOT_DRAWN else ()
    for found in axes.collections:
        if isinstance(found, LineCollection):
            lines += [tuple(map(tuple, segment)) for segment in found.get_segments()]
        elif isinstance(found, PathCollection):
            dots += [tuple(map(float, point)) for point in found.get_offsets()]
    return lines, dots


def _among(point, others):
    return any(all(map(same_value, point, other)) for other in others)


# --- the files -----------------------------------------------------------------------------------


def _champion(client):
    """The version with the alias."""
    aliases = client.get_registered_model(REGISTERED).aliases
    assert "champion" in aliases, (
        "there is no champion in this store: run the cells above, from the top."
    )
    return client.get_model_version(REGISTERED, aliases["champion"])


def _file(namespace, run, client, ending):
    """A file of the poster in the folder output, drawn after the newest run and description."""
    folder = namespace["output"]
    assert isinstance(folder, str | Path), (
        f"`output` is {kind(folder)}, not a folder: run the cells again from the top."
    )
    file = Path(folder) / f"poster.{ending}"
    assert file.is_file(), (
        f"there is no poster.{ending} in the folder output yet: in {LAST}, call "
        f'`poster.savefig(output / "poster.{ending}", dpi=200)`.'
    )
    changed = max(run.info.start_time, _champion(client).last_updated_timestamp)
    assert file.stat().st_mtime * 1000 >= changed - 1, (
        f"poster.{ending} in the folder output is older than what the store knows: the champion "
        f"has another description since, or you've trained again. Run {LAST} again."
    )
    return file


# --- mistakes ------------------------------------------------------------------------------------

# A store of their own is all that these need.
ALONE = (skip("prepare", "choice", "training", "champion", "serve", "poster"),)
# Candidates, two versions, a champion that has been served, and a run after it, without training.
STORE = """\
client = mlflow.MlflowClient()
client.create_registered_model(registered_name)
for value in (0.01, 0.1):
    with mlflow.start_run():
        mlflow.log_param("alpha", value)
        mlflow.log_metric("cv_rmse", 0.7 + value)
for rmse in (0.75, 0.625):
    known = {"rmse": rmse, "rmse_upper": rmse + 0.05, "baseline_rmse": 0.8, "within_half": 0.55}
    with mlflow.start_run() as made:
        mlflow.log_metrics(known)
        mlflow.log_dict({"answers": [5.1, 5.9], "grades": [5, 6]}, "service.json")
    place = made.info.artifact_uri
    client.create_model_version(
        registered_name, place, made.info.run_id, tags={name: str(known[name]) for name in known}
    )
client.update_model_version(registered_name, 2, "Better than the mean.")
client.set_registered_model_alias(registered_name, "champion", 2)
champion = client.get_model_version(registered_name, 2)
with mlflow.start_run() as newest:
    mlflow.log_metric("rmse", 0.9)
"""
QUICK = (skip("choice", "training", "champion", "serve"), put("client", STORE))
CHAMPION = 'client.get_model_version_by_alias(registered_name, "champion")'
CANDIDATES = 'mlflow.search_runs(filter_string="metrics.cv_rmse > 0")'
SERVICE = 'mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json")'
PLOT = 'axes.plot([int(version.version)] * 2, [rmse, upper], marker="o", color="grey")'


@catches("the champion's number was typed", *ALONE)
@swap("read-store", CHAMPION, "client.get_model_version(registered_name, 2)")
@hint('"champion" is version 2, and the alias points at 1')
@catches("the run's data was returned, not its metrics", *ALONE)
@swap("read-store", ".data.metrics", ".data")
@hint('"metrics" is a RunData')
@catches("the metrics are those of another run", *ALONE)
@swap(
    "read-store",
    "client.get_run(champion.run_id)",
    'mlflow.search_runs(output_format="list")[0]',
)
@hint("take those of `champion.run_id`")
@catches("all runs were taken for candidates", *ALONE)
@swap("read-store", 'filter_string="metrics.cv_rmse > 0"', "")
@hint("without a cv_rmse")
@catches("the candidates are those of all experiments", *ALONE)
@swap("read-store", "cv_rmse > 0", 'cv_rmse > 0", search_all_experiments="yes')
@hint("1 run of another experiment")
@catches("the versions of all models were taken", *ALONE)
@swap("read-store", "f\"name='{registered_name}'\"", "")
@hint('1 version of "tea"')
@catches("the service's answers came from a variable", *ALONE)
@swap("read-store", SERVICE, "service")
@after('service = {"answers": [5.0]}')
@hint('"service" is not the service.json of the champion\'s run')
@catches("an entry has another name", *ALONE)
@swap("read-store", '"metrics"', '"metric"')
@hint('has no "metrics"')
@catches("the facts were printed, and not returned", *ALONE)
@swap("read-store", "return {", "facts = {")
@hint("read_store gives back nothing (None), since it ends without `return`")
def test_read_store_follows_the_store(namespace):
    "read_store(client) returns what stands in the store, also in another one"
    read_store = student_function(namespace, "read_store", READING)
    where = "In a small store that the check made,"
    with scratch_store() as client:
        true = _furnish(client)
        advice = "It takes the client alone; all else that it knows comes from the store."
        facts = call(read_store, client, on_error=advice, expect=dict)
        missing = [key for key in KEYS if key not in facts]
        assert not missing, f'the dictionary of read_store has no "{missing[0]}": add it.'
        version = getattr(facts["champion"], "version", None)
        assert str(version) == str(true["champion"].version), (
            f'{where} "champion" is version {version}, and the alias points at 1: call '
            f"`{CHAMPION}`."
        )
        metrics = facts["metrics"]
        assert isinstance(metrics, dict), (
            f'"metrics" is {kind(metrics)}, not a dictionary: `client.get_run(...).data.metrics`.'
        )
        assert metrics == true["metrics"], (
            f'{where} "metrics" is {shortened(str(metrics), 60)}: take those of `champion.run_id`.'
        )
        _compare_candidates(facts["candidates"], true["candidates"], client, where)
        found = _versions(facts["versions"])
        others = [name for name, _ in found if name != REGISTERED]
        assert not others, (
            f'{where} "versions" has {plural(len(others), "version")} of "{others[0]}": search '
            "with `f\"name='{registered_name}'\"`."
        )
        assert {number for _, number in found} == true["versions"], (
            f'{where} "versions" has {len(found)} of the 3 versions of the registered model: take '
            "all that `client.search_model_versions` finds."
        )
        assert facts["service"] == true["service"], (
            f'{where} "service" is not the service.json of the champion\'s run: call `{SERVICE}`.'
        )


def _compare_candidates(found, true, client, where):
    """Let a check pass only where `found` is the table of the runs with these ids."""
    columns = ("run_id", "params.alpha", "metrics.cv_rmse")
    assert hasattr(found, "columns") and set(columns) <= set(found.columns), (
        f'"candidates" is {kind(found)} without the runs\' alpha and cv_rmse: keep what '
        f"`{CANDIDATES}` returns."
    )
    others = [client.get_run(run_id) for run_id in set(found["run_id"]) - set(true)]
    elsewhere = [run for run in others if "cv_rmse" in run.data.metrics]
    assert not elsewhere, (
        f'{where} "candidates" has {plural(len(elsewhere), "run")} of another experiment: search '
        "in the active one."
    )
    assert not others, (
        f'{where} "candidates" has {plural(len(others), "run")} without a cv_rmse: filter with '
        '"metrics.cv_rmse > 0".'
    )
    assert len(found) == len(true), (
        f'{where} "candidates" has {len(found)} of the {len(true)} runs with a cv_rmse: take all.'
    )


@catches("it was drawn with plt, on whatever figure is at hand", *ALONE)
@swap("draw-gate", PLOT, PLOT.replace("axes.plot", "plt.plot"))
@hint("nothing is drawn for version 9")
@catches("the tags stayed texts", *ALONE)
@swap(
    "draw-gate",
    'float(version.tags["rmse"]), float(version.tags["rmse_upper"])',
    'version.tags["rmse"], version.tags["rmse_upper"]',
)
@hint("make numbers of both with `float`")
@catches("x and y changed places", *ALONE)
@swap("draw-gate", "[int(version.version)] * 2, [rmse, upper]", "[rmse, upper], [9, 9]")
@hint("nothing is drawn for version 9")
@catches("the line has no dots", *ALONE)
@swap("draw-gate", ', marker="o"', "")
@hint("has no dot")
@catches("two dots, and no line between them", *ALONE)
@swap("draw-gate", 'marker="o", color="grey"', '"o", color="grey"')
@hint("no line from")
@catches("the gate is a vertical line", *ALONE)
@swap("draw-gate", "axhline", "axvline")
@hint("there is no horizontal line at the gate")
@catches("the gate's number was typed", *ALONE)
@swap("draw-gate", "axhline(gate", "axhline(0.7")
@hint("no horizontal line at the gate, which is 0.45 here")
def test_draw_gate_draws_each_interval(namespace):
    "draw_gate(axes, versions) draws each version's interval, and the gate"
    from matplotlib.figure import Figure
    from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

    draw_gate = student_function(namespace, "draw_gate", "The poster")
    intervals = {11: (0.5, 0.625), 9: (0.25, 0.375), 2: (0.75, 0.8125)}
    versions = [
        ModelVersion(REGISTERED, number, 0, tags=[*map(ModelVersionTag, names, map(str, ends))])
        for number, ends in intervals.items()
        for names in [("rmse", "rmse_upper")]
    ]
    axes, gate = Figure().subplots(), 0.45
    advice = "It takes the axes first, and then the versions."
    # With another gate than the course's: the setting counts, and no number in the function.
    with patch.dict(getattr(draw_gate, "__globals__", {}), gate=gate):
        call(draw_gate, axes, versions, on_error=advice)
    lines, dots = _drawn(axes)
    assert [*axes.lines, *axes.collections], (
        "nothing is drawn on the axes that draw_gate is given: call `axes.plot` and "
        "`axes.axhline`, not those of `plt`."
    )
    texts = {label.get_text() for label in axes.get_yticklabels()} & {"0.25", "0.375", "0.8125"}
    assert not texts, "the tags were drawn as texts: make numbers of both with `float`."
    for number, (rmse, upper) in sorted(intervals.items(), key=lambda one: one[0] != 9):
        ends = ((number, rmse), (number, upper))
        assert any(_among(end, [*dots, *sum(lines, ())]) for end in ends), (
            f"nothing is drawn for version {number} on `axes`, at x = {number} and y = {rmse} to "
            f"{upper}: `axes.plot` takes all x first, then all y."
        )
        assert any(_among(ends[0], line) and _among(ends[1], line) for line in lines), (
            f"there is no line from {rmse} (rmse) to {upper} (rmse_upper) above version {number}: "
            "call `axes.plot` once for each version, with both points."
        )
        assert all(_among(end, dots) for end in ends), (
            f'the line of version {number} has no dot at both ends: give `axes.plot` `marker="o"`.'
        )
    assert any(same_value(one[1], gate) and same_value(two[1], gate) for one, two in lines), (
        f"there is no horizontal line at the gate, which is {gate} here: call "
        "`axes.axhline(gate)`, with the setting and no number."
    )


@catches("the poster was saved as for a screen", *QUICK)
@swap("poster", "dpi=200", "dpi=72")
@hint("save it with `dpi=200`")
@catches("the files went where the notebook runs", *QUICK)
@swap("poster", 'savefig(output / f"poster', 'savefig(f"poster')
@swap("poster", 'run_id, output / f"poster', 'run_id, f"poster')
@hint("there is no poster.png in the folder output yet")
@catches("another, empty figure was saved", *QUICK)
@swap("poster", "poster.savefig(", "plt.figure(figsize=(16.5, 11.7)).savefig(")
@hint("poster.png is blank")
def test_the_poster_is_in_the_folder(namespace, run, client):
    "poster.png and poster.pdf are in the folder output, in the size of A3"
    from PIL import Image

    with Image.open(_file(namespace, run, client, "png")) as picture:
        width, height = picture.size
        dark, bright = picture.convert("L").getextrema()
    assert width >= 3000, (
        f"poster.png is {width} dots wide, too coarse for a wall: save it with `dpi=200`."
    )
    assert abs(width / height - 16.5 / 11.7) < 0.01, (
        f"poster.png is {width} by {height} dots, which isn't the form of A3: save the figure as "
        "draw_poster returns it."
    )
    assert dark < bright, "poster.png is blank: save the figure that draw_poster returns."
    start = _file(namespace, run, client, "pdf").read_bytes()[:5]
    assert start == b"%PDF-", (
        "poster.pdf isn't a PDF: `savefig` takes the format from the ending of the file's name."
    )


@catches("the poster was logged on the newest run", *QUICK)
@swap("poster", "champion.run_id", "newest.info.run_id")
@hint("the champion's run has no poster/poster.png")
@catches("the files were logged without a folder", *QUICK)
@swap("poster", ', "poster")', ")")
@hint("(poster.png is there, outside of the folder)")
@catches("the PDF was not logged", *QUICK)
@swap("poster", "    client.log", "client.log")
@swap("poster", '("png", "pdf")', '("pdf", "png")')
@hint("the champion's run has no poster/poster.pdf")
def test_the_poster_is_on_the_champions_run(namespace, run, client):
    "both files are on the champion's run, in its folder poster"
    import mlflow

    run_id = _champion(client).run_id
    for ending in ("png", "pdf"):
        mine, path = _file(namespace, run, client, ending), f"poster/poster.{ending}"
        there = {one.path for one in client.list_artifacts(run_id)}
        found = {one.path for one in client.list_artifacts(run_id, "poster")}
        outside = f" ({mine.name} is there, outside of the folder)" if mine.name in there else ""
        assert path in found, (
            f"the champion's run has no {path}{outside}: call `client.log_artifact("
            f'champion.run_id, output / "{mine.name}", "poster")`.'
        )
        copy = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path)
        assert Path(copy).read_bytes() == mine.read_bytes(), (
            f"{path} on the champion's run isn't the file that is in the folder output: log it "
            "after you've saved it."
        )


@catches("the champion was described in other words, and the poster not drawn again", *QUICK)
@after(
    "import time\ntime.sleep(0.01)\n"
    'client.update_model_version(registered_name, 2, "The best of the first day.")'
)
@hint("poster.png in the folder output is older than what the store knows")
@catches("the metrics were typed", *QUICK)
@swap("poster", "**read_store(client)", '**read_store(client) | {"metrics": TYPED}')
@put("client", STORE + 'TYPED = known | {"rmse": 0.5}')
@hint('the poster doesn\'t say "0.625", the rmse of the champion')
@catches("another version's page was drawn", *QUICK)
@swap(
    "poster",
    "**read_store(client)",
    '**read_store(client) | {"champion": client.get_model_version(registered_name, 1)}',
)
@hint('the poster doesn\'t say "Version 2."')
def test_the_poster_shows_the_store(namespace, run, client):
    "the poster shows what is in the store now"
    _file(namespace, run, client, "png")
    # In a script it is a variable of main().
    if "poster" not in namespace:
        return
    poster = namespace["poster"]
    assert hasattr(poster, "savefig") and hasattr(poster, "findobj"), (
        f"`poster` is {kind(poster)}, not a figure: keep what draw_poster returns."
    )
    from matplotlib.text import Text

    said = "\n".join(found.get_text() for found in poster.findobj(Text))
    champion = _champion(client)
    metrics = client.get_run(champion.run_id).data.metrics
    expected = {f"Version {champion.version}.": "the number", champion.description: "the words"}
    expected |= {f"{metrics[name]:.3f}": f"the {name}" for name in SHOWN if name in metrics}
    absent = [words for words in expected if words and words not in said]
    assert not absent, (
        f'the poster doesn\'t say "{absent[0]}", {expected[absent[0]]} of the champion: draw it '
        f"with `draw_poster(**read_store(client))`, and run {LAST} again."
    )


RIGHT_WAYS = (
    right(
        "read by other calls, and in another order",
        *QUICK,
        put(
            "read-store",
            "def read_store(client):\n"
            "    import json\n"
            '    number = client.get_registered_model(registered_name).aliases["champion"]\n'
            "    facts = {'champion': client.get_model_version(registered_name, number)}\n"
            "    run = mlflow.get_run(facts['champion'].run_id)\n"
            "    facts['metrics'] = dict(run.data.metrics)\n"
            "    runs = mlflow.search_runs(experiment_names=['wine-quality'])\n"
            "    runs = runs.sort_values('metrics.cv_rmse').dropna(subset='metrics.cv_rmse')\n"
            "    found = client.search_model_versions(f\"name = '{registered_name}'\")\n"
            "    facts['candidates'] = runs\n"
            "    facts['versions'] = sorted(found, key=lambda version: int(version.version))\n"
            "    file = client.download_artifacts(run.info.run_id, 'service.json')\n"
            "    facts['service'] = json.loads(Path(file).read_text(encoding='utf-8'))\n"
            "    return facts",
        ),
    ),
    right(
        "the intervals and the gate are drawn by other calls",
        *QUICK,
        put(
            "draw-gate",
            "def draw_gate(panel, found):\n"
            "    for one in found:\n"
            "        ends = [float(one.tags[name]) for name in ('rmse', 'rmse_upper')]\n"
            "        panel.vlines(int(one.version), *ends)\n"
            "        panel.scatter([one.version, one.version], ends)\n"
            "    numbers = [int(one.version) for one in found]\n"
            "    panel.hlines(gate, min(numbers) - 1, max(numbers) + 1)",
        ),
    ),
    right(
        "no loop, and the files are logged on the reopened run",
        *QUICK,
        put(
            "poster",
            "facts = read_store(client)\n"
            "poster = draw_poster(\n"
            "    facts['champion'], facts['metrics'], facts['candidates'],\n"
            "    facts['versions'], facts['service'],\n"
            ")\n"
            "png, pdf = output / 'poster.png', output / 'poster.pdf'\n"
            "poster.savefig(png, dpi=300)\nplt.savefig(pdf)\n"
            "with mlflow.start_run(run_id=champion.run_id):\n"
            "    mlflow.log_artifact(png, 'poster')\n"
            "    mlflow.log_artifact(str(pdf), artifact_path='poster')",
        ),
    ),
    right("another colour", *QUICK, swap("draw-poster", 'red = "#7b1e3a"', 'red = "green"')),
    right("saved in a cell of its own", *QUICK, split("poster", "for kind")),
)
