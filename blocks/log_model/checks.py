"""The model itself is kept, with its signature and an example, and it works."""

from winelab.checks.authoring import after, catches, given, put, remove, skip_all, swap
from winelab.checks.looking import required_packages

NEEDED = {"scikit-learn", "skops"}
"""What the task asks for. Others of its family do no harm; a guess brings in far more."""
HARMLESS = {"mlflow", "numpy", "scipy", "pandas", "joblib", "cloudpickle"}


def _kept(logged_model):
    """What MLflow wrote down about the model: its signature, its example."""
    from mlflow.models import Model

    return Model.load(logged_model.model_uri)


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "the signature was inferred, and the model never logged",
    remove("log-model"),
    remove("requirements"),
    remove("show-model"),
    hint="there is no model on the run",
)
@catches(
    "the model was logged after the run",
    remove("log-model"),
    remove("requirements"),
    remove("show-model"),
    after(
        'model_info = mlflow.sklearn.log_model(model, name="model", signature=signature,\n'
        '    input_example=X_train.head(5), pip_requirements=["scikit-learn", "skops"])'
    ),
    hint="outside of the run",
)
@catches(
    "the model was logged twice in one run",
    swap(
        "signature",
        "signature = ",
        'mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])\n'
        "signature = ",
    ),
    hint="there are 2 models on the run",
)
@catches(
    "a random forest was tried: skops does not know its trees",
    put(
        "model",
        "from sklearn.ensemble import RandomForestRegressor\n"
        "model = RandomForestRegressor(n_estimators=3, max_depth=3, random_state=42)",
    ),
    hint="ended as FAILED",
    error="references untrusted types",
)
def test_one_model_is_on_the_run(run, namespace):
    "exactly one model is on the run"
    models = run.outputs.model_outputs
    info = namespace.get("model_info")
    assert models or getattr(info, "run_id", "") is not None, (
        "the model was logged outside of the run, and belongs to none: the call stands inside "
        "the `with`, four spaces in."
    )
    assert models, (
        "there is no model on the run: inside the `with`, after the training, log it with "
        'name="model".'
    )
    assert len(models) == 1, (
        f"there are {len(models)} models on the run: one call of log_model is enough."
    )


@catches(
    "the model has another name",
    swap("log-model", 'name="model"', 'name="elasticnet"'),
    hint='say name="model"',
)
@catches(
    "what log_model gives back was not kept",
    remove("show-model"),
    swap("log-model", "model_info = ", ""),
    hint="`model_info` is not what log_model gave back",
)
def test_it_is_called_model(logged_model, namespace):
    'it is called "model", and `model_info` is about it'
    assert logged_model.name == "model", (
        f'the model is called "{logged_model.name}": say name="model" in log_model.'
    )
    uri = getattr(namespace.get("model_info"), "model_uri", "")
    assert uri == logged_model.model_uri, (
        "`model_info` is not what log_model gave back for this run: write "
        "model_info = mlflow.sklearn.log_model(...), and run the cell again."
    )


@catches(
    "the signature was inferred, and never passed on",
    swap("log-model", "    signature=signature,\n    input_example=X_train.head(5),", ""),
    hint="give log_model signature=signature",
)
@catches(
    "the signature was inferred from the whole table, quality and all",
    swap("signature", "(X_train,", "(train,"),
    hint="not from the whole table",
)
@catches(
    "what comes out was given first",
    put("signature", "signature = infer_signature(model.predict(X_train), X_train)"),
    hint="takes what goes in first",
)
@catches(
    "a column of integers: a wine without that figure could not be asked about later",
    swap("signature", "(X_train,", '(X_train.astype({"total sulfur dioxide": "int64"}),'),
    hint="an integer cannot be missing",
)
def test_the_signature_says_what_goes_in(logged_model, namespace):
    "its signature: the eleven measurements go in, each a double"
    signature = _kept(logged_model).signature
    assert signature is not None and signature.inputs is not None, (
        "the model has no signature: give log_model signature=signature."
    )
    columns = [str(name) for name in namespace["X_train"].columns]
    inputs = signature.inputs
    names = [str(name) for name in inputs.input_names()]
    assert "quality" not in names, (
        "the signature wants to be told the quality, which is what the model is to find out: "
        "infer it from X_train, not from the whole table."
    )
    assert names == columns, (
        "the signature does not name the eleven measurements: infer_signature takes what goes "
        "in first, X_train, and then what comes out."
    )
    wrong = [
        name for name, kind in zip(names, inputs.numpy_types(), strict=True) if kind != "float64"
    ]
    assert not wrong, (
        f'"{wrong[0]}" is no double in the signature, and an integer cannot be missing: read the '
        'table with .astype("float64").'
    )


