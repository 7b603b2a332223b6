"""The model itself is logged, with its signature and an example, and it works."""

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, skip_all, swap
from winelab.checks.comparing import listed, plural, same_column, same_table
from winelab.checks.looking import required_packages
from winelab.core.console import end_of

LOG_MODEL = (
    'model_info = mlflow.sklearn.log_model(model, name="model", signature=signature,\n'
    '    input_example=X_train.head(5), pip_requirements=["scikit-learn", "skops"])'
)
NOT_LOGGED = (remove("log-model"), remove("requirements"), remove("show-model"))


def _described(logged_model):
    """What MLflow stores about the model: its signature, its example."""
    from mlflow.models import Model

    return Model.load(logged_model.model_uri)


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@catches("the model was logged below the `with`", *NOT_LOGGED, after(LOG_MODEL))
@hint("was logged outside the run")
@catches("the model was logged twice in one run")
@swap("requirements", "\n)", f"\n)\n{LOG_MODEL}")
@hint("there are 2 models on the run")
@catches("a random forest was tried: skops doesn't know its trees")
@put("model", "from sklearn import ensemble\nmodel = ensemble.RandomForestRegressor(3)")
@hint("ended as FAILED")
@error("references untrusted types")
def test_one_model_is_on_the_run(run, namespace):
    "exactly one model is on the run"
    models = run.outputs.model_outputs
    info = namespace.get("model_info")
    assert models or getattr(info, "run_id", "") is not None, (
        "the model was logged outside the run, and belongs to none: `log_model` must stand inside "
        "the `with`, indented by four spaces."
    )
    assert len(models) == 1, (
        f"there are {plural(len(models), 'model')} on the run: inside the `with`, and after the "
        'training, call `mlflow.sklearn.log_model(model, name="model", ...)` once.'
    )


@catches("the model has another name")
@swap("log-model", 'name="model"', 'name="elasticnet"')
@hint('say `name="model"`')
@catches("what log_model returns was not kept")
@remove("show-model")
@swap("log-model", "model_info = ", "")
@hint("`model_info` isn't this run's model")
def test_it_is_called_model(logged_model, namespace):
    'it is called "model", and `model_info` describes it'
    assert logged_model.name == "model", (
        f'the model is called "{logged_model.name}": say `name="model"` in `log_model`.'
    )
    uri = getattr(namespace.get("model_info"), "model_uri", "")
    assert uri == logged_model.model_uri, (
        "`model_info` isn't this run's model: write `model_info = mlflow.sklearn.log_model(...)`."
    )


@catches("the signature was inferred, and never passed on")
@swap("log-model", "    signature=signature,\n    input_example=X_train.head(5),", "")
@hint("`signature=signature`")
@catches("the signature was inferred from the whole table, with the quality")
@swap("signature", "(X_train,", "(train,")
@hint("differ in quality")
@catches("a column of integers, which can't hold a missing value")
@swap("signature", "(X_train,", '(X_train.astype({"total sulfur dioxide": "int64"}),')
@hint("can't hold a missing value")
def test_the_signature_has_the_inputs(logged_model, namespace):
    "its signature names the inputs: the eleven measurements, each a double"
    signature = _described(logged_model).signature
    assert signature is not None and signature.inputs is not None, (
        "the model has no signature: give `log_model` the argument `signature=signature`."
    )
    columns = [str(name) for name in getattr(namespace["X_train"], "columns", ())]
    names = [str(name) for name in signature.inputs.input_names()]
    other = sorted({*names} ^ {*columns})
    assert names == columns, (
        f"the signature and `X_train` differ in {', '.join(other) or 'their order'}: give "
        "`infer_signature` the inputs first, `X_train` without the quality, then the predictions."
    )
    types = zip(names, signature.inputs.numpy_types(), strict=True)
    wrong = [name for name, type_ in types if type_ != "float64"]
    assert not wrong, (
        f"\"{wrong[0]}\" isn't a double in the signature, and an integer column can't hold a "
        "missing value: infer the signature from `X_train` as it is."
    )


@catches("the signature says nothing about the outputs")
@put("signature", "signature = infer_signature(X_train)")
@hint("the signature says nothing comes out")
@catches("the outputs were taken from qualities turned into integers")
@put("signature", 'signature = infer_signature(X_train, y_train.astype("int64"))')
@hint("the signature says int64 comes out")
def test_the_signature_has_the_output(logged_model):
    "its signature names the output: one double for each wine"
    signature = _described(logged_model).signature
    outputs = signature.outputs if signature is not None else None
    types = ["nothing"] if outputs is None else [str(type_) for type_ in outputs.numpy_types()]
    assert types == ["float64"], (
        f"the signature says {listed(types)} comes out, and the model gives one float64 for each "
        "wine: give `infer_signature` both, `X_train` and `model.predict(X_train)`."
    )


