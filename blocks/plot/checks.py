"""A picture of your own on the run, drawn by a function that can draw it anywhere."""

from winelab.checks.authoring import after, catches, given, put, skip_all, swap

PLOT = "plots/predictions_vs_targets.png"
TARGETS, PREDICTIONS, GUESS = (3.0, 5.0, 8.0, 4.0), (5.25, 5.5, 6.75, 5.0), 5.625


def _drawn(namespace):
    """Axes, beside all other figures, on which the student's function has drawn four wines."""
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    draw = namespace.get("plot_predictions_vs_targets")
    assert callable(draw), (
        "there is no function `plot_predictions_vs_targets` yet: write it in the cell "
        '"Pictures of the predictions", with the arguments axes, targets, predictions, guess.'
    )
    axes = Figure().subplots()
    before = set(plt.get_fignums())
    try:
        draw(axes, pd.Series(TARGETS), np.array(PREDICTIONS), GUESS)
    except Exception as error:
        raise AssertionError(
            "plot_predictions_vs_targets(axes, targets, predictions, guess) stops with "
            f"{type(error).__name__}: {error}. It must draw whatever it is given, with no "
            "variable from outside."
        ) from None
    finally:
        new = set(plt.get_fignums()) - before
        for number in new:
            plt.close(number)
    assert axes.has_data(), (
        "plot_predictions_vs_targets draws nothing on the `axes` that it is given: call the "
        "methods of `axes`, such as axes.scatter, and not those of plt, and make no figure in it."
    )
    return axes


def _points(axes):
    """Each set of points on the axes, as an array of x and y."""
    import numpy as np

    scattered = [np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets())]
    plotted = [line.get_xydata() for line in axes.lines if line.get_marker() not in (None, "None")]
    return [np.asarray(points, dtype=float) for points in (*scattered, *plotted)]


def _shows(axes, x, y):
    """Whether one of the sets of points has these x and y, in any order."""
    import numpy as np

    asked = np.column_stack([x, y]).astype(float)
    asked = asked[np.lexsort(asked.T)]
    return any(
        points.shape == asked.shape and np.allclose(points[np.lexsort(points.T)], asked)
        for points in _points(axes)
    )


def _is_diagonal(line):
    """Whether all points of the line have x equal to y."""
    import numpy as np
    from matplotlib.lines import AxLine

    if isinstance(line, AxLine):
        first, second, slope = line.get_xy1(), line.get_xy2(), line.get_slope()
        if slope is None:
            return bool(np.isclose(*first) and np.isclose(*second))
        return bool(np.isclose(*first) and np.isclose(slope, 1))
    points = np.asarray(line.get_xydata(), dtype=float)
    return len(points) > 1 and bool(np.allclose(points[:, 0], points[:, 1]))


def _is_level(axes, height):
    """Whether there is a level line at this height."""
    import numpy as np
    from matplotlib.collections import LineCollection
    from matplotlib.lines import AxLine

    ends = [line.get_xydata() for line in axes.lines if not isinstance(line, AxLine)]
    for line in axes.lines:
        if isinstance(line, AxLine):
            first, second, slope = line.get_xy1(), line.get_xy2(), line.get_slope()
            if second is not None or slope == 0:
                ends.append([first, second or first])
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            ends += lines.get_segments()
    return any(len(e) > 1 and np.allclose(np.asarray(e, float)[:, 1], height) for e in ends)


def _picture(attempt, runs, client):
    """The pixels of the picture on the run with the model."""
    import tempfile

    from matplotlib.image import imread

    # The newest run that finished may be the baseline's.
    run = next((run for run in attempt if run.outputs.model_outputs), None)
    assert run and run.info.status == "FINISHED", (
        "the run with the model did not finish: mend the error shown above, and run again."
    )
    there = {entry.path for entry in client.list_artifacts(run.info.run_id, "plots")}
    still_open = any(other.info.status == "RUNNING" for other in runs)
    assert PLOT in there or not still_open, (
        f"a run is still open, and {PLOT} is not on yours: logged after the `with`, a figure "
        "opens a run of its own. Call mlflow.end_run(), and log it inside."
    )
    assert PLOT in there, (
        f'{PLOT} is not on the run: inside the `with`, call mlflow.log_figure(figure, "{PLOT}"). '
        "savefig writes into the folder that you are in, where no run has it."
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            return imread(client.download_artifacts(run.info.run_id, PLOT, folder))
        except (OSError, SyntaxError, ValueError):
            raise AssertionError(
                f"{PLOT} is on the run, but no program can open it: let mlflow.log_figure write it."
            ) from None


def _again(figure, width):
    """The pixels of a figure, drawn anew as wide as asked."""
    import io

    from matplotlib.image import imread

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=width / figure.get_figwidth())
    file.seek(0)
    return imread(file)


