"""Evaluate has drawn the predictions against the truth, and the picture is on the run."""

import inspect
import tempfile

from winelab.checks.authoring import after, before, catches, given, swap

KEY = "prediction_scatter"
FILE = f"{KEY}.png"
TARGET, PREDICTION = (3.0, 5.0, 8.0), (4.5, 6.5, 5.25)
"""Three made-up wines, which no wine of the table resembles."""
BUILT_IN = (
    "example_count",
    "mean_absolute_error",
    "mean_squared_error",
    "root_mean_squared_error",
    "sum_on_target",
    "mean_on_target",
    "r2_score",
    "max_error",
    "mean_absolute_percentage_error",
)


def _open_figures():
    """The figures that pyplot holds open now."""
    import matplotlib.pyplot as plt

    return [plt.figure(number) for number in plt.get_fignums()]


def _drawn(namespace):
    """What the student's function answers for three made-up wines, and what it leaves open.

    Asked here, because a notebook closes all figures at the end of the cell that drew them.
    """
    from unittest.mock import patch

    import matplotlib.pyplot as plt
    import pandas as pd
    from mlflow.metrics import MetricValue

    function = namespace.get(KEY)
    assert inspect.isfunction(function), (
        f'there is no function {KEY} yet: write it in the cell "Pictures of the predictions".'
    )
    assert len(inspect.signature(function).parameters) == 3, (
        f"{KEY} must take three arguments, eval_df, builtin_metrics and artifacts_dir: evaluate "
        "gives all three, whether you use them or not."
    )
    wines = pd.DataFrame({"prediction": PREDICTION, "target": TARGET})
    made = namespace.get("extra_metrics")
    own = [getattr(metric, "name", "") for metric in made] if isinstance(made, list) else []
    metrics = {name: MetricValue(aggregate_results={name: 1.0}) for name in (*BUILT_IN, *own)}
    before = _open_figures()
    # Shown, it would appear below the check, or hold up a script until somebody closes a window.
    with tempfile.TemporaryDirectory() as folder, patch.object(plt, "show"):
        try:
            answer = function(wines, metrics, folder)
        except KeyError as error:
            raise AssertionError(
                f"{KEY} asks for the column {error}: eval_df has two, called "
                '"prediction" and "target".'
            ) from None
        except Exception as error:
            raise AssertionError(
                f'{KEY} ends in "{type(error).__name__}: {error}": mend that line. plt.subplots() '
                "answers with two things, figure, axes; axes has scatter and set, and plt.close "
                "takes the figure."
            ) from None
        finally:
            found = [figure for figure in _open_figures() if figure not in before]
            for figure in found:
                plt.close(figure)
    returned = list(answer.values()) if isinstance(answer, dict) else []
    kept = [figure for figure in before if any(figure is one for one in returned)]
    return answer, [*found, *kept]


def _figure(answer):
    """The figure in what the function returned."""
    from matplotlib.figure import Figure

    assert answer is not None, (
        f"{KEY} draws, and returns nothing, so MLflow has nothing to log: its last line is "
        f'return {{"{KEY}": figure}}.'
    )
    assert not isinstance(answer, dict) or all(isinstance(key, str) for key in answer), (
        f'the key in the dictionary is no text: put it into quotes, {{"{KEY}": figure}}.'
    )
    assert isinstance(answer, dict), (
        f"{KEY} returns the bare {type(answer).__name__}: return a dictionary, with the name of "
        f'the picture as the key: {{"{KEY}": figure}}.'
    )
    other = f'the key is "{next(iter(answer), "")}"'
    if KEY not in answer and any(key.endswith(".png") for key in answer):
        raise AssertionError(f'{other}: leave ".png" out, MLflow adds it to the name of the file.')
    assert KEY in answer, f'{other}: return the figure under the key "{KEY}".'
    assert isinstance(answer[KEY], Figure), (
        f"under the key is a thing of the kind {type(answer[KEY]).__name__}: return the figure, "
        "the first of the two that plt.subplots() gives."
    )
    return answer[KEY]


def _points(figure):
    """All points that are drawn in the figure, whether by scatter or by plot."""
    import numpy as np

    drawn = [
        np.asarray(what, dtype=float)
        for axes in figure.axes
        for what in (
            *(found.get_offsets() for found in axes.collections),
            *(line.get_xydata() for line in axes.lines),
        )
    ]
    return np.concatenate([np.empty((0, 2)), *drawn])


RETURNED = 'return {"prediction_scatter": figure}'


