"""A model is trained on three quarters of the wines, and predicts the others."""

from pathlib import Path

from winelab.checks.authoring import catches, error, hint, put, remove, right, split, swap
from winelab.checks.comparing import close, kind, plural, same_column, same_table, short

DROP = ".drop_duplicates()"
MEASURED, QUALITY = 'wine.drop(columns="quality")', 'wine["quality"]'
PARTS = "X_train, X_test, y_train, y_test"


def _table(namespace):
    """The table that the notebook names, each row once, and its training and test rows."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    file = namespace["data_file"]
    assert Path(file).is_file(), "`data_file` is not the wine table: run all cells from the top."
    wine = pd.read_csv(file, sep=";").drop_duplicates()
    return wine, *train_test_split(range(len(wine)), test_size=0.25, random_state=42)


@catches("the separator was forgotten")
@swap("read", ', sep=";"', "")
@hint('sep=";"')
@error("quality")
@catches("the notebook was started in another folder, so that the table is not found")
@swap("course", "Path.cwd().parent", 'Path.cwd() / "elsewhere"')
@hint("no variable `wine`")
@error("No such file or directory")
@catches("the table without copies was not kept")
@swap("read", DROP, "\nwine.drop_duplicates()")
@hint("`wine` has 1599 rows, and 240 of them")
@catches("every row that has a copy was dropped")
@swap("read", DROP, ".drop_duplicates(keep=False)")
@hint("1359 rows are left")
def test_the_table_is_read(namespace):
    "`wine` is the table, with each row once"
    wine = namespace["wine"]
    expected, *_ = _table(namespace)
    assert hasattr(wine, "columns"), f"`wine` is {kind(wine)}: keep what pd.read_csv(...) returns."
    assert len(wine.columns) > 1, 'the table is one wide column: say sep=";" in pd.read_csv(...).'
    copies = len(wine) - len(expected)
    assert copies <= 0, (
        f"`wine` has {len(wine)} rows, and {copies} of them repeat an earlier one: keep the new "
        "table that wine.drop_duplicates() returns."
    )
    assert copies == 0, (
        f"`wine` has {plural(len(wine), 'row')}, and {len(expected)} rows are left when each is "
        "kept once: read the table again, and call drop_duplicates() with no arguments."
    )


@catches("the quality was left among the measurements")
@swap("split", MEASURED, "wine")
@hint("`X_test` has 12 columns")
@catches("random_state was forgotten in the split")
@swap("split", ", random_state=42", "")
@hint("`X_test` has other wines")
@catches("a fifth was set aside, and not a quarter")
@swap("split", "test_size=0.25", "test_size=0.2")
@hint("`X_test` has 272 rows, and a quarter is 340")
@catches("the four names stand in another order")
@swap("split", PARTS, "X_train, y_train, X_test, y_test")
@hint(f"in the order {PARTS}")
@error("inconsistent numbers of samples")
@catches("training and test changed places")
@swap("split", PARTS, "X_test, X_train, y_test, y_train")
@hint(f"in the order {PARTS}")
@catches("the quality was split by a call of its own, with another seed")
@swap("split", "=42)", "=42)\ny_train, y_test = train_test_split(y, random_state=1)")
@hint("`y_test` is not the quality of the wines in `X_test`")
def test_a_quarter_is_kept_for_the_test(namespace):
    "a quarter of the wines is set aside for the test, without their quality"
    wine, train, test = _table(namespace)
    X, y = wine.drop(columns="quality"), wine["quality"]
    for part, rows, share in (("test", test, "a quarter"), ("train", train, "the rest")):
        found, name = namespace[f"X_{part}"], f"`X_{part}`"
        shape = getattr(found, "shape", ())
        assert shape, f"{name} is {kind(found)}, not a table: split with train_test_split(...)."
        is_a_part = shape[0] in (len(train), len(test))
        assert not is_a_part or (len(shape) > 1 and shape[0] == len(rows)), (
            f"{name} is another part of the split: train_test_split(X, y, ...) returns four, in "
            f"the order {PARTS}."
        )
        assert shape[1:] == X.shape[1:], (
            f"{name} has {plural(shape[-1], 'column')}, not eleven: X is {MEASURED}."
        )
        assert shape[0] == len(rows), (
            f"{name} has {plural(shape[0], 'row')}, and {share} is {len(rows)}: drop the copies, "
            "say test_size=0.25, and split once."
        )
        same_wines = same_column(namespace.get(f"y_{part}"), y.iloc[rows])
        assert same_table(found, X.iloc[rows]), (
            f"{name} has other {'columns' if same_wines else 'wines'} than the course's: X is "
            f"{MEASURED}, split with random_state=42."
        )
        assert same_wines, (
            f"`y_{part}` is not the quality of the wines in {name}: y is {QUALITY}, and one call "
            "of train_test_split(X, y, ...) splits both."
        )


@catches("alpha and l1_ratio changed places")
@swap("model", "alpha=0.5, l1_ratio=0.3", "alpha=0.3, l1_ratio=0.5")
@hint("alpha is 0.3, and should be 0.5")
@catches("another model was trained")
@swap("model", "ElasticNet(alpha=0.5, l1_ratio=0.3, ", "__import__('sklearn').linear_model.Ridge(")
@hint("`model` is a Ridge")
def test_it_is_an_elastic_net(model):
    "`model` is an ElasticNet with alpha 0.5 and l1_ratio 0.3"
    right_class = type(model).__name__ == "ElasticNet"
    assert right_class, f"`model` is {kind(model)}: make it with ElasticNet(...)."
    for setting, expected in {"alpha": 0.5, "l1_ratio": 0.3}.items():
        found = getattr(model, setting)
        assert found == expected, (
            f"{setting} is {short(found)}, and should be {expected}: write "
            "ElasticNet(alpha=0.5, l1_ratio=0.3, random_state=42), and run the cell again."
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
    X, quality = wine.drop(columns="quality").to_numpy(), wine["quality"].to_numpy()
    assert hasattr(model, "coef_") and model.coef_.size == X.shape[1], (
        f"`model` is {kind(model)} that hasn't learned from the eleven measurements alone: call "
        "model.fit(X_train, y_train)."
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
@swap("predict", "(X_test)", "(X_test).round()")
@hint("keep them as they are")
@catches("the truth was taken for the prediction")
@put("predict", "predictions = y_test")
@hint("`predictions` is a column (Series), and not what `model` says")
def test_the_test_wines_are_predicted(model, namespace):
    "`predictions` has what the model says of each test wine"
    predictions, own = namespace["predictions"], model.predict(namespace["X_test"])
    count = len(predictions) if hasattr(predictions, "shape") else len(own)
    assert count == len(own), (
        f"there are {plural(count, 'prediction')}, and {plural(len(own), 'test wine')}: call "
        "model.predict(X_test)."
    )
    assert same_column(predictions, own), (
        f"`predictions` is {kind(predictions)}, and not what `model` says of the test wines: call "
        "predictions = model.predict(X_test) after the last fit, and keep them as they are."
    )


POPPED = f"y = wine.pop('quality')\nX = wine\n{PARTS} = train_test_split(X, y, random_state=42)"

RIGHT_WAYS = (
    right("the quality is taken out of the table with pop", put("split", POPPED)),
    right(
        "the columns are taken by place, the quality as a table, the predictions as a list",
        swap("split", MEASURED, "wine.iloc[:, :-1]"),
        swap("split", QUALITY, 'wine[["quality"]]'),
        swap("predict", "model.predict(X_test)", "list(model.predict(X_test))"),
    ),
    right(
        "numpy arrays, a split by the number of wines, and fit's answer is the model",
        swap("split", MEASURED, f"{MEASURED}.to_numpy()"),
        swap("split", QUALITY, f"{QUALITY}.to_numpy()"),
        swap("split", "test_size=0.25", "test_size=340"),
        swap("fit", "model.fit", "model = model.fit"),
    ),
    right(
        "the copies are found with duplicated, in a cell of its own, and the rows numbered anew",
        swap("read", DROP, "\nwine = wine[~wine.duplicated()].reset_index(drop=True)"),
        split("data", "X = "),
    ),
)
