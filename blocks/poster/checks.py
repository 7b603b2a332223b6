"""Everything is read from the store, and the poster that shows it is on the champion's run."""

from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

from winelab.checks.authoring import after, catches, hint, put, right, skip, split, swap
from winelab.checks.comparing import kind, listed, same_value
from winelab.checks.looking import EXPERIMENT, REGISTERED, artifact_paths, champion_of, output_file
from winelab.checks.scratch import call, scratch_store, student_function
from winelab.core.console import shortened

LAST = 'the cell "8. Draw the poster"'


def _furnish(client):
    """Fill an empty store: two versions, of which the first is champion; its facts in words.

    The runs that were made last, and those of another experiment and model, are not to be shown.
    """
    import mlflow
    from mlflow.entities import Metric, Param

    files = Path.cwd().as_uri()
    experiment = client.create_experiment(EXPERIMENT, artifact_location=files)
    mlflow.set_experiment(experiment_id=experiment)
    for place, alpha in ((experiment, "0.1"), (experiment, "2"), ("0", "3")):
        run_id = client.create_run(place).info.run_id
        client.log_batch(run_id, [Metric("cv_rmse", float(alpha), 0, 0)], [Param("alpha", alpha)])
    for name in (REGISTERED, "tea"):
        client.create_registered_model(name)
    for number, name in enumerate((REGISTERED, REGISTERED, "tea")):
        run_id = client.create_run(experiment).info.run_id
        client.log_dict(run_id, {"answers": [number]}, "service.json")
        client.create_model_version(name, f"{files}/{run_id}", run_id)
    client.set_registered_model_alias(REGISTERED, "champion", "1")
    return {
        "champion": "version 1",
        "run": f"run {client.get_model_version(REGISTERED, '1').run_id}",
        "candidates": "alpha 0.1 and 2",
        "versions": listed(f"{REGISTERED} {number}" for number in (1, 2)),
        "service": "{'answers': [0]}",
    }


def _drawn(axes):
    """The lines that stand on an axes, as pairs of points, and the dots."""
    from matplotlib.collections import LineCollection, PathCollection

    lines, dots, not_drawn = [], [], (None, "None", "none", "", " ")
    for line in axes.lines:
        points = [tuple(map(float, point)) for point in line.get_xydata()]
        lines += pairwise(points) if line.get_linestyle() not in not_drawn else ()
        dots += points if line.get_marker() not in not_drawn else ()
    for found in axes.collections:
        if isinstance(found, LineCollection):
            lines += [tuple(map(tuple, segment)) for segment in found.get_segments()]
        elif isinstance(found, PathCollection):
            dots += [tuple(map(float, point)) for point in found.get_offsets()]
    return lines, dots


def _among(point, others):
    return any(all(map(same_value, point, other)) for other in others)


def _file(namespace, run, client, name):
    """A file of the poster in the folder output, drawn after the newest run and description."""
    since = max(run.info.start_time, champion_of(client).last_updated_timestamp)
    missing = f'in {LAST}, call `poster.savefig(output / "{name}", dpi=200)`.'
    old = f"the newest run, or than the champion's description: run {LAST} again."
    return output_file(namespace, name, since, missing=missing, old=old)


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
        mlflow.log_param("elasticnet__alpha", 0.1)
        mlflow.log_metrics(known)
        mlflow.log_dict({"answers": [5.1, 5.9], "grades": [5, 6]}, "service.json")
    place, tags = made.info.artifact_uri, {name: str(known[name]) for name in known}
    client.create_model_version(registered_name, place, made.info.run_id, tags=tags)
client.update_model_version(registered_name, 2, "Better than the mean.")
client.set_registered_model_alias(registered_name, "champion", 2)
champion = client.get_model_version(registered_name, 2)
with mlflow.start_run() as newest:
    mlflow.log_metric("rmse", 0.9)
