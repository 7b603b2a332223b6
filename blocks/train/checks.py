"""The table is read, split, learned from, and predicted."""

from winelab.checks.authoring import catches, remove, swap
from winelab.checks.comparing import close


@catches(
    "the separator was forgotten", swap("read", ', sep=";"', ""), hint='sep=";"', error="quality"
)
@catches(
    "the notebook was started in another folder, so that the table is not found",
    swap("course", "Path.cwd().parent", 'Path.cwd() / "elsewhere"'),
    hint="no variable `wine`",
    error="No such file or directory",
)
def test_the_table_is_read(namespace):
    "the table is read: 1,599 wines, twelve columns"
    wine = namespace["wine"]
    assert len(wine.columns) > 1, (
        "the whole table came in as one column: its columns are separated by semicolons, "
        'so say sep=";" in pd.read_csv.'
    )
    assert "quality" in wine.columns, "`wine` must keep all its columns: read it again."
    assert len(wine) == 1599, f"`wine` has {len(wine)} rows, the file 1,599: read it again."


@catches(
    "the quality was left among the features",
    swap("split", 'wine.drop(columns="quality")', "wine"),
    hint="still has the column it shall predict",
)
def test_a_quarter_is_kept_for_the_test(namespace):
    "400 wines are kept for the test, and the model cannot see their quality"
    X_train, X_test = namespace["X_train"], namespace["X_test"]
    assert "quality" not in X_train.columns, (
        "`X_train` still has the column it shall predict: take it out with "
        'wine.drop(columns="quality") before the split.'
    )
    assert len(X_test) == 400, (
        f"`X_test` has {len(X_test)} wines, a quarter is 400: say test_size=0.25."
    )
    assert len(X_train) == 1199, "`X_train` must hold the other 1,199 wines: split once only."
    assert (namespace["y_test"].index == X_test.index).all(), (
        "`X_test` and `y_test` are not the same wines: split X and y in one call."
    )


@catches(
    "random_state was forgotten in the split",
    swap("split", ", random_state=42", ""),
    hint="random_state=42",
)
def test_the_split_can_be_repeated(namespace):
    "the split is the same at every run"
    from sklearn.model_selection import train_test_split

    wine, X_test = namespace["wine"], namespace["X_test"]
    _, expected = train_test_split(wine, test_size=0.25, random_state=42)
    assert list(X_test.index) == list(expected.index), (
        "other wines are in your test than in the course's: say random_state=42 in "
        "train_test_split, so that every run splits alike."
    )


@catches(
    "the model learned from the test wines",
    swap("fit", "(X_train, y_train)", "(X_test, y_test)"),
    hint="model.fit(X_train, y_train)",
)
@catches("the model was never fitted", remove("fit"), hint="not fitted yet", error="not fitted")
def test_the_model_is_fitted(model, namespace):
    "an ElasticNet with alpha 0.5 and l1_ratio 0.5 has learned from the training wines"
    assert type(model).__name__ == "ElasticNet", (
        f"`model` is a {type(model).__name__}: make it with ElasticNet(...)."
    )
    assert (model.alpha, model.l1_ratio) == (0.5, 0.5), (
        "the model's settings differ: say ElasticNet(alpha=0.5, l1_ratio=0.5, random_state=42)."
    )
    average = float(namespace["y_train"].mean())
    learned = float(model.predict(namespace["X_train"]).mean())
    assert close(average, learned, 1e-6), (
        "the model did not learn from `X_train` and `y_train`: call model.fit(X_train, y_train)."
    )


@catches(
    "the training wines were predicted",
    swap("predict", "X_test", "X_train"),
    hint="predict for X_test",
)
def test_there_are_400_predictions(namespace, model):
    "400 predictions, one for each test wine"
    predictions = namespace["predictions"]
    assert len(predictions) == 400, (
        f"there are {len(predictions)} predictions, not 400: predict for X_test, the wines "
        "that the model has not seen."
    )
    own = model.predict(namespace["X_test"])
    assert all(close(a, b) for a, b in zip(predictions, own, strict=True)), (
        "these predictions are not the model's: run predictions = model.predict(X_test) "
        "again, after the last fit."
    )
