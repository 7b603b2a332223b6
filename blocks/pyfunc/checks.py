"""The model is a class of the student's own, stored as a file, with the pipeline beside it."""

from winelab.checks.authoring import before, catches, error, hint, put, remove, right, split, swap
from winelab.checks.comparing import listed, plural, same_column
from winelab.checks.looking import model_folder, required_packages
from winelab.checks.scratch import call
from winelab.core.errors import Missing

NEEDED = {"joblib", "pandas", "scikit-learn"}
HARMLESS = {"mlflow", "numpy", "scipy", "cloudpickle"}
SET_MODEL = "\n\nmlflow.models.set_model(WineModel())"


def _described(logged_model):
    """What MLflow stores about the model, and its flavor as a Python function."""
    from mlflow.models import Model

    described = Model.load(logged_model.model_uri)
    assert "sklearn" not in described.flavors, (
        "the model is still logged with `mlflow.sklearn`: call `mlflow.pyfunc.log_model`, with "
        '`python_model=output / "wine_model.py"`.'
    )
    return described, described.flavors["python_function"]


def _wines(namespace):
    """The test wines, and two more that are far off the scale, one on each side."""
    import pandas as pd

    table = namespace["X_test"]
    assert isinstance(table, pd.DataFrame) and "alcohol" in table, (
        "`X_test` is no table of wines: run the cells from the top."
    )
    factors = pd.Series([100.0, -100.0], table.index[:2])
    odd = table.head(2).assign(alcohol=table["alcohol"].head(2) * factors)
    return pd.concat([table, odd], ignore_index=True)


def _advice(problem):
    """What to do about an error of the model's file."""
    said = " ".join(problem.split())[-200:]
    known = {
        "set_model": "the file sets no model, and MLflow took the one that an earlier version had "
        "set in this kernel: end the file with `mlflow.models.set_model(WineModel())`.",
        "KeyError": f"the file asks for an artifact that the model doesn't have ({said}): the name "
        'is "pipeline", in `context.artifacts[...]` and in `artifacts={...}`.',
        "FileNotFoundError": f"the file looks for something that only your notebook's folder has "
        f'({said}): load `context.artifacts["pipeline"]`.',
        "has no attribute": f"`predict` finds nothing that was loaded ({said}): `load_context`, "
        "spelt like this, must set what `predict` uses, `self.pipeline = joblib.load(...)`.",
        "": f"in a fresh process the model fails ({said}): the file must import all that it uses, "
        "and can't see the notebook's variables.",
    }
    return next(advice for words, advice in known.items() if words in problem)


@catches("the file is written, and the scikit-learn model logged as before")
@put(
    "log-model",
    'model_info = mlflow.sklearn.log_model(\n    model,\n    name="model",\n'
    "    signature=signature,\n    input_example=X_train.head(5),",
)
@hint("still logged with `mlflow.sklearn`")
@catches("an object was passed instead of the file, as older courses do: it's pickled")
@swap("log-model", 'python_model=output / "wine_model.py"', "python_model=WineModel()")
@before(
    "import mlflow\nclass WineModel(mlflow.pyfunc.PythonModel):\n"
    "    def predict(self, context, model_input, params=None):\n"
    "        return model_input['alcohol']"
)
@hint("was stored as a pickle")
@catches("the file forgets set_model, at the first try")
@swap("model-code", SET_MODEL, "")
@hint("ended as FAILED")
@error("ensure the model is set using mlflow.models.set_model()")
@catches("set_model was given the class, without brackets")
@swap("model-code", "WineModel())", "WineModel)")
@hint("ended as FAILED")
@error("it must accept exactly one argument")
def test_its_code_is_a_file(logged_model):
    "it's a pyfunc model, and its code is stored as a file"
    _, flavor = _described(logged_model)
    assert "model_code_path" in flavor, (
        "the model's class was stored as a pickle: give `log_model` the file that you wrote, "
        '`python_model=output / "wine_model.py"`.'
    )