DRAW = "plot_predictions_vs_targets(axes, y_test, predictions, y_train.mean())"
LOG = f'mlflow.log_figure(figure, "{PLOT}")'
CLOSE = "plt.close(figure)"


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "the function makes axes of its own, and draws on them",
    swap("plot", "    axes.scatter", "    _, axes = plt.subplots()\n    axes.scatter"),
    hint="make no figure in it",
)
@catches(
    "targets and predictions changed places in the function",
    swap("plot", "scatter(targets, predictions", "scatter(predictions, targets"),
    hint="the wrong way round",
)
@catches(
    "the function draws with plt, on whatever figure is the current one",
    put(
        "plot",
        "def plot_predictions_vs_targets(axes, targets, predictions, guess):\n"
        '    plt.scatter(targets, predictions, label="a wine")\n'
        '    plt.axline((6, 6), slope=1, label="a perfect model")\n'
        '    plt.axhline(guess, label="the baseline")\n'
        '    plt.xlabel("quality, as judged")\n'
        '    plt.ylabel("quality, as predicted")\n'
        "    plt.legend()",
    ),
    hint="and not those of plt",
)
@catches(
    "the function draws variables from outside",
    put(
        "plot",
        "def plot_predictions_vs_targets(axes, targets, predictions, guess):\n"
        '    axes.scatter(y_test, model.predict(X_test), label="a wine")',
    ),
    hint="no variable from outside",
)
def test_the_function_draws_what_it_is_given(namespace):
    "`plot_predictions_vs_targets` draws a point a wine: truth to the right, prediction upwards"
    axes = _drawn(namespace)
    assert not _shows(axes, PREDICTIONS, TARGETS), (
        "the axes are the wrong way round: the truth goes to the right and the prediction "
        "upwards, axes.scatter(targets, predictions)."
    )
    assert _shows(axes, TARGETS, PREDICTIONS), (
        "for four other wines the function does not draw their four points: call "
        "axes.scatter(targets, predictions), with its own arguments and no variable from outside."
    )


@catches(
    "the level line is at a figure that was written down",
    swap("plot", "axhline(guess", "axhline(5.63"),
    hint="axes.axhline(guess, ...)",
)
def test_the_function_draws_both_lines(namespace):
    "it draws the diagonal of a perfect model, and a level line at `guess`"
    axes = _drawn(namespace)
    assert any(_is_diagonal(line) for line in axes.lines), (
        "the diagonal is missing, where prediction and truth are equal: call "
        "axes.axline((6, 6), slope=1, ...)."
    )
    assert _is_level(axes, GUESS), (
        "there is no level line at `guess`: call axes.axhline(guess, ...), with the argument and "
        "not with a figure of this table."
    )


@catches(
    "the axes have no labels",
    swap("plot", 'axes.set(xlabel="quality, as judged", ylabel="quality, as predicted")', ""),
    hint="nobody can tell which one is the truth",
)
@catches(
    "the legend was asked for before the lines were drawn",
    put(
        "plot",
        "def plot_predictions_vs_targets(axes, targets, predictions, guess):\n"
        '    axes.scatter(targets, predictions, label="a wine")\n'
        "    axes.legend()\n"
        '    axes.axline((6, 6), slope=1, label="a perfect model")\n'
        '    axes.axhline(guess, label="the baseline")\n'
        '    axes.set(xlabel="quality, as judged", ylabel="quality, as predicted")',
    ),
    hint="the legend names 1 of three",
)
@catches(
    "the labels are there, and no legend shows them",
    swap("plot", "\n    axes.legend()", ""),
    hint="the axes have no legend",
)
def test_the_axes_are_labelled(namespace):
    "both axes have a label, and a legend names the points and the two lines"
    axes = _drawn(namespace)
    assert axes.get_xlabel().strip() and axes.get_ylabel().strip(), (
        "an axis has no label, and nobody can tell which one is the truth: call "
        'axes.set(xlabel="...", ylabel="...") in the function.'
    )
    legend = axes.get_legend()
    assert legend is not None, (
        "the axes have no legend: after all three are drawn, each with its label=, call "
        "axes.legend()."
    )
    named = [text for text in legend.get_texts() if text.get_text().strip()]
    assert len(named) >= 3, (
        f"the legend names {len(named)} of three: give the points, the diagonal and the level "
        "line a label= each, and call axes.legend() after them."
    )


