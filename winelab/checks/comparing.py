"""Compare what a student has with what is expected, and word the difference once for all blocks.

Only the standard library is imported with this module: a check of variables must stay quick.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winelab.core.mlflow_private import local_path

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.entities import Run
    from numpy.typing import ArrayLike, NDArray

# --- words -------------------------------------------------------------------------------------

_KINDS = {
    "bool": "a truth value",
    "int": "a number",
    "float": "a number",
    "str": "a text",
    "list": "a list",
    "tuple": "a tuple",
    "dict": "a dictionary",
    "set": "a set",
    "function": "a function",
    "builtin_function_or_method": "a function",
    "method": "a function",
    "module": "a module",
    "ndarray": "an array",
    "DataFrame": "a table (DataFrame)",
    "Series": "a column (Series)",
}


def kind(value: Any) -> str:
    """Return what a value is, in plain words: "a text", "nothing (None)", "a function"."""
    if value is None:
        return "nothing (None)"
    name = type(value).__name__
    if name in _KINDS:
        return _KINDS[name]
    if _number(value) is not None and not isinstance(value, str):
        return "a number"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def plural(count: int, noun: str, many: str = "") -> str:
    """Return "1 finished run" or "2 finished runs"; `many` is the plural where no s makes it."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def listed(words: Iterable[str]) -> str:
    """Return "a", "a and b", or "a, b and c"; "nothing" where there are no words."""
    *first, last = list(words) or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


def short(value: Any, *others: Any) -> str:
    """Return a value as a hint shows it: a text in quotes, a number with few digits.

    A number has three decimals, or three digits where it is small, and more only where it would
    look like one of `others` without them. A text that spells a number, as MLflow stores params, is
    a number beside one.
    """
    spelled = isinstance(value, str) and any(not isinstance(other, str) for other in others)
    number = None if isinstance(value, str | bool) and not spelled else _number(value)
    if number is None:
        return f'"{value}"' if isinstance(value, str) else str(value)
    rest = [found for other in others if (found := _number(other)) not in (None, number)]
    for digits in range(3, 17):
        shown = _digits(number, digits)
        if all(shown != _digits(other, digits) for other in rest):
            break
    return shown


def _digits(number: float, digits: int) -> str:
    if number and abs(number) < 0.1:
        return f"{number:.{digits}g}"
    shown = f"{number:.{digits}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


# --- one value ---------------------------------------------------------------------------------


def close(one: float, other: float, tolerance: float = 1e-9) -> bool:
    """Return whether two numbers agree to `tolerance`, absolute or relative, whichever is wider."""
    return abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))


def _number(value: Any) -> float | None:
    """The number that a value is or, as MLflow stores it, spells; None where it is none."""
    try:
        # numpy wants it said that an array of one number is meant as that number.
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError):
        return None


def same_value(found: Any, expected: Any, tolerance: float = 1e-9) -> bool:
    """Return whether two values agree: numbers of any type, and texts that spell them.

    MLflow stores params and tags as text, so 0.5, numpy's 0.5 and "0.5" are the same, as are True
    and "True".
    """
    # Texts first: a digest such as 8788e827 would be a number without end.
    if str(found) == str(expected):
        return True
    one, other = _number(found), _number(expected)
    if one is None or other is None or isinstance(expected, bool):
        return False
    return close(one, other, tolerance)


def _rounded(found: Any, expected: Any) -> bool:
    """Whether `found` is `expected` with fewer decimals."""
    one, other = _number(found), _number(expected)
    return (
        one is not None
        and other is not None
        and one != other
        and any(close(one, round(other, digits), 1e-12) for digits in range(6))
    )


# --- what is on a run --------------------------------------------------------------------------


def expect_metrics(
    run: Run,
    expected: Mapping[str, float],
    *,
    missing: str = "",
    wrong: str = "",
    source: str = "your predictions give",
    tolerance: float = 1e-9,
) -> None:
    """Let a check pass only where these metrics are on the run.

    Args:
        run: whose newest values count.
        expected: the right value of each metric.
        missing: what to do where one is not there; a sentence.
        wrong: what to do where one has another value; a sentence.
        source: where the right values come from, as the subject and verb before a value.
        tolerance: of the comparison, absolute or relative, whichever is wider.

    Raises AssertionError, with the student's value and the right one in few digits.
    """
    _expect("metric", run, expected, missing, wrong, source, tolerance)