@catches("the artifact was logged under another name")
@swap("log-model", '{"pipeline"', '{"model"')
@hint("there is model")
@catches("the pipeline wasn't saved")
@remove("save-model")
@hint("ended as FAILED")
@error("No such artifact")
@catches("the file reads the joblib file of this machine, not the artifact")
@swap(
    "save-model",
    'joblib.dump(model, output / "pipeline.joblib")',
    'here = output / "pipeline.joblib"\njoblib.dump(model, here)\n'
    'text = (output / "wine_model.py").read_text()\n'
    "text = text.replace('context.artifacts[\"pipeline\"]', repr(str(here)))\n"
    '(output / "wine_model.py").write_text(text)',
)
@hint("predicts even without its artifact")
def test_the_pipeline_is_in_it(logged_model):
    'the fitted pipeline is in it as the artifact "pipeline", and is what it reads'
    import shutil
    import tempfile
    from pathlib import Path

    described, flavor = _described(logged_model)
    artifacts = flavor.get("artifacts") or {}
    assert "pipeline" in artifacts, (
        f'the model has no artifact "pipeline" (there is {", ".join(artifacts) or "none"}): give '
        '`log_model` the argument `artifacts={"pipeline": str(output / "pipeline.joblib")}`.'
    )
    # A copy without its artifact must fail, or it reads a file elsewhere; nothing is taken from
    # the student's own files.
    with tempfile.TemporaryDirectory(prefix="winelab-copy-") as desk:
        copy = Path(desk) / "model"
        shutil.copytree(model_folder(logged_model.model_uri), copy)
        (copy / artifacts["pipeline"]["path"]).unlink(missing_ok=True)
        answer = call(_ask, copy, described.load_input_example(), may_raise=Exception)
    assert isinstance(answer, Exception), (
        "the model predicts even without its artifact, so it reads another file, which no other "
        'machine has: load `context.artifacts["pipeline"]`.'
    )


def _ask(model, table, **params):
    """What a model in a folder predicts."""
    import mlflow

    return mlflow.pyfunc.load_model(str(model)).predict(table, params=params or None)


@catches("the file forgets set_model, and an earlier version had set a model in this kernel")
@swap("model-code", SET_MODEL, "")
@before(
    "import mlflow\nclass Earlier(mlflow.pyfunc.PythonModel):\n"
    "    def predict(self, context, model_input, params=None):\n"
    "        return model_input['alcohol']\n"
    "mlflow.models.set_model(Earlier())"
)
@hint("that an earlier version had set")
@catches("the file asks for the artifact by another name")
@swap("model-code", 'artifacts["pipeline"]', 'artifacts["model"]')
@hint("asks for an artifact that the model doesn't have")
@catches("predict doesn't return anything")
@swap("model-code", "return quality", "quality")
@hint("end it with `return`")
@catches("predict always rounds")
@swap("model-code", ' if params and params["round"] else quality', "")
@hint("only rounds when")
@catches("predict doesn't clip")
@swap("model-code", ".clip(0, 10)", "")
@hint("off the scale")
@catches("load_context is misspelt, so that nobody calls it")
@swap("model-code", "def load_context", "def load_contex")
@hint("`load_context`, spelt like this")
@catches("the pipeline was saved before it was trained on these wines")
@remove("save-model")
@swap(
    "fit",
    "model.fit",
    "model.fit(X_test, y_test)\njoblib.dump(model, output / 'pipeline.joblib')\nmodel.fit",
)
@hint("differs from `model`")
def test_it_predicts_as_yours_on_the_scale(logged_model, model, namespace, fresh):
    "in a fresh process it predicts what `model` predicts, on the scale of 0 to 10"
    import numpy as np

    _described(logged_model)
    wines = _wines(namespace)
    own = np.ravel(call(model.predict, wines, on_error="Run the cells from the top."))
    try:
        answers, problem = np.asarray(fresh(logged_model.model_uri, wines)), ""
    except Missing as error:
        answers, problem = own, str(error)
    assert not problem, _advice(problem)
    assert len(answers) == len(own), (
        f"`predict` gives {plural(len(answers), 'answer')} for {len(own)} wines: end it with "
        "`return` and the predictions."
    )
    odd = max(answers, key=lambda grade: abs(grade - 5))
    assert 0 <= odd <= 10, (
        f"for a wine off the scale the model predicts {odd:.0f}: clip the predictions, "
        "`.clip(0, 10)`."
    )
    right_ones = own.clip(0, 10)
    assert not same_column(answers, right_ones.round()), (
        "the model gives whole grades without being asked: `predict` only rounds when "
        '`params["round"]` is true.'
    )
    worst = float(np.abs(answers - right_ones).max())
    assert worst <= 1e-12, (
        f"the logged model differs from `model` by up to {worst:.2g}: `joblib.dump` must stand "
        "after `model.fit`, and `predict` changes nothing between 0 and 10."
    )