@catches(
    "the figure was saved into the folder that the notebook runs in",
    swap("log-plot", LOG, 'figure.savefig("predictions_vs_targets.png")'),
    hint="savefig writes into the folder that you are in",
)
@catches(
    "savefig was asked for a folder that is not there",
    swap("log-plot", LOG, f'figure.savefig("{PLOT}")'),
    hint="mend the error shown above",
    error="No such file or directory: 'plots/predictions_vs_targets.png'",
)
@catches(
    "the figure was logged after the run, which opens another one",
    swap("log-plot", f"{LOG}\n", ""),
    after(LOG),
    hint="Call mlflow.end_run() once",
)
@catches(
    "the path has no folder",
    swap("log-plot", "plots/", ""),
    hint="plots/predictions_vs_targets.png is not on the run",
)
@catches(
    "the figure was logged before anything was drawn",
    put("log-plot", f"figure, axes = plt.subplots()\n{LOG}\n{DRAW}\n{CLOSE}"),
    hint="draw first, and then log it",
)
@catches(
    "the current figure was logged after the drawn one was closed: a blank page",
    put(
        "log-plot",
        f"figure, axes = plt.subplots()\n{DRAW}\n{CLOSE}\n" + LOG.replace("figure,", "plt.gcf(),"),
    ),
    hint="the picture is blank",
)
@catches(
    "the axes were logged, and not the figure",
    swap("log-plot", LOG, LOG.replace("figure,", "axes,")),
    hint="mend the error shown above",
    error="Unsupported figure object type",
)
def test_the_picture_is_on_the_run(attempt, runs, client, namespace):
    "plots/predictions_vs_targets.png is on the run, and shows `figure`"
    import numpy as np

    picture = _picture(attempt, runs, client)
    assert picture[..., :3].std() > 0.01, (
        "the picture is blank: log the `figure` that you have drawn on. After plt.close, "
        "plt.gcf() makes a new and empty one."
    )
    figure = namespace["figure"]
    assert hasattr(figure, "savefig"), (
        "`figure` is no figure: plt.subplots() answers with two things, `figure, axes = ...`."
    )
    mine = _again(figure, picture.shape[1])
    # Where it was saved in another shape on purpose, the pixels cannot be compared.
    assert mine.shape != picture.shape or np.abs(mine - picture).mean() < 0.01, (
        "the picture on the run is not what `figure` shows now: draw first, and then log it."
    )


@catches(
    "targets and predictions changed places in the call",
    swap("log-plot", "y_test, predictions", "predictions, y_test"),
    hint="changed places on `axes`",
)
@catches(
    "the training wines were drawn",
    swap("log-plot", "y_test, predictions", "y_train, model.predict(X_train)"),
    hint="are not the test wines",
)
@catches(
    "the level line is at the mean of the test wines, which no baseline knows",
    swap("log-plot", "y_train.mean()", "y_test.mean()"),
    hint="y_train.mean()",
)
def test_it_shows_the_test_wines(attempt, runs, client, namespace):
    "`axes` shows the test wines, your predictions, and what the baseline says"
    _picture(attempt, runs, client)
    axes, actual, predicted = (namespace[name] for name in ("axes", "y_test", "predictions"))
    assert hasattr(axes, "get_lines"), (
        "`axes` is no axes: plt.subplots() answers with two things, `figure, axes = ...`."
    )
    assert not _shows(axes, predicted, actual), (
        "truth and predictions changed places on `axes`: mend the function first, then call "
        "plot_predictions_vs_targets(axes, y_test, predictions, ...)."
    )
    assert _shows(axes, actual, predicted), (
        "the points on `axes` are not the test wines: call plot_predictions_vs_targets(axes, "
        "y_test, predictions, ...)."
    )
    assert _is_level(axes, namespace["y_train"].mean()), (
        "the level line is not at what the baseline says: that is the mean of the training "
        "wines, y_train.mean()."
    )


@catches("the figure was left open", swap("log-plot", CLOSE, ""), hint="1 figure is still open")
def test_the_figure_is_closed(attempt, runs, client):
    "no figure is left open"
    import matplotlib.pyplot as plt

    _picture(attempt, runs, client)
    count = len(plt.get_fignums())
    assert not count, (
        f"{count} figure{'s are' if count > 1 else ' is'} still open, in memory until the program "
        'ends: call plt.close(figure) after mlflow.log_figure; here and now, plt.close("all").'
    )