def expect_params(
    run: Run,
    expected: Mapping[str, Any],
    *,
    missing: str = "",
    wrong: str = "",
    source: str = "your model has",
) -> None:
    """Let a check pass only where these params are on the run; see `expect_metrics`."""
    _expect("param", run, expected, missing, wrong, source)


def expect_tags(
    tagged: Any,
    expected: Mapping[str, Any],
    *,
    missing: str = "",
    wrong: str = "",
    source: str = "the task says",
) -> None:
    """Let a check pass only where these tags are there; see `expect_metrics`.

    Args:
        tagged: a run, or anything else with tags: an experiment, a model, a version.
        expected: the right value of each tag.
        missing: what to do where one is not there; a sentence.
        wrong: what to do where one has another value; a sentence.
        source: where the right values come from.
    """
    _expect("tag", tagged, expected, missing, wrong, source)


def _expect(
    what: str,
    owner: Any,
    expected: Mapping[str, Any],
    missing: str,
    wrong: str,
    source: str,
    tolerance: float = 1e-9,
) -> None:
    data = getattr(owner, "data", owner)
    found: Mapping[str, Any] = getattr(data, f"{what}s")
    place = "the run" if data is not owner else "it"
    absent = [name for name in expected if name not in found]
    if absent:
        which = f"is not on {place} as a {what}"
        if len(absent) > 1:
            which = f"are not on {place} as {what}s"
        near = _nearby(data, what, absent[0])
        raise AssertionError(f"{listed(absent)} {which}{near}. {missing}".strip())
    for name, value in expected.items():
        if not same_value(found[name], value, tolerance):
            shown = short(found[name], value)
            hint = " (rounded?)" if what == "metric" and _rounded(found[name], value) else ""
            raise AssertionError(
                f"{name} is {shown}{hint}, {source} {short(value, found[name])}. {wrong}".strip()
            )


def _nearby(data: Any, what: str, name: str) -> str:
    """What comes near: the name in other letters, or the same name as something else."""
    for other in getattr(data, f"{what}s"):
        if other.strip().casefold() == name.casefold():
            return f' ("{other}" is: mind the spelling)'
    for kind_of in ("metric", "param", "tag"):
        # A version of a registered model has metrics too, which are None.
        if kind_of != what and name in (getattr(data, f"{kind_of}s", None) or ()):
            return f" (it is there as a {kind_of})"
    return ""


# --- tables and columns ------------------------------------------------------------------------


def as_column(value: Any, name: str = "this") -> NDArray[np.float64]:
    """Return a column's numbers, shape (n,).

    Args:
        value: a Series, a DataFrame of one column, an array of shape (n,) or (n, 1), a list.
        name: what the hint calls it.

    Raises AssertionError, in plain words, where it is none of these.
    """
    import numpy as np

    try:
        found = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        found = np.empty(())
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim == 1:
        return found
    size = f" with {plural(found.shape[1], 'column')}" if found.ndim == 2 else ""
    raise AssertionError(f"{name} is {kind(value)}{size}, not one column of numbers.")


def same_column(found: Any, expected: Any, tolerance: float = 1e-9) -> bool:
    """Return whether two columns hold the same numbers in the same order, whatever holds them."""
    import numpy as np

    try:
        one, other = as_column(found), as_column(expected)
    except AssertionError:
        return False
    return one.shape == other.shape and np.allclose(one, other, tolerance, tolerance)


def same_table(found: Any, expected: Any) -> bool:
    """Return whether two tables hold the same values, as DataFrame or as array.

    The names of the columns are compared only where both have names.
    """
    import numpy as np

    try:
        one, other = (np.asarray(table, dtype=float) for table in (found, expected))
    except (TypeError, ValueError):
        return False
    named = [list(table.columns) for table in (found, expected) if hasattr(table, "columns")]
    same_names = len(named) < 2 or named[0] == named[1]
    return same_names and one.shape == other.shape and np.allclose(one, other, equal_nan=True)


def same_path(one: Any, other: Any) -> bool:
    """Return whether two paths, or addresses such as file:///home/me, lead to the same place."""
    try:
        first, second = (
            (local_path(path) if isinstance(path, str) and ":" in path else Path(path)).resolve()
            for path in (one, other)
        )
    except (TypeError, ValueError, OSError):
        return False
    if sys.platform in ("win32", "darwin"):
        return str(first).casefold() == str(second).casefold()
    return first == second


