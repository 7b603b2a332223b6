"""Evaluate has drawn the predictions and the bootstrap, and the picture is on the run."""

import tempfile

from winelab.checks.authoring import catches, error, hint, put, right, swap
from winelab.checks.comparing import (
    as_evaluate_passes,
    bootstrap_rmses,
    evaluate_metrics,
    kind,
    listed,
)
from winelab.checks.looking import artifact_paths
from winelab.checks.scratch import call, student_function

NAME, KEY = "draw_evaluation", "evaluation"
FILE = f"{KEY}.png"
RETURN = f'`return {{"{KEY}": figure}}`'
ADVICE = (
    "`plt.subplots(1, 2)` returns a figure and two axes; draw on the axes, and close the figure."
)


def _wines():
    """A table as evaluate passes it, with 40 made-up wines that no wine of the course resembles."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(3)
    target = rng.uniform(3, 8, 40)
    wines = {"prediction": target + rng.normal(0.4, 0.8, 40), "target": target}
    return pd.DataFrame(wines, rng.permutation(40))


def _answer(namespace):
    """What the student's function returns for the made-up wines, and the figures it leaves open.

    Asked once for all checks: drawing takes a tenth of a second.
    """
    function = student_function(namespace, NAME, "Pictures of the evaluation")
    if "_drawn" not in namespace:
        left_open = []
        wines = _wines()
        # Metrics are there for those who write them into the title.
        metrics = as_evaluate_passes(evaluate_metrics(wines["target"], wines["prediction"]))
        with tempfile.TemporaryDirectory() as folder:
            given = (wines, metrics, folder)
            answer = call(function, *given, left_open=left_open, on_error=ADVICE)
        namespace["_drawn"] = answer, left_open
    return namespace["_drawn"]


def _drawn(namespace):
    """The figure that the student's function returns for the made-up wines."""
    from matplotlib.figure import Figure

    answer, _ = _answer(namespace)
    assert isinstance(answer, dict), (
        f"{NAME} gives back {kind(answer)}, and MLflow wants a dictionary: {RETURN}."
    )
    assert KEY in answer, (
        f'{NAME} returns no key "{KEY}", only {listed(map(repr, answer)) if answer else "{}"}: '
        f'{RETURN}. Leave ".png" out, MLflow adds it.'
    )
    assert isinstance(answer[KEY], Figure), (
        f'under "{KEY}" is {kind(answer[KEY])}. Return the figure, the first of the two that '
        "`plt.subplots` returns."
    )
    return answer[KEY]


def _points(axes):
    """All points in the axes, whether drawn by scatter or by plot, shape (n, 2)."""
    import numpy as np

    found = [np.asarray(drawn.get_offsets(), dtype=float) for drawn in axes.collections]
    found += [np.asarray(line.get_xydata(), dtype=float) for line in axes.lines]
    return np.concatenate([np.empty((0, 2)), *(each for each in found if each.ndim == 2)])


def _has(axes, x, y):
    """Whether each pair of values is a point in the axes."""
    import numpy as np

    points = _points(axes)
    return all(np.isclose(points, pair).all(axis=1).any() for pair in zip(x, y, strict=True))


def _is_diagonal(line):
    """Whether a line goes through points whose two values are equal."""
    import numpy as np

    if hasattr(line, "get_slope"):
        x, y = line.get_xy1()
        end = line.get_xy2()
        slope = line.get_slope() if end is None else (end[1] - y) / (end[0] - x)
        return bool(np.isclose(slope, 1) and np.isclose(x, y))
    x, y = np.asarray(line.get_xydata(), dtype=float).T
    return len(x) > 1 and bool(np.allclose(x, y) and np.ptp(x) > 0)


