"""Evaluate has drawn the predictions and the bootstrap, and the picture is on the run."""

import tempfile

from winelab.checks.authoring import catches, error, hint, put, right, swap
from winelab.checks.comparing import (
    as_evaluate_passes,
    bootstrap_rmses,
    evaluate_metrics,
    kind,
    made_up_wines,
)
from winelab.checks.looking import artifact_paths
from winelab.checks.scratch import call, student_function

NAME, FILE = "draw_evaluation", "evaluation.png"
X, Y = 'eval_df["target"]', 'eval_df["prediction"]'


def _drawn(namespace):
    """The figure that the student's function returns for made-up wines, and those left open."""
    import pandas as pd
    from matplotlib.figure import Figure

    function = student_function(namespace, NAME, "Pictures of the evaluation")
    # Asked once for all checks: drawing takes a tenth of a second.
    if "_drawn" not in namespace:
        predictions, targets = made_up_wines()
        wines = pd.DataFrame({"prediction": predictions, "target": targets})
        # Metrics are there for those who write them into the title.
        metrics = as_evaluate_passes(evaluate_metrics(targets, predictions))
        advice = 'Draw on the axes of `plt.subplots(1, 2)`, and `return {"evaluation": figure}`.'
        left_open = []
        with tempfile.TemporaryDirectory() as folder:
            given = (wines, metrics, folder)
            answer = call(function, *given, expect=dict, left_open=left_open, on_error=advice)
        namespace["_drawn"] = answer, left_open
    answer, left_open = namespace["_drawn"]
    assert isinstance(answer.get("evaluation"), Figure), (
        f"{NAME} returns { ({key: kind(value) for key, value in answer.items()}) }: return "
        '`{"evaluation": figure}`, the figure of `plt.subplots`, without ".png".'
    )
    return answer["evaluation"], left_open


def _has(axes, x, y):
    """Whether each pair of values is a point in the axes, drawn by scatter or by plot."""
    import numpy as np

    found = [drawn.get_offsets() for drawn in axes.collections]
    found = [np.asarray(each, float) for each in found + [line.get_xydata() for line in axes.lines]]
    points = np.concatenate([np.empty((0, 2)), *(each for each in found if each.ndim == 2)])
    return all(np.isclose(points, pair).all(axis=1).any() for pair in zip(x, y, strict=True))


def _panels(namespace):
    """The panels with a point for each of the made-up wines, and the others."""
    predictions, targets = made_up_wines()
    panels = _drawn(namespace)[0].axes
    ours = [axes for axes in panels if _has(axes, targets, predictions)]
    return ours, [axes for axes in panels if axes not in ours]


@catches("a column was asked for that eval_df doesn't have")
@swap("plots", f"scatter({X}", 'scatter(eval_df["quality"]')
@hint("there is nothing under 'quality'")
@error("KeyError: 'quality'")
@catches("the function takes two arguments, as a metric of older courses does")
@swap("plots", "(eval_df, builtin_metrics, artifacts_dir)", "(eval_df, builtin_metrics)")
@hint("takes 2 positional arguments but 3 were given")
@error("takes 2 positional arguments but 3 were given")
@catches("the axes changed places")
@swap("plots", f"scatter({X}, {Y}", f"scatter({Y}, {X}")
@hint("`scatter` takes the horizontal values first")
@catches("it draws variables from outside, and not what it is given")
@swap("plots", f"scatter({X}, {Y}", "scatter(y_test, predictions")
@hint("no variable from outside")
def test_the_points_are_the_wines(namespace):
    "the left panel has a point for each wine: true quality to the right, prediction upwards"
    predictions, targets = made_up_wines()
    ours, others = _panels(namespace)
    assert not any(_has(axes, predictions, targets) for axes in others), (
        "the axes changed places: `scatter` takes the horizontal values first, the targets."
    )
    assert ours, (
        "for other wines the points are missing: draw `eval_df`, and no variable from outside."
    )


@catches("the diagonal is missing")
@swap("plots", '    wines.axline((6, 6), slope=1, color="black")\n', "")
@hint("`wines.axline((6, 6), slope=1)`")
def test_the_diagonal_is_there(namespace):
    "the diagonal is in the same panel"
    import numpy as np

    lines = [line for axes in _panels(namespace)[0] for line in axes.lines]
    # In the data's units, for axline too.
    drawn = [
        (one.get_transform() - one.axes.transData).transform(one.get_xydata()) for one in lines
    ]
    assert any(np.ptp(points) > 0 and np.allclose(*points.T) for points in drawn), (
        "no line goes through equal values: call `wines.axline((6, 6), slope=1)` beside the points."
    )


