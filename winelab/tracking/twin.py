"""Make the simulated twin of the UCI red-wine table from summary statistics.

The course ships no row of the original table, only its statistics
(``data/red-wine-summary.json``) and a table simulated from them. The recipe:

1. Draw rows from a Gaussian copula: normal scores with the original's rank correlations,
   mapped through each column's quantiles (M. C. Cario and B. L. Nelson, "Modeling and
   generating random vectors with arbitrary marginal distributions and correlation matrix",
   Northwestern University, 1997: the method called NORTA).
2. Repeat rows at the original's rate of exact duplicates.
3. Recolour: move the measurements, each as little as possible, until their mean and
   covariance, with one another and with quality, are the original's.
4. Round as the original is rounded, stay inside its ranges, shuffle.

Commands::

    python -m winelab.tracking.twin                           # the table, from the committed summary
    python -m winelab.tracking.twin --original FILE           # compare the original with the twin
    python -m winelab.tracking.twin --original FILE --write   # summary, table and data card anew

The original: P. Cortez, A. Cerdeira, F. Almeida, T. Matos and J. Reis, "Modeling wine
preferences by data mining from physicochemical properties", Decision Support Systems
47(4):547-553, 2009, doi:10.1016/j.dss.2009.05.016; UCI, doi:10.24432/C56S3T, CC BY 4.0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import ElasticNet, LinearRegression
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

from winelab.core.paths import DATA, TABLE

SUMMARY = DATA / "red-wine-summary.json"
CARD = DATA / "README.md"
TARGET = "quality"
FREE, TOTAL = "free sulfur dioxide", "total sulfur dioxide"

# Every percent, and half percents at the ends, where the long tails of sugar and chlorides lie.
PROBABILITIES = [0.0, 0.005, *(i / 100 for i in range(1, 100)), 0.995, 1.0]
# A column is rounded to the fewest decimals that print this share of the original's values
# exactly. Not all of them: a few alcohols are unrounded thirds (9.53333333333333).
DECIMALS_SHARE = 0.85
SEEDS = range(150)
# What is asked of a seed: RMSE within 3 % when tested on the original, 10 % on the twin.
TRANSFER_LIMIT, OWN_LIMIT = 0.03, 0.10
FOREST = "random forest of 200 trees"

START, END = "<!-- comparison: start -->", "<!-- comparison: end -->"


def load(path: Path = TABLE) -> pd.DataFrame:
    """Read a table in UCI's format: 12 columns, `;` between them, `.` for decimals.

    Raises FileNotFoundError when there is no such file.
    """
    return pd.read_csv(path, sep=";")


def load_summary(path: Path = SUMMARY) -> dict[str, Any]:
    """Read the summary statistics that `summarise` made.

    Raises FileNotFoundError or json.JSONDecodeError.
    """
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary


# ---------------------------------------------------------------- original -> summary


def _short(values: Any) -> Any:
    # Seven digits are more than the table's own five, and keep the file small.
    return [float(f"{value:.7g}") for value in np.asarray(values, dtype=float)]


def _decimals(column: pd.Series) -> int:
    exact = (float(np.isclose(column, column.round(places)).mean()) for places in range(10))
    return next(places for places, share in enumerate(exact) if share >= DECIMALS_SHARE)


def summarise(original: pd.DataFrame) -> dict[str, Any]:
    """Reduce a table of p numeric columns to the statistics that `make_twin` needs.

    Keys, in the units of the columns: `rows`, `duplicate_rows` (exact repeats of an earlier
    row), `seed` (0 until `search_seed` has chosen one), `probabilities` (m levels),
    `quantiles` (column -> m values), `decimals` (column -> places), `halves` (whole-number
    columns that hold a few halves -> how many), `frequencies` (grade of quality -> rows),
    `mean` (p), `covariance` (p x p) and `rank_correlation` (p x p, Spearman's).

    None of it is a row, and a column's quantiles do not say which values stood together.

    Raises KeyError when the table has no column `quality`.
    """
    counts = original[TARGET].value_counts().sort_index()
    decimals = {name: _decimals(original[name]) for name in original}
    # A column read as integers has none; a column of floats must keep some, or pandas would
    # read the twin's as integers and MLflow's signature would differ from the original's.
    halves = {
        name: int((original[name] % 1 != 0).sum())
        for name in original
        if decimals[name] == 0 and original[name].dtype.kind == "f"
    }
    return {
        "about": "Summary statistics of the UCI red-wine table; see README.md in this folder.",
        "seed": 0,
        "rows": len(original),
        "duplicate_rows": int(original.duplicated().sum()),
        "frequencies": {str(grade): int(count) for grade, count in counts.items()},
        "decimals": decimals,
        "halves": halves,
        "mean": _short(original.mean()),
        "covariance": [_short(row) for row in original.cov().to_numpy()],
        "rank_correlation": [_short(row) for row in original.corr("spearman").to_numpy()],
        "probabilities": PROBABILITIES,
        "quantiles": {name: _short(original[name].quantile(PROBABILITIES)) for name in original},
    }


def summary_text(summary: dict[str, Any]) -> str:
    """The summary as JSON with one list of numbers a line: short, and readable in a diff."""
    text = json.dumps(summary, indent=1)
    return re.sub(r"\[[^\[\]]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text) + "\n"


# -------------------------------------------------------------------- summary -> twin


def _draw(summary: dict[str, Any], rows: int, rng: np.random.Generator) -> np.ndarray:
    """Rows from the Gaussian copula: a `rows` x p array in the units of the columns.

    r = 2 sin(pi/6 rho) is the correlation of two normal scores whose rank correlation is rho
    (K. Pearson, 1907; W. H. Kruskal, J. Am. Stat. Assoc. 53:814-861, 1958).
    """
    rank_correlation = np.array(summary["rank_correlation"])
    factor = np.linalg.cholesky(2 * np.sin(np.pi / 6 * rank_correlation))
    levels = ndtr(rng.standard_normal((rows, len(factor))) @ factor.T)
    grades = np.array([float(grade) for grade in summary["frequencies"]])
    cumulated = np.cumsum(list(summary["frequencies"].values())) / summary["rows"]
    drawn = np.empty_like(levels)
    for j, (name, quantiles) in enumerate(summary["quantiles"].items()):
        if name == TARGET:
            drawn[:, j] = grades[np.searchsorted(cumulated[:-1], levels[:, j])]
        else:
            drawn[:, j] = np.interp(levels[:, j], summary["probabilities"], quantiles)
    return drawn


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


def _recolour(values: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Give the n x p `values` (mean 0) that covariance (p x p) by the smallest linear move.

    A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2 takes covariance S to T with the least mean square
    change (I. Olkin and F. Pukelsheim, Linear Algebra Appl. 48:257-263, 1982).
    """
    have = np.cov(values, rowvar=False)
    root, inverse_root = _power(have, 0.5), _power(have, -0.5)
    return values @ (inverse_root @ _power(root @ covariance @ root, 0.5) @ inverse_root)


def _recolour_given_quality(drawn: np.ndarray, summary: dict[str, Any]) -> np.ndarray:
    """Give the n x p rows the original's mean and covariance, leaving quality's grades alone.

    Quality is the last column. Moving it too would only be undone by rounding it to an
    integer, which blurs every correlation with it. So each measurement is taken apart into
    its slope on quality, replaced by the original's, and the rest, recoloured.
    """
    mean, covariance = np.array(summary["mean"]), np.array(summary["covariance"])
    quality = drawn[:, -1] - drawn[:, -1].mean()
    spread = quality.var(ddof=1)
    # Columns of very different units would make "the smallest move" a matter of density alone.
    scale = np.sqrt(np.diag(covariance))[:-1]
    measured = (drawn[:, :-1] - drawn[:, :-1].mean(axis=0)) / scale
    rest = measured - np.outer(quality, measured.T @ quality / (quality @ quality))
    slope = covariance[:-1, -1] / scale / np.sqrt(covariance[-1, -1] * spread)
    wanted = covariance[:-1, :-1] / np.outer(scale, scale) - np.outer(slope, slope) * spread
    moved = np.outer(quality, slope) + _recolour(rest, wanted)
    return np.column_stack([mean[:-1] + moved * scale, drawn[:, -1]])


def make_twin(summary: dict[str, Any]) -> pd.DataFrame:
    """Simulate a table with the summary's statistics: `rows` x p, columns in its order.

    The same summary gives the same table. Quality is of type int64, all else float64, in the
    units of the original (see data/README.md).

    Raises KeyError for a missing entry and numpy.linalg.LinAlgError when the rank
    correlations are no correlation matrix.
    """
    rng = np.random.default_rng(summary["seed"])
    rows, repeats = summary["rows"], summary["duplicate_rows"]
    distinct = rows - repeats
    source = np.concatenate([np.arange(distinct), rng.integers(distinct, size=repeats)])
    table = _recolour_given_quality(_draw(summary, distinct, rng)[source], summary)

    names = list(summary["quantiles"])
    for j, name in enumerate(names):
        table[:, j] = np.round(table[:, j], summary["decimals"][name])
    for name, count in summary["halves"].items():
        # Chosen among the distinct rows, so that a row and its repeats stay equal.
        halved = np.isin(source, rng.choice(distinct, size=count, replace=False))
        table[halved, names.index(name)] += 0.5
    ends = np.array(list(summary["quantiles"].values()))[:, [0, -1]]
    table = np.clip(table, ends[:, 0], ends[:, 1])
    if FREE in names and TOTAL in names:
        # The free part cannot exceed the total; a copula does not know that.
        total, free = names.index(TOTAL), names.index(FREE)
        table[:, total] = np.maximum(table[:, total], table[:, free])
    twin = pd.DataFrame(rng.permutation(table), columns=names)
    return twin.astype({TARGET: "int64"})


def table_bytes(table: pd.DataFrame, decimals: dict[str, int], halves: Iterable[str]) -> bytes:
    """The table in the UCI file's format: quoted names, `;`, `\\n`, and `11` for 11.0.

    `decimals` are the places of each column; the columns in `halves` get one more.
    Bytes, because text mode would write `\\r\\n` on Windows and change the file's hash.
    """
    names = [str(name) for name in table]
    places = {name: decimals[name] + (name in halves) for name in names}
    columns = [
        [_plain(value, places[name]) for value in table[name].to_numpy(dtype=float)]
        for name in names
    ]
    header = ";".join(f'"{name}"' for name in names)
    lines = [header, *(";".join(row) for row in zip(*columns, strict=True))]
    return ("\n".join(lines) + "\n").encode("ascii")


def _plain(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


def twin_bytes(summary: dict[str, Any]) -> bytes:
    """The content of data/red-wine-quality.csv, made from the summary alone."""
    return table_bytes(make_twin(summary), summary["decimals"], summary["halves"])


# ------------------------------------------------------------------------ comparison


def models() -> dict[str, Any]:
    """The course's unfitted models by name: baseline, four linear models, a forest."""
    nets = {
        f"ElasticNet, alpha={alpha:g}, l1_ratio=0.5": ElasticNet(
            alpha=alpha, l1_ratio=0.5, random_state=42
        )
        for alpha in (0.5, 0.1, 0.01)
    }
    forest = RandomForestRegressor(n_estimators=200, random_state=42, n_jobs=-1)
    return {
        "mean predictor": DummyRegressor(),
        **nets,
        "least squares": LinearRegression(),
        FOREST: forest,
    }


def split(table: pd.DataFrame) -> list[Any]:
    """Block 0's split: x_train, x_test, y_train, y_test; 25 % of the rows are the test set."""
    return train_test_split(
        table.drop(columns=TARGET), table[TARGET], test_size=0.25, random_state=42
    )


def rmse(train: pd.DataFrame, tests: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """RMSE in points of quality: a row for each of `models`, a column for each of `tests`.

    Trained on the training part of `train`, tested on the test part of each test table, with
    all eleven measurements as they are (no scaling).
    """
    x_train, _, y_train, _ = split(train)
    scores: dict[str, dict[str, float]] = {name: {} for name in tests}
    for model_name, model in models().items():
        model.fit(x_train, y_train)
        for test_name, table in tests.items():
            _, x_test, _, y_test = split(table)
            error = root_mean_squared_error(y_test, model.predict(x_test))
            scores[test_name][model_name] = float(error)
    return pd.DataFrame(scores)


def deviation(original_rmse: pd.Series, original: pd.DataFrame, twin: pd.DataFrame) -> float:
    """How far a twin's RMSEs are from the original's; 1.0 is the worst that is allowed.

    The largest relative difference over all models, in units of `TRANSFER_LIMIT` (trained on
    the twin, tested on the original) or `OWN_LIMIT` (trained and tested on the twin).
    """
    scores = rmse(twin, {"own": twin, "transfer": original})
    off = scores.div(original_rmse, axis="index").sub(1).abs()
    # Only pairwise correlations are the original's; a forest learns more, and cannot transfer.
    transfer = off["transfer"].drop(FOREST).max() / TRANSFER_LIMIT
    return float(max(transfer, off["own"].max() / OWN_LIMIT))


def search_seed(
    summary: dict[str, Any], original: pd.DataFrame, seeds: Iterable[int] = SEEDS
) -> int:
    """The seed among `seeds` whose twin has the smallest `deviation` (the first of equals).

    Raises ValueError when `seeds` is empty.
    """
    wanted = rmse(original, {"own": original})["own"]
    return min(
        seeds, key=lambda seed: deviation(wanted, original, make_twin({**summary, "seed": seed}))
    )


@dataclass(frozen=True)
class Comparison:
    """The original against the twin, as the data card prints it.

    `columns`: a row a column, with mean and standard deviation in the column's units.
    `models`: a row a model, with RMSE in points of quality. `facts`: one-line figures.
    """

    columns: pd.DataFrame
    models: pd.DataFrame
    facts: pd.DataFrame


def correlation_difference(original: pd.DataFrame, twin: pd.DataFrame) -> float:
    """The largest absolute difference between the two (Pearson) correlation matrices."""
    return float((original.corr() - twin.corr()).abs().to_numpy().max())


def leaked_rows(table: pd.DataFrame) -> int:
    """How many rows of the test split stand in the training split too, value for value."""
    x_train, x_test, y_train, y_test = split(table)
    train = x_train.assign(**{TARGET: y_train}).drop_duplicates()
    return len(x_test.assign(**{TARGET: y_test}).merge(train, how="inner"))


def compare(original: pd.DataFrame, twin: pd.DataFrame) -> Comparison:
    """Measure the twin against the original: two tables with the same columns.

    Raises KeyError when either has no column `quality`.
    """
    columns = pd.DataFrame(
        {
            "mean, original": original.mean(),
            "mean, twin": twin.mean(),
            "sd, original": original.std(),
            "sd, twin": twin.std(),
        }
    ).map(lambda value: f"{value:.4g}")
    on_twin = rmse(twin, {"twin": twin, "trained on twin, tested on original": original})
    scores = rmse(original, {"original": original}).join(on_twin)
    scores = scores.map(lambda value: f"{value:.3f}")
    equal = original.drop_duplicates().merge(twin.drop_duplicates(), how="inner")
    facts = pd.DataFrame(
        {
            "value": {
                "rows of the original": f"{len(original):,}",
                "rows of the twin": f"{len(twin):,}",
                "repeats of an earlier row, original": f"{original.duplicated().sum()}",
                "repeats of an earlier row, twin": f"{twin.duplicated().sum()}",
                "test rows that stand in the training split too, original": (
                    f"{leaked_rows(original)}"
                ),
                "test rows that stand in the training split too, twin": f"{leaked_rows(twin)}",
                "largest absolute difference between the two correlation matrices": (
                    f"{correlation_difference(original, twin):.4f}"
                ),
                "distinct rows that stand in both tables": f"{len(equal)}",
            }
        }
    )
    return Comparison(columns=columns, models=scores, facts=facts)


def _markdown(table: pd.DataFrame, corner: str) -> str:
    lines = [
        [corner, *table.columns],
        ["---", *("---:" for _ in table.columns)],
        *([str(name), *row] for name, row in zip(table.index, table.to_numpy(), strict=True)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as the three Markdown tables of the data card."""
    return "\n\n".join(
        [
            _markdown(comparison.columns, "column"),
            _markdown(comparison.models, "RMSE on the test split"),
            _markdown(comparison.facts, "figure"),
        ]
    )


def card_with(card: str, tables: str) -> str:
    """The data card's text with `tables` between its two markers.

    Raises ValueError when a marker is missing.
    """
    before, start, rest = card.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"The data card has no lines {START} and {END}.")
    return f"{before}{START}\n\n{tables}\n\n{END}{after}"


# --------------------------------------------------------------------------- command


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    print(f"{path.name}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


def main(argv: list[str] | None = None) -> int:
    """The command line; see the top of this module. Returns the exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m winelab.tracking.twin", description=main.__doc__
    )
    parser.add_argument("--original", type=Path, metavar="FILE", help="the UCI table")
    parser.add_argument(
        "--write", action="store_true", help="with --original: write summary, table and card anew"
    )
    options = parser.parse_args(argv)
    if options.write and options.original is None:
        parser.error("--write needs --original FILE.")
    if options.original is None:
        _write(TABLE, twin_bytes(load_summary()))
        return 0

    original = load(options.original)
    if options.write:
        summary = summarise(original)
        summary["seed"] = search_seed(summary, original)
    else:
        summary = load_summary()
    tables = comparison_markdown(compare(original, make_twin(summary)))
    print(f"seed {summary['seed']}\n\n{tables}\n")
    if options.write:
        card = card_with(CARD.read_text(encoding="utf-8"), tables)
        _write(SUMMARY, summary_text(summary).encode("utf-8"))
        _write(CARD, card.encode("utf-8"))
        _write(TABLE, twin_bytes(summary))
        print("Put the table's SHA-256 into winelab/tracking/data.py, as TWIN_SHA256.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