@catches("a column was asked for that eval_df doesn't have")
@swap("plots", 'scatter(eval_df["target"]', 'scatter(eval_df["quality"]')
@hint("there is nothing under 'quality'")
@error("KeyError: 'quality'")
@catches("the function takes two arguments, as a metric of older courses does")
@swap("plots", "(eval_df, builtin_metrics, artifacts_dir)", "(eval_df, builtin_metrics)")
@hint("takes 2 positional arguments but 3 were given")
@error("takes 2 positional arguments but 3 were given")
@catches("the axes changed places")
@swap(
    "plots",
    '(eval_df["target"], eval_df["prediction"], alpha',
    '(eval_df["prediction"], eval_df["target"], alpha',
)
@hint("`scatter` takes the horizontal values first")
@catches("it draws variables from outside, and not what it is given")
@swap("plots", 'scatter(eval_df["target"], eval_df["prediction"]', "scatter(y_test, predictions")
@hint("no variable from outside")
def test_the_points_are_the_wines(namespace):
    "the left panel has a point for each wine: true quality to the right, prediction upwards"
    panels, wines = _drawn(namespace).axes, _wines()
    x, y = wines["target"], wines["prediction"]
    assert not any(_has(axes, y, x) for axes in panels), (
        "the axes changed places: `scatter` takes the horizontal values first, the targets."
    )
    assert any(_has(axes, x, y) for axes in panels), (
        'for other wines the points are missing: draw the columns "target" and "prediction" of '
        "`eval_df`, and no variable from outside."
    )


@catches("the diagonal is missing")
@swap("plots", '    wines.axline((6, 6), slope=1, color="black")\n', "")
@hint("`wines.axline((6, 6), slope=1)`")
def test_the_diagonal_is_there(namespace):
    "the diagonal is in the same panel"
    wines = _wines()
    panels = [a for a in _drawn(namespace).axes if _has(a, wines["target"], wines["prediction"])]
    assert any(_is_diagonal(line) for axes in panels for line in axes.lines), (
        "there is no line on which prediction and truth are equal. In the panel with the points, "
        "call `wines.axline((6, 6), slope=1)`."
    )


@catches("the histogram shows errors, and not RMSEs")
@swap("plots", 'bootstrap_rmse(eval_df["prediction"], eval_df["target"])', 'eval_df["prediction"]')
@hint("Draw what `bootstrap_rmse` returns")
@catches("the histogram is in the left panel, and the right one is empty")
@swap("plots", "errors.hist(", "wines.hist(")
@hint("a panel of its own")
def test_the_histogram_is_the_bootstrap(namespace):
    "the right panel has a histogram of the bootstrap's RMSEs"
    import numpy as np

    wines = _wines()
    expected = bootstrap_rmses(wines["target"], wines["prediction"])
    shapes = [
        patch.get_path().transformed(patch.get_patch_transform()).vertices
        for axes in _drawn(namespace).axes
        if not _has(axes, wines["target"], wines["prediction"])
        for patch in axes.patches
    ]
    # A bar without height is there for a range that somebody has given.
    shapes = [shape for shape in shapes if np.ptp(shape, axis=0).all()]
    assert shapes, "there is no histogram in a panel of its own: call `hist` of the second axes."
    corners = np.concatenate(shapes)
    # Standing bars or lying ones.
    ends = zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    assert any(
        abs((low + high - expected.min() - expected.max()) / 2) < expected.std()
        and 0.5 < (high - low) / np.ptp(expected) < 2
        for low, high in ends
    ), (
        "for other wines the histogram is in another place than their RMSEs. Draw what "
        "`bootstrap_rmse` returns for the two columns of `eval_df`."
    )


@catches("no axis has a label")
@swap("plots", "errors.set(", "dict(")
@hint("is not labelled")
def test_the_axes_are_labelled(namespace):
    "both panels have labels on their axes"
    wines = _wines()
    for axes in _drawn(namespace).axes:
        if not (axes.patches or _has(axes, wines["target"], wines["prediction"])):
            continue  # a colour bar, or a panel of the student's own
        assert axes.get_xlabel() and axes.get_ylabel(), (
            "an axis is not labelled. Call `set(xlabel=..., ylabel=...)` of both panels, in your "
            "own words."
        )