@catches("the histogram shows errors, and not RMSEs")
@swap("plots", f"bootstrap_rmse({Y}, {X})", Y)
@hint("draw `bootstrap_rmse(")
@catches("the histogram is in the left panel, and the right one is empty")
@swap("plots", "errors.hist(", "wines.hist(")
@hint("a panel of its own")
def test_the_histogram_is_the_bootstrap(namespace):
    "the right panel has a histogram of the bootstrap's RMSEs"
    import numpy as np
    from matplotlib.transforms import Bbox

    predictions, targets = made_up_wines()
    expected = bootstrap_rmses(targets, predictions)
    patches = [patch for axes in _panels(namespace)[1] for patch in axes.patches]
    boxes = [patch.get_path().get_extents(patch.get_patch_transform()) for patch in patches]
    # A bar without height is there for a range that somebody has given.
    boxes = [box for box in boxes if box.width and box.height]
    assert boxes, "there is no histogram in a panel of its own: call `hist` of the second axes."
    drawn = Bbox.union(boxes)
    near = abs(drawn.min + drawn.max - expected.min() - expected.max()) < 2 * expected.std()
    alike = abs(np.log2(drawn.size / np.ptp(expected))) < 1
    # Standing bars or lying ones.
    assert any(near & alike), (
        f"for other wines the histogram is elsewhere: draw `bootstrap_rmse({Y}, {X})`."
    )


@catches("no axis has a label")
@swap("plots", "errors.set(", "dict(")
@hint("is not labelled")
def test_the_axes_are_labelled(namespace):
    "both panels have labels on their axes"
    ours, others = _panels(namespace)
    # A colour bar, or a panel of the student's own, needs none.
    panels = [*ours, *(axes for axes in others if axes.patches)]
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in panels), (
        "an axis is not labelled: call `set(xlabel=..., ylabel=...)` of both panels."
    )


@catches("the figure was left open")
@swap("plots", "    plt.close(figure)\n", "")
@hint("call `plt.close(figure)`")
def test_no_figure_stays_open(namespace):
    "the function closes its figure"
    _, left_open = _drawn(namespace)
    assert not left_open, (
        "the figure stays open, and open figures add up: call `plt.close(figure)` before `return`."
    )


@catches("the function returns nothing")
@swap("plots", '    return {"evaluation": figure}', "")
@hint("gives back nothing (None)")
@catches("the axes were returned, and MLflow pickles them")
@swap("plots", '{"evaluation": figure}', '{"evaluation": wines}')
@hint("{'evaluation': 'an Axes'}")
@catches("the key has an ending, so that the file has two")
@swap("plots", '{"evaluation": figure}', '{"evaluation.png": figure}')
@hint("{'evaluation.png': 'a Figure'}")
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
    # Where the function is wrong, the better hint comes from here.
    _drawn(namespace)
    assert FILE in artifact_paths(client, run), (
        f"your newest run has no {FILE}. Pass it to `evaluate`, `custom_artifacts=[{NAME}]`."
    )
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        file = client.download_artifacts(run.info.run_id, FILE, folder)
        with Image.open(file) as picture:
            shades = np.asarray(picture.convert("L"))
    # Axes, their labels and a histogram cover more.
    assert (shades < 200).mean() > 0.01, (
        f"{FILE} is blank: something before the `return` empties the figure; `plt.close` doesn't."
    )


RIGHT_WAYS = (
    right(
        "the bootstrap is on the left, its bars lie, and there is a colour bar",
        swap("plots", "(wines, errors)", "(errors, wines)"),
        swap("plots", "bins=30,", 'bins=30, orientation="horizontal",'),
        swap("plots", "    plt", "    figure.colorbar(wines.collections[0])\n    plt"),
    ),
    right(
        "the figure is made without pyplot, and drawn with plot and bar",
        put(
            "plots",
            "from matplotlib.figure import Figure\n\n\n"
            "def draw_evaluation(table, _, folder):\n    figure = Figure(figsize=(10, 4))\n"
            "    left, right = figure.subplots(1, 2)\n    left.plot([3, 8], [3, 8])\n"
            '    left.plot(table["target"], table["prediction"], "o")\n'
            '    rmses = bootstrap_rmse(table["prediction"], table["target"])\n'
            "    heights, edges = np.histogram(rmses, bins=20, density=True)\n"
            '    right.bar(edges[:-1], heights, width=np.diff(edges), align="edge")\n'
            '    for axes in (left, right):\n        axes.set(xlabel="x", ylabel="y")\n'
            '    return {"evaluation": figure}',
        ),
    ),
    right(
        "the panels stand one below the other, and a table is returned too",
        swap("plots", "plt.subplots(1, 2, figsize=(10, 4)", "plt.subplots(2, 1, figsize=(4, 10)"),
        swap("plots", "figure}", 'figure, "worst": eval_df.head(5)}'),
    ),
)