@catches("the example was forgotten")
@swap("log-model", "    input_example=X_train.head(5),", "")
@hint("the model has no example")
@catches("the example was taken from the test wines")
@swap("log-model", "X_train.head(5)", "X_test.head(5)")
@hint("an example of 5 rows, and should have the first five")
def test_the_example_is_there(logged_model, namespace):
    "its input example is the first five training rows"
    example = _described(logged_model).load_input_example()
    head = getattr(namespace["X_train"], "head", None)
    has = "no example" if example is None else f"an example of {plural(len(example), 'row')}"
    assert example is not None and head and same_table(example, head(5)), (
        f"the model has {has}, and should have the first five of `X_train`: give `log_model` the "
        "argument `input_example=X_train.head(5)`."
    )


@catches("a candidate was logged, which was never fitted")
@swap("log-model", "    model,\n", "    candidate,\n")
@hint("log `model`, after `model.fit`")
@catches("the ElasticNet was logged without the scaler before it")
@swap("log-model", "    model,\n", "    model[-1],\n")
@hint("predicts other qualities than `model`")
def test_it_predicts_as_yours(logged_model, model, namespace):
    "loaded again, it predicts what your model predicts"
    import mlflow

    table, own, loaded, problem = namespace["X_test"], None, None, ""
    try:
        own = model.predict(table)
        loaded = mlflow.pyfunc.load_model(logged_model.model_uri).predict(table)
    except Exception as error:
        problem = end_of(str(error).rpartition("Error: ")[2])
    assert own is not None, (
        "`model` can't predict for `X_test`: run all cells, and give nothing else these two names."
    )
    assert not problem, (
        f"the logged model can't predict ({problem}). If a line above is about the signature, "
        "begin there; if not, log `model`, after `model.fit`."
    )
    assert same_column(loaded, own), (
        "the logged model predicts other qualities than `model`: log the whole pipeline, `model`."
    )


@catches("the requirements were left to MLflow")
@put("requirements", ")")
@hint("which MLflow may have inferred")
@catches("skops was left out, the format of the model's file")
@swap("requirements", '"scikit-learn", "skops"', '"scikit-learn"')
@hint("the model needs skops too")
def test_it_says_what_it_needs(logged_model):
    "its requirements are scikit-learn and skops"
    names, needed = required_packages(logged_model.model_uri), {"scikit-learn", "skops"}
    # Others of its family do no harm; an inferred list brings in far more.
    harmless = {"mlflow", "numpy", "scipy", "pandas", "joblib", "cloudpickle"}
    advice = 'give `log_model` the argument `pip_requirements=["scikit-learn", "skops"]`.'
    inferred = sorted(names - needed - harmless)
    assert not inferred, (
        f"the model doesn't need {listed(inferred)}, which MLflow may have inferred: {advice}"
    )
    missing = sorted(needed - names)
    assert not missing, f"the model needs {listed(missing)} too: {advice}"


RIGHT_WAYS = (
    right(
        "the run is opened and ended by two calls",
        put("run", 'mlflow.start_run(run_name="elasticnet")\nif True:'),
        swap("requirements", "\n)", "\n)\nmlflow.end_run()"),
    ),
    right(
        "the run is continued in another cell, where the model is logged",
        *NOT_LOGGED,
        after(
            "with mlflow.start_run(run_id=mlflow.last_active_run().info.run_id):\n    "
            + LOG_MODEL.replace("\n", "\n    ")
        ),
    ),
    right(
        "fewer rows for the signature, a slice for the example, a version for skops",
        swap("signature", "(X_train, model.predict(X_train))", "(X_test, predictions)"),
        swap("log-model", "X_train.head(5)", "X_train.iloc[:5]"),
        swap("requirements", '"skops"', '"skops>=0.10"'),
    ),
    right(
        "the whole signature is given by hand",
        put(
            "signature",
            "from mlflow.models import ModelSignature\n"
            "from mlflow.types import ColSpec, Schema\n"
            'inputs = Schema([ColSpec("double", name) for name in X_train.columns])\n'
            'signature = ModelSignature(inputs, Schema([ColSpec("double")]))',
        ),
    ),
)