"""
QUICK = (skip("choice", "training", "champion", "serve"), put("client", STORE))
BOTH = 'float(version.tags["rmse"]), float(version.tags["rmse_upper"])'
# Of each fact: what it is in words, and the call that asks for it.
FACTS = {
    "champion": (
        lambda version: f"version {version.version}",
        'client.get_model_version_by_alias(registered_name, "champion")',
    ),
    "run": (lambda run: f"run {run.info.run_id}", "client.get_run(champion.run_id)"),
    "candidates": (
        lambda runs: f"alpha {listed(sorted(map(str, set(runs['params.alpha']))))}",
        'mlflow.search_runs(filter_string="metrics.cv_rmse > 0")',
    ),
    "versions": (
        lambda versions: listed(sorted(f"{one.name} {one.version}" for one in versions)),
        "client.search_model_versions(f\"name='{registered_name}'\")",
    ),
    "service": (str, 'mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json")'),
}


@catches("the champion's number was typed", *ALONE)
@swap("read-store", FACTS["champion"][1], "client.get_model_version(registered_name, 2)")
@hint('"champion" is version 2, and should be version 1')
@catches("the run of another version was taken", *ALONE)
@swap("read-store", "champion.run_id)", "client.get_model_version(registered_name, 2).run_id)")
@hint("and should be run")
@catches("all runs were taken for candidates", *ALONE)
@swap("read-store", 'filter_string="metrics.cv_rmse > 0"', "")
@hint("2 and nan, and should be alpha 0.1 and 2")
@catches("the candidates are those of all experiments", *ALONE)
@swap("read-store", "cv_rmse > 0", 'cv_rmse > 0", search_all_experiments="yes')
@hint('"candidates" is alpha 0.1, 2 and 3')
@catches("the versions of all models were taken", *ALONE)
@swap("read-store", "f\"name='{registered_name}'\"", "")
@hint('"versions" is tea 1,')
@catches("the service's answers came from a variable", *ALONE)
@swap("read-store", FACTS["service"][1], "service")
@after('service = {"answers": [5.0]}')
@hint("\"service\" is {'answers': [5.0]}")
@catches("an entry has another name", *ALONE)
@swap("read-store", '"run"', '"runs"')
@hint('has no "run"')
def test_read_store_follows_the_store(namespace):
    "read_store(client) returns what stands in the store, also in another one"
    cell = "Everything that the poster shows, read from the store"
    read_store = student_function(namespace, "read_store", cell)
    with scratch_store() as client:
        expected = _furnish(client)
        found = call(read_store, client, on_error="It takes the client alone.", expect=dict)
    for name, (in_words, how) in FACTS.items():
        assert name in found, f'the dictionary of read_store has no "{name}": add it.'
        try:
            words = in_words(found[name])
        except (AttributeError, KeyError, TypeError, IndexError):
            words = kind(found[name])
        assert words == expected[name], (
            f'in a small store that the check made, "{name}" is {shortened(words)}, and should be '
            f"{expected[name]}: `{how}`."
        )


@catches("it was drawn with plt, on whatever figure is at hand", *ALONE)
@swap("draw-gate", "axes.plot", "plt.plot")
@hint("nothing is drawn for version 9")
@catches("the tags stayed texts", *ALONE)
@swap("draw-gate", BOTH, 'version.tags["rmse"], version.tags["rmse_upper"]')
@hint("make numbers of both with `float`")
@catches("the line has no dots", *ALONE)
@swap("draw-gate", ', marker="o"', "")
@hint("has no dot")
@catches("two dots, and no line between them", *ALONE)
@swap("draw-gate", 'marker="o", color="grey"', '"o", color="grey"')
@hint("no line from")
@catches("the gate's number was typed", *ALONE)
@swap("draw-gate", "axhline(gate", "axhline(0.7")
@hint("no horizontal line at the gate, which is 0.45 here")
def test_draw_gate_draws_each_interval(namespace):
    "draw_gate(axes, versions) draws each version's interval, and the gate"
    from matplotlib.figure import Figure
    from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

    draw_gate = student_function(namespace, "draw_gate", "The poster")
    intervals = {9: (0.25, 0.375), 11: (0.5, 0.625), 2: (0.75, 0.8125)}
    versions = []
    for number, ends in intervals.items():
        tags = [*map(ModelVersionTag, ("rmse", "rmse_upper"), map(str, ends))]
        versions.append(ModelVersion(REGISTERED, number, 0, tags=tags))
    axes, gate = Figure().subplots(), 0.45
    # With another gate than the course's: the setting counts, and no number in the function.
    with patch.dict(getattr(draw_gate, "__globals__", {}), gate=gate):
        call(draw_gate, axes, versions, on_error="It takes the axes, then the versions.")
    lines, dots = _drawn(axes)
    texts = {label.get_text() for label in axes.get_yticklabels()} & {"0.25", "0.375", "0.8125"}
    assert not texts, "the tags were drawn as texts: make numbers of both with `float`."
    for number, (rmse, upper) in intervals.items():
        ends = ((number, rmse), (number, upper))
        assert any(_among(end, [*dots, *sum(lines, ())]) for end in ends), (
            f"nothing is drawn for version {number} on `axes`, at x = {number} and y = {rmse} to "
            f"{upper}: call `axes.plot`, not that of `plt`, with all x first, then all y."
        )
        assert any(_among(ends[0], line) and _among(ends[1], line) for line in lines), (
            f"there is no line from {rmse} (rmse) to {upper} (rmse_upper) above version {number}: "
            "call `axes.plot` once for each version, with both points."
        )
        assert all(_among(end, dots) for end in ends), (
            f'the line of version {number} has no dot at both ends: give `axes.plot` `marker="o"`.'
        )
    assert any(same_value(one[1], gate) and same_value(two[1], gate) for one, two in lines), (
        f"there is no horizontal line at the gate, which is {gate} here: `axes.axhline(gate)`."
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

    with Image.open(_file(namespace, run, client, "poster.png")) as picture:
        width, height = picture.size
        blank = picture.getcolors(1) is not None
    assert width >= 3000, f"poster.png is only {width} dots wide: save it with `dpi=200`."
    how = "save the figure that draw_poster returns."
    form = abs(width / height - 16.5 / 11.7)
    assert form < 0.01, f"poster.png has not the form of A3, but {width} by {height} dots: {how}"
    assert not blank, f"poster.png is blank: {how}"
    start = _file(namespace, run, client, "poster.pdf").read_bytes()[:5]
    assert start == b"%PDF-", "poster.pdf isn't a PDF: save it under a name that ends in .pdf."


@catches("the poster was logged on the newest run", *QUICK)
@swap("poster", "champion.run_id", "newest.info.run_id")
@hint("the champion's run has no poster/poster.png")
@catches("the files were logged without a folder", *QUICK)
@swap("poster", ', "poster")', ")")
@hint("(poster.png is there, outside of the folder)")
def test_the_poster_is_on_the_champions_run(namespace, run, client):
    "both files are on the champion's run, in its folder poster"
    import mlflow

    run_id = champion_of(client).run_id
    there = artifact_paths(client, client.get_run(run_id))
    lost = [path for path in there if path.startswith(("poster/poster.png/", "poster/poster.pdf/"))]
    assert not lost, (
        f"{lost[0]} on the champion's run lies too deep: client.log_artifact takes the folder "
        'last, "poster". A run keeps what it has, so fix that line, take the alias off, '
        '`client.delete_registered_model_alias(registered_name, "champion")`, and run all cells: '
        "the new champion has a run of its own."
    )
    for name in ("poster.png", "poster.pdf"):
        mine, path = _file(namespace, run, client, name), f"poster/{name}"
        outside = f" ({name} is there, outside of the folder)" if name in there else ""
        assert path in there, (
            f"the champion's run has no {path}{outside}: "
            f'`client.log_artifact(champion.run_id, output / "{name}", "poster")`.'
        )
        copy = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path)
        assert Path(copy).read_bytes() == mine.read_bytes(), (
            f"{path} on the champion's run isn't the newest one: log it after you've saved it."
        )


@catches("the champion was described in other words, and the poster not drawn again", *QUICK)
@after("import time\ntime.sleep(0.01)\nclient.update_model_version(registered_name, 2, 'Best.')")
@hint("poster.png in the folder output is older than")
@catches("another version's run was drawn", *QUICK)
@swap("poster", "read_store(client)", 'read_store(client) | {"run": client.get_run(other.run_id)}')
@put("client", f"{STORE}other = client.get_model_version(registered_name, 1)")
@hint('the poster doesn\'t say "0.625", the rmse of the champion')
def test_the_poster_shows_the_store(namespace, run, client):
    "the poster shows what is in the store now"
    _file(namespace, run, client, "poster.png")
    if "poster" not in namespace:
        return  # In a script it is a variable of main().
    poster = namespace["poster"]
    assert hasattr(poster, "savefig") and hasattr(poster, "findobj"), (
        f"`poster` is {kind(poster)}, not a figure: keep what draw_poster returns."
    )
    from matplotlib.text import Text

    said = "\n".join(found.get_text() for found in poster.findobj(Text))
    champion = champion_of(client)
    metrics = client.get_run(champion.run_id).data.metrics
    shown = {"rmse", "rmse_upper", "baseline_rmse", "within_half"} & metrics.keys()
    expected = {f"Version {champion.version}.": "number", champion.description: "description"}
    expected |= {f"{metrics[name]:.3f}": name for name in sorted(shown)}
    absent = [words for words in expected if words and words not in said]
    assert not absent, (
        f'the poster doesn\'t say "{absent[0]}", the {expected[absent[0]]} of the champion: draw '
        f"it with `draw_poster(**read_store(client))`, and run {LAST} again."
    )


READ = """\
def read_store(client):
    import json
    number = client.get_registered_model(registered_name).aliases["champion"]
    champion = client.get_model_version(registered_name, number)
    runs = mlflow.search_runs(experiment_names=["wine-quality"])
    runs = runs.sort_values("metrics.cv_rmse").dropna(subset="metrics.cv_rmse")
    found = list(client.search_model_versions(f"name = '{registered_name}'"))
    file = Path(client.download_artifacts(champion.run_id, "service.json"))
    facts = dict(service=json.loads(file.read_text(encoding="utf-8")), candidates=runs)
    return facts | dict(champion=champion, run=mlflow.get_run(champion.run_id), versions=found)
"""
DRAWN = """\
def draw_gate(panel, found):
    for one in found:
        ends = [float(one.tags[name]) for name in ("rmse", "rmse_upper")]
        panel.vlines(int(one.version), *ends)
        panel.scatter([one.version, one.version], ends)
    panel.hlines(gate, 0, len(found) + 1)
"""
LOGGED = """\
poster = draw_poster(**read_store(client))
png, pdf = output / "poster.png", output / "poster.pdf"
poster.savefig(png, dpi=300)
plt.savefig(pdf)
with mlflow.start_run(run_id=champion.run_id):
    mlflow.log_artifact(png, "poster")
    mlflow.log_artifact(str(pdf), artifact_path="poster")
"""
RIGHT_WAYS = (
    right("read by other calls, and in another order", *QUICK, put("read-store", READ)),
    right("the panel is drawn by other calls", *QUICK, put("draw-gate", DRAWN)),
    right("no loop, and logged on the reopened run", *QUICK, put("poster", LOGGED)),
    right("saved in a cell of its own", *QUICK, split("poster", "for kind")),
)