@catches(
    "the signature says nothing of what comes out",
    put("signature", "signature = infer_signature(X_train)"),
    hint="give infer_signature the predictions too",
)
@catches(
    "what comes out was taken from the rounded qualities",
    put("signature", 'signature = infer_signature(X_train, y_train.astype("int64"))'),
    hint="is said to be int64",
)
def test_the_signature_says_what_comes_out(logged_model):
    "its signature: one double comes out"
    signature = _kept(logged_model).signature
    outputs = signature.outputs if signature is not None else None
    assert outputs is not None, (
        "the signature does not say what comes out: give infer_signature the predictions too, "
        "infer_signature(X_train, model.predict(X_train))."
    )
    kinds = [str(kind) for kind in outputs.numpy_types()]
    assert kinds == ["float64"], (
        f"what comes out is said to be {', '.join(kinds)}, and the model gives one double a wine: "
        "infer the signature from X_train and model.predict(X_train)."
    )


@catches(
    "the example was forgotten",
    swap("log-model", "    input_example=X_train.head(5),", ""),
    hint="input_example=X_train.head(5)",
)
@catches(
    "the example is the whole training table",
    swap("log-model", "X_train.head(5)", "X_train"),
    hint="the example has the shape (1199, 11)",
)
@catches(
    "the example was taken from the test",
    swap("log-model", "X_train.head(5)", "X_test.head(5)"),
    hint="holds other wines",
)
def test_the_example_is_there(logged_model, namespace):
    "its example is the first five training rows"
    import numpy as np

    example = _kept(logged_model).load_input_example()
    assert example is not None, (
        "the model has no example: give log_model input_example=X_train.head(5)."
    )
    expected = namespace["X_train"].iloc[:5].to_numpy(dtype=float)
    shape = np.shape(example)
    assert shape == expected.shape, (
        f"the example has the shape {shape}: it should be five rows of the eleven measurements, "
        "X_train.head(5)."
    )
    assert np.allclose(np.asarray(example, dtype=float), expected, rtol=0, atol=1e-9), (
        "the example holds other wines: take X_train.head(5)."
    )


@catches(
    "a new model was logged, not the trained one",
    swap("log-model", "    model,\n", "    ElasticNet(alpha=alpha),\n"),
    hint="log `model`, after model.fit",
)
@catches(
    "another model was trained after the logging",
    after("model = ElasticNet(alpha=0.01).fit(X_train, y_train)"),
    hint="the model that you have just trained",
)
def test_it_predicts_as_yours(logged_model, model, namespace):
    "loaded again, it predicts what your model predicts"
    import mlflow
    import numpy as np

    table = namespace["X_test"]
    own = table.to_numpy(dtype=float) @ np.ravel(model.coef_) + model.intercept_
    try:
        loaded = np.ravel(mlflow.pyfunc.load_model(logged_model.model_uri).predict(table))
        trouble = ""
    except Exception as error:
        loaded, trouble = own, " ".join(str(error).split())
    assert not trouble, (
        f"the logged model cannot predict (... {trouble[-160:]}). Mend the signature first, if one "
        "of the checks above says so; if it is right, log `model`, after model.fit."
    )
    assert len(loaded) == len(own) and np.allclose(loaded, own, rtol=0, atol=1e-9), (
        "the logged model predicts other qualities than `model`: log the model that you have "
        "just trained."
    )


@catches(
    "the requirements were left to MLflow", put("requirements", ")"), hint="MLflow had to guess"
)
@catches(
    "skops was left out, in which the model is written",
    swap("requirements", '"scikit-learn", "skops"', '"scikit-learn"'),
    hint="needs skops too",
)
def test_it_says_what_it_needs(logged_model):
    "it names what it needs: scikit-learn and skops"
    names = required_packages(logged_model.model_uri)
    missing = sorted(NEEDED - names)
    assert not missing, (
        f"the model needs {missing[0]} too: give log_model "
        'pip_requirements=["scikit-learn", "skops"].'
    )
    guessed = sorted(names - NEEDED - HARMLESS)
    assert not guessed, (
        f"the model is said to need {', '.join(guessed)}: MLflow had to guess, which takes "
        'seconds. Name them yourself, pip_requirements=["scikit-learn", "skops"].'
    )