def regression_metrics(actual: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return RMSE, MAE and R2 by their definitions, with numpy alone, to compare a student's with.

    Args:
        actual: the true values, shape (n,) or (n, 1).
        predicted: as many predictions, in the same order and unit.

    Returns "rmse" and "mae" in the unit of the values, and "r2" without one: 1 minus the sum of
    squared errors over the sum of squared distances from the mean of `actual`.

    Raises AssertionError, in plain words, where these are not two columns of the same length.
    """
    import numpy as np

    truth, guess = as_column(actual, "the truth"), as_column(predicted, "the prediction")
    if len(truth) != len(guess) or not len(truth):
        raise AssertionError(
            f"there are {len(guess)} predictions for {plural(len(truth), 'true value')}: predict "
            "once for each test wine, and run the cells from the top."
        )
    error = truth - guess
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "r2": float(1 - np.sum(error**2) / np.sum((truth - truth.mean()) ** 2)),
    }


def fold_rmses(model: Any, X: Any, y: ArrayLike, folds: int = 5) -> NDArray[np.float64]:
    """Return the RMSE of a copy of `model` in each fold, as cross_val_score does, shape (folds,).

    Args:
        model: scikit-learn's, or a pipeline; it is not fitted itself.
        X: the measurements, a table or an array of shape (n, features).
        y: the true values, shape (n,) or (n, 1).
        folds: how many, of wines in a row, neither shuffled nor drawn.
    """
    import numpy as np
    from sklearn.base import clone

    rows, truth, found = np.asarray(X, dtype=float), as_column(y, "the truth"), []
    for held in np.array_split(np.arange(len(truth)), folds):
        fitted = clone(model).fit(np.delete(rows, held, axis=0), np.delete(truth, held))
        found.append(regression_metrics(truth[held], fitted.predict(rows[held]))["rmse"])
    return np.array(found)


def evaluate_metrics(actual: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return the nine metrics that `mlflow.models.evaluate` has for a regressor, with numpy alone.

    Args:
        actual: the true values, none of them zero, shape (n,) or (n, 1).
        predicted: as many predictions, in the same order and unit.

    Raises AssertionError, in plain words, where these are not two columns of the same length.
    """
    import numpy as np

    own = regression_metrics(actual, predicted)
    truth = as_column(actual)
    error = np.abs(truth - as_column(predicted))
    return {
        "example_count": len(truth),
        "mean_absolute_error": own["mae"],
        "mean_squared_error": own["rmse"] ** 2,
        "root_mean_squared_error": own["rmse"],
        "sum_on_target": float(truth.sum()),
        "mean_on_target": float(truth.mean()),
        "r2_score": own["r2"],
        "max_error": float(error.max()),
        "mean_absolute_percentage_error": float((error / np.abs(truth)).mean()),
    }


def as_evaluate_passes(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return metrics as a function that `mlflow.models.evaluate` calls gets them: MetricValues."""
    from mlflow.metrics import MetricValue

    return {name: MetricValue(aggregate_results={name: metrics[name]}) for name in metrics}


def bootstrap_rmses(actual: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Return the RMSEs of 1000 samples of the wines with replacement, seed 42, shape (1000,).

    Args:
        actual: the true values, shape (n,) or (n, 1).
        predicted: as many predictions, in the same order and unit.
    """
    import numpy as np

    squares = (as_column(actual, "the truth") - as_column(predicted, "the prediction")) ** 2
    drawn = np.random.default_rng(42).choice(squares, (1000, len(squares)))
    found: NDArray[np.float64] = np.sqrt(drawn.mean(axis=1))
    return found


def made_up_wines() -> tuple[pd.Series[float], pd.Series[float]]:
    """Return predictions and true qualities of 60 wines, for a student's function to be asked.

    They are columns of a shuffled table. A third is off by exactly half a grade, so that < and <=
    differ.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    rows, targets = rng.permutation(60), rng.integers(3, 9, 60).astype(float)
    errors = np.where(np.arange(60) % 3, rng.normal(0.3, 0.9, 60), -0.5)
    return pd.Series(targets + errors, rows), pd.Series(targets, rows)