@catches(
    "the function was passed alone, in no list",
    swap("extras", "[prediction_scatter]", "prediction_scatter"),
    hint="ended as FAILED",
    error="'function' object is not iterable",
)
@catches(
    "the function was called instead of handed over",
    swap("extras", "[prediction_scatter]", "[prediction_scatter()]"),
    hint="ended as FAILED",
    error="prediction_scatter() missing 3 required positional arguments",
)
@given
def test_a_run_finished_with_its_evaluation(run):
    "a run finished, with evaluate's metrics"
    assert "root_mean_squared_error" in run.data.metrics, (
        "evaluate's metrics are not on the run: keep mlflow.models.evaluate inside the `with`."
    )


@catches(
    "the figure was made once, outside of the function",
    swap("scatter", "    figure, axes = plt.subplots()\n", ""),
    before("import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()"),
    hint="call plt.subplots() inside the function",
)
@catches(
    "figure and axes changed places",
    swap("scatter", "figure, axes = plt", "axes, figure = plt"),
    hint="answers with two things, figure, axes",
    error="'Figure' object has no attribute 'scatter'",
)
@catches(
    "the function takes two arguments, as a metric of older courses does",
    swap("scatter", "(eval_df, builtin_metrics, artifacts_dir)", "(eval_df, metrics)"),
    hint="must take three arguments",
    error="takes 2 positional arguments but 3 were given",
)
@catches(
    "a column was asked for that eval_df does not have",
    swap("scatter", 'eval_df["target"]', 'eval_df["quality"]'),
    hint="asks for the column 'quality'",
    error="KeyError: 'quality'",
)
@catches(
    "the truth was drawn against itself",
    swap("scatter", 'eval_df["prediction"]', 'eval_df["target"]'),
    hint='"target" and "prediction" of eval_df, one each',
)
@catches(
    "the axes changed places",
    swap(
        "scatter",
        'eval_df["target"], eval_df["prediction"]',
        'eval_df["prediction"], eval_df["target"]',
    ),
    hint="the axes changed places",
)
@catches(
    "it draws variables from outside, and not what it was given",
    swap("scatter", 'eval_df["target"], eval_df["prediction"]', "y_test, predictions"),
    hint="no variable from outside",
)
def test_the_function_draws_what_it_is_given(namespace):
    "prediction_scatter draws what it is given: the truth along the bottom, the prediction up"
    import numpy as np

    figure = _figure(_drawn(namespace)[0])
    points = _points(figure)
    assert figure is not _figure(_drawn(namespace)[0]), (
        "it draws on the same figure each time, on top of what was there: call plt.subplots() "
        "inside the function."
    )

    def drawn(across, up):
        return all(
            np.isclose(points, pair).all(axis=1).any() for pair in zip(across, up, strict=True)
        )

    assert len(points), (
        "the figure that comes back has axes and no points: call axes.scatter before it is "
        "returned, and clear nothing (plt.clf() empties a figure, plt.close() only puts it away)."
    )
    assert not drawn(PREDICTION, TARGET), (
        "the axes changed places: axes.scatter takes the horizontal values first, "
        'eval_df["target"].'
    )
    assert drawn(TARGET, PREDICTION), (
        "asked to draw three other wines, it draws something else: use the columns "
        '"target" and "prediction" of eval_df, one each, and no variable from outside.'
    )


@catches(
    "the axes have no names", swap("scatter", "axes.set(", "dict("), hint="an axis has no name"
)
def test_both_axes_have_a_name(namespace):
    "both axes say what they show"
    figure = _figure(_drawn(namespace)[0])
    assert any(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes), (
        "an axis has no name: axes.set(xlabel=..., ylabel=...), in your own words."
    )


@catches(
    "the figure was left open",
    swap("scatter", "    plt.close(figure)\n", ""),
    hint="call plt.close(figure) before you return it",
)
@catches(
    "another figure was closed: plt.subplots was called twice",
    swap("scatter", "    plt.close(figure)\n", "    plt.subplots()\n    plt.close()\n"),
    hint="the figure stays open",
)
@catches(
    "a figure with a number of its own was left open, and used again",
    swap(
        "scatter", "figure, axes = plt.subplots()", "figure, axes = plt.subplots(num=7, clear=True)"
    ),
    after(
        "def prediction_scatter(eval_df, builtin_metrics, artifacts_dir):\n"
        "    figure, axes = plt.subplots(num=7, clear=True)\n"
        '    axes.scatter(eval_df["target"], eval_df["prediction"])\n'
        '    axes.set(xlabel="quality", ylabel="prediction")\n'
        '    return {"prediction_scatter": figure}\n'
        "prediction_scatter(test.assign(target=1, prediction=2), {}, None)"
    ),
    hint="the figure stays open",
)
def test_no_figure_stays_open(namespace):
    "the function closes its figure"
    answer, left_open = _drawn(namespace)
    _figure(answer)
    assert not left_open, (
        "the figure stays open, and in a long-lived program they add up: call plt.close(figure) "
        "before you return it. MLflow can still save it."
    )