@catches("the figure was left open")
@swap("plots", "    plt.close(figure)\n", "")
@hint("Call `plt.close(figure)`")
def test_no_figure_stays_open(namespace):
    "the function closes its figure"
    _drawn(namespace)
    assert not _answer(namespace)[1], (
        "the figure stays open, and in a long-lived program they add up. Call `plt.close(figure)` "
        "before the `return`: MLflow can still save it."
    )


@catches("the function returns nothing")
@swap("plots", '    return {"evaluation": figure}', "")
@hint("gives back nothing (None)")
@catches("the axes were returned, and MLflow pickles them")
@swap("plots", '{"evaluation": figure}', '{"evaluation": wines}')
@hint("Return the figure")
@catches("the key has an ending, so that the file has two")
@swap("plots", '{"evaluation": figure}', '{"evaluation.png": figure}')
@hint('Leave ".png" out')
@catches("the function was never passed to evaluate")
@swap("extras", "    custom_artifacts=[draw_evaluation],", "")
@hint("Pass it to `evaluate`")
@catches("the function was called instead of handed over")
@swap("extras", "[draw_evaluation]", "[draw_evaluation()]")
@hint("ended as FAILED")
@error("missing 3 required positional arguments")
@catches("the figure was emptied before it was returned")
@swap("plots", "    plt.close(figure)", "    figure.clf()\n    plt.close(figure)")
@hint("is blank")
def test_the_picture_is_on_the_run(run, client, namespace):
    "evaluation.png is on the run, and is not blank"
    if FILE not in artifact_paths(client, run):
        # Where the function is wrong, the better hint comes from here.
        _drawn(namespace)
        raise AssertionError(
            f"{NAME} works, and your newest run has no {FILE}. Pass it to `evaluate`, "
            f"`custom_artifacts=[{NAME}]`, and run all cells again."
        )
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    with tempfile.TemporaryDirectory() as folder:
        try:
            with Image.open(client.download_artifacts(run.info.run_id, FILE, folder)) as picture:
                shades = np.asarray(picture.convert("L"))
        except (UnidentifiedImageError, OSError):
            raise AssertionError(f"{FILE} is no picture: return the figure itself.") from None
    # Axes, their labels and a histogram cover more.
    assert (shades < 200).mean() > 0.01, (
        f"{FILE} is blank: empty nothing before the `return`, and run all cells again. `plt.close` "
        "only takes a figure off matplotlib's list."
    )


RIGHT_WAYS = (
    right(
        "the bootstrap is on the left, its bars lie, and there is a colour bar",
        swap("plots", "(wines, errors)", "(errors, wines)"),
        swap("plots", "bins=30,", 'bins=30, orientation="horizontal",'),
        swap(
            "plots",
            "    plt.close",
            "    figure.colorbar(wines.collections[0], ax=wines)\n    plt.close",
        ),
    ),
    right(
        "the figure is made without pyplot, and drawn with plot and bar",
        put(
            "plots",
            "from matplotlib.figure import Figure\n\n\n"
            "def draw_evaluation(table, _, folder):\n"
            "    figure = Figure(figsize=(10, 4))\n"
            "    left, right = figure.subplots(1, 2)\n"
            '    left.plot(table["target"], table["prediction"], "o")\n'
            "    left.plot([3, 8], [3, 8])\n"
            '    rmses = bootstrap_rmse(table["prediction"], table["target"])\n'
            "    heights, edges = np.histogram(rmses, bins=20, density=True)\n"
            '    right.bar(edges[:-1], heights, width=np.diff(edges), align="edge")\n'
            "    for axes in (left, right):\n"
            '        axes.set_xlabel("x")\n'
            '        axes.set_ylabel("y")\n'
            '    return {"evaluation": figure}',
        ),
    ),
    right(
        "the panels stand one below the other, and a table is returned too",
        swap("plots", "plt.subplots(1, 2, figsize=(10, 4)", "plt.subplots(2, 1, figsize=(4, 10)"),
        swap("plots", "figure}", 'figure, "worst": eval_df.head(5)}'),
    ),
)
