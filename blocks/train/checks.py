"""A model is trained on three quarters of the wines, and predicts the others."""

from pathlib import Path

from winelab.checks.authoring import catches, error, hint, put, remove, right, split, swap
from winelab.checks.comparing import close, kind, plural, same_column, same_table, short

DROP = ".drop_duplicates()"
SPLIT = "X_train, X_test, y_train, y_test"


def _table(namespace):
    """The table that the notebook names, each row once, and its training and test rows."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    data_file = namespace["data_file"]
    assert isinstance(data_file, str | Path) and Path(data_file).is_file(), (
        "`data_file` does not name the wine table: run the cells again from the top."
    )
    wine = pd.read_csv(data_file, sep=";").drop_duplicates()
    return wine, *train_test_split(range(len(wine)), test_size=0.25, random_state=42)


def _rows(value):
    """How many rows a table or a column has; None where it is neither."""
    shape = getattr(value, "shape", ())
    return shape[0] if shape else None


@catches("the separator was forgotten")
@swap("read", ', sep=";"', "")
@hint('sep=";"')
@error("quality")
@catches("the notebook was started in another folder, so that the table is not found")
@swap("course", "Path.cwd().parent", 'Path.cwd() / "elsewhere"')
@hint("no variable `wine`")
@error("No such file or directory")
@catches("the copies were kept")
@swap("read", DROP, "")
@hint("`wine` has 1599 rows")
@catches("the table without copies was not kept")
@swap("read", DROP, "\nwine.drop_duplicates()")
@hint("it returns a new table")
@catches("every row that has a copy was dropped")
@swap("read", DROP, ".drop_duplicates(keep=False)")
@hint("1359 rows are left")
def test_the_table_is_read(namespace):
    "`wine` is the table, with each row once"
    wine = namespace["wine"]
    expected, *_ = _table(namespace)
    assert hasattr(wine, "columns"), (
        f"`wine` is {kind(wine)}: keep the table that pd.read_csv(...) returns."
    )
    assert len(wine.columns) > 1, (
        "the whole table came in as one column. Its columns are separated by semicolons: "
        'say sep=";" in pd.read_csv(...).'
    )
    copies = len(wine) - len(expected)
    assert copies <= 0, (
        f"`wine` has {len(wine)} rows, and {copies} of them repeat an earlier one: keep what "
        "wine.drop_duplicates() returns, since it returns a new table."
    )
    assert copies == 0, (
        f"`wine` has {plural(len(wine), 'row')}, and {len(expected)} rows are left when each is "
        "kept once: read the table again, and call drop_duplicates() with no arguments."
    )


@catches("the quality was left among the measurements")
@swap("split", 'wine.drop(columns="quality")', "wine")
@hint("`X_test` has 12 columns")
@catches("random_state was forgotten in the split")
@swap("split", ", random_state=42", "")
@hint("say random_state=42")
@catches("a fifth was set aside, and not a quarter")
@swap("split", "test_size=0.25", "test_size=0.2")
@hint("`X_test` has 272 rows, and a quarter is 340")
@catches("the four names stand in another order")
@swap("split", SPLIT, "X_train, y_train, X_test, y_test")
@hint(f"in the order {SPLIT}")
@error("inconsistent numbers of samples")
@catches("training and test changed places")
@swap("split", SPLIT, "X_test, X_train, y_test, y_train")
@hint(f"in the order {SPLIT}")
@catches("X and y were split by two calls")
@swap(
    "split",
    f"{SPLIT} = train_test_split(X, y, test_size=0.25, random_state=42)",
    "X_train, X_test = train_test_split(X, test_size=0.25, random_state=42)\n"
    "y_train, y_test = train_test_split(y, test_size=0.25, random_state=1)",
)
@hint("`y_test` is not the quality of the wines in `X_test`")
def test_a_quarter_is_kept_for_the_test(namespace):
    "a quarter of the wines is set aside for the test, without their quality"
    wine, train, test = _table(namespace)
    X, y = wine.drop(columns="quality"), wine["quality"]
    for name, rows in (("X_test", test), ("X_train", train)):
        found = namespace[name]
        assert _rows(found) is not None, (
            f"`{name}` is {kind(found)}, and should be a table: split with train_test_split(...)."
        )
        shape = tuple(found.shape)
        swapped = shape in [(len(test),), (len(train),)] or (
            len(shape) > 1 and len(rows) != shape[0] in (len(train), len(test))
        )
        assert not swapped, (
            f"`{name}` holds another part of the split: train_test_split(X, y, ...) returns four, "
            f"in the order {SPLIT}."
        )
        assert len(shape) == 2 and shape[1] == X.shape[1], (
            f"`{name}` has {plural(shape[-1], 'column')}, and should have the eleven measurements: "
            'take the quality out with wine.drop(columns="quality") before the split.'
        )
        assert shape[0] == len(rows), (
            f"`{name}` has {plural(shape[0], 'row')}, and "
            f"{'a quarter' if name == 'X_test' else 'the rest'} is {len(rows)}: drop the copies, "
            "say test_size=0.25, and split once."
        )
        same_wines = same_column(namespace.get(f"y{name[1:]}"), y.iloc[rows])
        assert same_table(found, X.iloc[rows]) or not same_wines, (
            f'`{name}` has the right wines and other columns: X is wine.drop(columns="quality").'
        )
        assert same_table(found, X.iloc[rows]), (
            f"`{name}` holds other wines than the course's: say random_state=42 in "
            "train_test_split(...), and split the table as you have read it."
        )
        assert same_wines, (
            f'`y{name[1:]}` is not the quality of the wines in `{name}`: y is `wine["quality"]`, '
            "and one call of train_test_split(X, y, ...) splits both."
        )


@catches("alpha and l1_ratio changed places")
@swap("model", "alpha=0.5, l1_ratio=0.3", "alpha=0.3, l1_ratio=0.5")
@hint("alpha is 0.3, and should be 0.5")
@catches("another model was trained")
@swap("model", "ElasticNet(alpha=0.5, l1_ratio=0.3, ", "__import__('sklearn').linear_model.Ridge(")
@hint("`model` is a Ridge")
def test_it_is_an_elastic_net(model):
    "`model` is an ElasticNet with alpha 0.5 and l1_ratio 0.3"
    name = type(model).__name__
    assert name == "ElasticNet", (
        f"`model` is {kind(model)}: make it with ElasticNet(...). Other models come later."
    )
    for setting, expected in {"alpha": 0.5, "l1_ratio": 0.3}.items():
        found = getattr(model, setting)
        assert found == expected, (
            f"{setting} is {short(found)}, and should be {expected}: create it with "
            "ElasticNet(alpha=0.5, l1_ratio=0.3, random_state=42), and train it again."
        )


@catches("the model was never trained")
@remove("fit")
@hint("not fitted yet")
@error("not fitted")
@catches("the model was trained on the test wines")
@swap("fit", "(X_train, y_train)", "(X_test, y_test)")
@hint("trained on the test wines")
@catches("the model was trained on all wines")
@swap("fit", "(X_train, y_train)", "(X, y)")
@hint("trained on all wines")
def test_it_is_trained_on_the_training_wines(model, namespace):
    "`model` is trained on the training wines, and on no others"
    wine, train, test = _table(namespace)
    X = wine.drop(columns="quality").to_numpy()
    quality = wine["quality"].to_numpy()
    assert hasattr(model, "coef_") and model.coef_.size == X.shape[1], (
        f"`model` is {kind(model)}, and should be an ElasticNet that has learned from eleven "
        "measurements: call model.fit(X_train, y_train)."
    )
    fitted = X @ model.coef_.ravel() + model.intercept_

    def learned(rows):
        # The intercept makes the mean prediction of the training rows their mean quality.
        return close(float(fitted[rows].mean()), float(quality[rows].mean()), 1e-6)

    others = {"the test wines": test, "all wines": slice(None)}
    seen = next((what for what, rows in others.items() if learned(rows)), "other rows")
    assert learned(train), f"`model` was trained on {seen}: call model.fit(X_train, y_train)."


@catches("the training wines were predicted")
@swap("predict", "X_test", "X_train")
@hint("there are 1019 predictions, and 340 test wines")
@catches("the predictions were rounded to whole grades")
@swap("predict", "model.predict(X_test)", "model.predict(X_test).round()")
@hint("keep them as they are")
@catches("the truth was taken for the prediction")
@put("predict", "predictions = y_test")
@hint("not what `model` says")
def test_the_test_wines_are_predicted(model, namespace):
    "`predictions` has what the model says of each test wine"
    predictions = namespace["predictions"]
    own = model.predict(namespace["X_test"])
    count = _rows(predictions)
    assert count in (None, len(own)), (
        f"there are {plural(count, 'prediction')}, and {plural(len(own), 'test wine')}: predict "
        "for X_test, the wines that the model hasn't seen."
    )
    assert same_column(predictions, own), (
        f"`predictions` is {kind(predictions)}, and not what `model` says of the test wines: call "
        "predictions = model.predict(X_test) after the last fit, and keep them as they are."
    )


RIGHT_WAYS = (
    right(
        "the quality is taken out of the table with pop",
        put(
            "split",
            f"y = wine.pop('quality')\nX = wine\n{SPLIT} = train_test_split(X, y, random_state=42)",
        ),
    ),
    right(
        "the columns are taken by name and by place, the quality as a table",
        swap("split", 'wine.drop(columns="quality")', "wine.iloc[:, :-1]"),
        swap("split", 'wine["quality"]', 'wine[["quality"]]'),
    ),
    right(
        "numpy arrays, and a split by the number of wines",
        swap("split", 'wine.drop(columns="quality")', 'wine.drop(columns="quality").to_numpy()'),
        swap("split", 'wine["quality"]', 'wine["quality"].to_numpy()'),
        swap("split", "test_size=0.25", "test_size=340"),
    ),
    right(
        "the copies are found with duplicated, in a cell of its own, and the rows numbered anew",
        swap("read", DROP, "\nwine = wine[~wine.duplicated()].reset_index(drop=True)"),
        split("data", "X = "),
    ),
    right(
        "one chain trains and predicts",
        swap("model", "ElasticNet(", "ElasticNet(selection='cyclic', "),
        swap("fit", "model.fit(X_train, y_train)", "model = model.fit(X_train, y_train)"),
        swap("predict", "model.predict(X_test)", "list(model.predict(X_test))"),
    ),
)