@catches(
    "the function returns nothing",
    swap("scatter", RETURNED, ""),
    hint="returns nothing, so MLflow has nothing to log",
)
@catches(
    "the bare figure was returned",
    swap("scatter", RETURNED, "return figure"),
    hint="returns the bare Figure",
)
@catches(
    "the axes were returned instead of the figure, and MLflow makes a pickle of them",
    swap("scatter", RETURNED, 'return {"prediction_scatter": axes}'),
    hint="under the key is a thing of the kind Axes",
)
@catches(
    "the key has an ending, so that the file has two",
    swap("scatter", RETURNED, 'return {"prediction_scatter.png": figure}'),
    hint='leave ".png" out',
)
@catches(
    "the key is another name",
    swap("scatter", RETURNED, 'return {"scatter": figure}'),
    hint='the key is "scatter"',
)
@catches(
    "the function was written, and never passed",
    swap("extras", "    custom_artifacts=[prediction_scatter],", ""),
    hint="give mlflow.models.evaluate one more argument",
)
@catches(
    "the function was mended, and the training not run again",
    swap("scatter", RETURNED, "return None"),
    after(
        "def prediction_scatter(eval_df, builtin_metrics, artifacts_dir):\n"
        "    figure, axes = plt.subplots()\n"
        '    axes.scatter(eval_df["target"], eval_df["prediction"])\n'
        '    axes.set(xlabel="quality", ylabel="prediction")\n'
        "    plt.close(figure)\n"
        '    return {"prediction_scatter": figure}'
    ),
    hint="run all cells again",
)
@catches(
    "the key has no quotes",
    swap("scatter", RETURNED, "return {prediction_scatter: figure}"),
    hint="put it into quotes",
)
def test_the_picture_is_on_the_run(run, client, namespace):
    "evaluate has put prediction_scatter.png on the run"
    files = [found.path for found in client.list_artifacts(run.info.run_id)]
    if FILE not in files:
        # Where the function is wrong, the better hint comes from here.
        _figure(_drawn(namespace)[0])
        raise AssertionError(
            f"{KEY} works, and your newest run has no picture of it: give mlflow.models.evaluate "
            f"one more argument, custom_artifacts=[{KEY}]. Is it there already, run all cells "
            "again."
        )
    kept = getattr(namespace.get("evaluation"), "artifacts", {})
    assert KEY in kept, (
        f"{FILE} is on the run, and `evaluation` does not know it: let evaluate log it, with "
        f"custom_artifacts=[{KEY}], and no line of your own."
    )


@catches(
    "the figure was cleared before it was returned, so that the picture is blank",
    swap("scatter", "plt.close(figure)", "plt.clf()\n    plt.close(figure)"),
    hint="is blank in the middle",
)
@catches(
    "the axes were drawn, and no points",
    swap("scatter", '    axes.scatter(eval_df["target"], eval_df["prediction"], alpha=0.3)', ""),
    hint="is blank in the middle",
)
def test_the_picture_is_not_blank(run, client, namespace):
    "the picture opens, and there is something on it"
    import numpy as np

    if FILE not in [found.path for found in client.list_artifacts(run.info.run_id)]:
        _figure(_drawn(namespace)[0])
        raise AssertionError(
            f"there is no {FILE} on the run: pass the function to evaluate, and run all cells "
            "again."
        )
    from PIL import Image, UnidentifiedImageError

    with tempfile.TemporaryDirectory() as folder:
        try:
            with Image.open(client.download_artifacts(run.info.run_id, FILE, folder)) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (UnidentifiedImageError, OSError):
            raise AssertionError(
                f"{FILE} does not open as a picture: return the figure itself, and let MLflow "
                "write the file."
            ) from None
    # The middle, inside of any frame: with axes alone it has one colour.
    high, wide = pixels.shape[0] // 5, pixels.shape[1] // 5
    middle = pixels[high:-high, wide:-wide].reshape(-1, 3)
    assert len(np.unique(middle, axis=0)) > 1, (
        f"{FILE} is blank in the middle: draw the points before the figure is returned, and clear "
        "nothing."
    )