@catches("the signature doesn't know the param")
@swap("signature", ', params={"round": False}', "")
@hint('`params={"round": False}`')
@catches("the param is called something else")
@swap("signature", '"round"', '"rounded"')
@hint("it knows rounded")
def test_the_signature_knows_the_param(logged_model):
    'its signature knows the param "round", which is False by default; its example is still there'
    described, _ = _described(logged_model)
    signature = described.signature
    assert signature is not None and signature.inputs is not None, (
        "the model has no signature: keep `signature=signature` in `log_model`."
    )
    assert signature.outputs is not None, (
        "the signature doesn't say what comes out: keep `model.predict(X_train)` in it."
    )
    params = {param.name: param.default for param in signature.params or ()}
    known = f"it knows {listed(params)}" if params else "it knows none"
    assert "round" in params, (
        f'the signature doesn\'t know the param "round" ({known}): give `infer_signature` the '
        'argument `params={"round": False}`.'
    )
    assert params["round"] is False, (
        f'the param "round" is {params["round"]} unless somebody sets it: write '
        '`params={"round": False}`.'
    )
    assert described.saved_input_example_info, (
        "the model has no example any more: keep `input_example=X_train.head(5)`."
    )


@catches("predict never looks at the param")
@swap("model-code", 'quality.round() if params and params["round"] else quality', "quality")
@hint("asked for whole grades")
def test_it_rounds_when_asked(logged_model, model, namespace):
    'it rounds to whole grades when asked, with params={"round": True}'
    import numpy as np

    described, _ = _described(logged_model)
    assert getattr(described.signature, "params", None), (
        "as above: the signature knows no params, so MLflow passes none on."
    )
    wines = _wines(namespace)
    own = np.ravel(call(model.predict, wines, on_error="Run the cells from the top."))
    folder = model_folder(logged_model.model_uri)
    answer = call(_ask, folder, wines, round=True, may_raise=Exception)
    assert not isinstance(answer, Exception), (
        f"asked for whole grades, the model stops ({' '.join(str(answer).split())[-160:]}): "
        'begin with the lines above; `params` is a dictionary, so ask for `params["round"]`.'
    )
    assert same_column(answer, own.clip(0, 10).round()), (
        'asked for whole grades, the model gives something else: where `params["round"]` is true, '
        "`predict` must return `quality.round()`."
    )


@catches("pandas was left out, which the file imports")
@swap("requirements", '"joblib", "pandas", ', '"joblib", ')
@hint("needs pandas too")
def test_it_says_what_it_needs(logged_model):
    "its requirements are joblib, pandas and scikit-learn"
    _described(logged_model)
    names = required_packages(logged_model.model_uri)
    advice = 'write `pip_requirements=["joblib", "pandas", "scikit-learn"]`.'
    more = sorted(names - NEEDED - HARMLESS)
    assert not more, f"the requirements name {listed(more)}, which it doesn't need: {advice}"
    missing = sorted(NEEDED - names)
    assert not missing, f"the model needs {listed(missing)} too: {advice}"


RIGHT_WAYS = (
    right(
        "numpy clips and rounds, without a type hint, and the class has another name",
        swap(
            "model-code",
            "self.pipeline.predict(model_input).clip(0, 10)",
            "np.minimum(np.maximum(self.pipeline.predict(model_input), 0), 10)",
        ),
        swap("model-code", "quality.round()", "np.rint(quality)"),
        swap("model-code", "import mlflow\n", "import mlflow\nimport numpy as np\n"),
        swap("model-code", "class WineModel(", "class Clipped("),
        swap("model-code", "set_model(WineModel())", "set_model(Clipped())"),
        swap("model-code", "model_input: pd.DataFrame", "model_input"),
    ),
    right(
        "predict returns a list, and params is read with get",
        swap(
            "model-code",
            'quality.round() if params and params["round"] else quality',
            '[round(q) if (params or {}).get("round") else q for q in quality.tolist()]',
        ),
    ),
    right(
        "the run is opened and ended by two calls, and the file is named by a text",
        put("run", 'mlflow.start_run(run_name="elasticnet")\nif True:'),
        swap("requirements", "\n)", "\n)\nmlflow.end_run()"),
        swap(
            "log-model",
            'python_model=output / "wine_model.py"',
            'python_model="../output/wine_model.py"',
        ),
        split("train", "mlflow.sklearn.autolog(disable"),
    ),
)
