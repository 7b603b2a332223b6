"""The model is a class of the student's own, stored as a file, with the pipeline beside it."""

from winelab.checks.authoring import before, catches, error, hint, put, remove, right, split, swap
from winelab.checks.comparing import listed, plural, same_column
from winelab.checks.looking import model_folder, required_packages
from winelab.checks.scratch import call
from winelab.core.errors import Missing

HARMLESS = {"mlflow", "numpy", "scipy", "cloudpickle"}
CODE = 'python_model=output / "wine_model.py"'
SET_MODEL = "\n\nmlflow.models.set_model(WineModel())"
EARLIER = (
    "import mlflow\nclass Earlier(mlflow.pyfunc.PythonModel):\n"
    "    def predict(self, context, model_input, params=None):\n"
    "        return model_input['alcohol']\n"
)


def _described(logged_model):
    """What MLflow stores about the model, and its flavor as a Python function."""
    from mlflow.models import Model

    described = Model.load(logged_model.model_uri)
    assert "sklearn" not in described.flavors, (
        "the model is still logged with `mlflow.sklearn`: call `mlflow.pyfunc.log_model`."
    )
    return described, described.flavors["python_function"]


def _asked(namespace, model):
    """The test wines and two that are far off the scale, and what `model`, clipped, predicts."""
    import numpy as np
    import pandas as pd

    table = namespace["X_test"]
    odd = [table.head(1).assign(alcohol=alcohol) for alcohol in (1000.0, -1000.0)]
    wines = pd.concat([table, *odd], ignore_index=True)
    predicted = call(model.predict, wines, on_error="Run the cells from the top.")
    return wines, np.ravel(predicted).clip(0, 10)


def _answer(model, table, **params):
    """What the model in a folder predicts."""
    import mlflow

    return mlflow.pyfunc.load_model(str(model)).predict(table, params=params or None)


def _advice(problem):
    """What to do about an error of the model's file."""
    said = " ".join(problem.split())[-200:]
    known = {
        "set_model": "the file sets no model, and MLflow took the one that an earlier version had "
        "set in this kernel: end the file with `mlflow.models.set_model(WineModel())`.",
        "KeyError": f"the file asks for an artifact that the model doesn't have ({said}): write "
        '"pipeline", in `context.artifacts[...]` and in `artifacts={...}`.',
        "FileNotFoundError": f"the file looks for something that isn't in the model ({said}): load "
        '`context.artifacts["pipeline"]`.',
        "has no attribute": f"`predict` finds nothing that was loaded ({said}): `load_context`, "
        "spelt like this, must set what `predict` uses, `self.pipeline = joblib.load(...)`.",
        "": f"in a fresh process the model fails ({said}): the file must import all that it uses, "
        "and can't see the notebook's variables.",
    }
    return next(advice for words, advice in known.items() if words in problem)


@catches("the file is written, and the scikit-learn model logged as before")
@put("log-model", 'model_info = mlflow.sklearn.log_model(\n    model,\n    name="model",')
@hint("still logged with `mlflow.sklearn`")
@catches("an object was passed instead of the file, as older courses do: it's pickled")
@swap("log-model", CODE, "python_model=Earlier()")
@before(EARLIER)
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
        f"the model's class was stored as a pickle: give `log_model` the file, `{CODE}`."
    )


@catches("the artifact was logged under another name")
@swap("log-model", '{"pipeline"', '{"model"')
@hint("there is model")
@catches("the pipeline wasn't saved")
@remove("save-model")
@hint("ended as FAILED")
@error("No such artifact")
@catches("the file reads the joblib file of this machine, not the artifact")
@swap("model-code", 'context.artifacts["pipeline"]', '"HERE"')
@put(
    "save-model",
    'file, code = output / "pipeline.joblib", output / "wine_model.py"\njoblib.dump(model, file)\n'
    'code.write_text(code.read_text().replace("HERE", file.as_posix()))',
)
@hint("predicts without its artifact too")
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
        shutil.copytree(model_folder(logged_model.model_uri), desk, dirs_exist_ok=True)
        Path(desk, artifacts["pipeline"]["path"]).unlink(missing_ok=True)
        answer = call(_answer, desk, described.load_input_example(), may_raise=Exception)
    assert isinstance(answer, Exception), (
        'the model predicts without its artifact too: load `context.artifacts["pipeline"]` instead.'
    )


@catches("the file forgets set_model, and an earlier version had set a model in this kernel")
@swap("model-code", SET_MODEL, "")
@before(f"{EARLIER}mlflow.models.set_model(Earlier())")
@hint("that an earlier version had set")
@catches("the file asks for the artifact by another name")
@swap("model-code", 'artifacts["pipeline"]', 'artifacts["model"]')
@hint("asks for an artifact that the model doesn't have")
@catches("predict doesn't return anything")
@swap("model-code", "return quality", "quality")
@hint("end `predict` with a `return`")
@catches("predict always rounds")
@swap("model-code", ' if params and params["round"] else quality', "")
@hint("only round when")
@catches("predict doesn't clip")
@swap("model-code", ".clip(0, 10)", "")
@hint("off the scale")
@catches("load_context is misspelt, so that nobody calls it")
@swap("model-code", "def load_context", "def load_contex")
@hint("`load_context`, spelt like this")
@catches("the pipeline was saved before it was trained on these wines")
@remove("save-model")
@swap("fit", "model.fit", 'joblib.dump(model.fit(X, y), output / "pipeline.joblib")\nmodel.fit')
@hint("differs from `model`")
def test_it_predicts_as_yours_on_the_scale(logged_model, model, namespace, fresh):
    "in a fresh process it predicts what `model` predicts, on the scale of 0 to 10"
    _described(logged_model)
    wines, own = _asked(namespace, model)
    try:
        answers = fresh(logged_model.model_uri, wines)
    except Missing as error:
        raise AssertionError(_advice(str(error))) from None
    assert len(answers) == len(own), (
        f"{plural(len(answers), 'answer')} for {len(own)} wines: end `predict` with a `return`."
    )
    odd = max(answers, key=lambda grade: abs(grade - 5))
    assert 0 <= odd <= 10, (
        f"for a wine off the scale the model predicts {odd:.0f}: clip with `.clip(0, 10)`."
    )
    assert not same_column(answers, own.round()), (
        'unasked, the model gives whole grades: only round when `params["round"]` is true.'
    )
    worst = float(abs(own - answers).max())
    assert worst <= 1e-12, (
        f"the logged model differs from `model` by up to {worst:.2g}: `joblib.dump` must stand "
        "after `model.fit`, and `predict` changes nothing between 0 and 10."
    )


@catches("the param is called something else")
@swap("signature", '"round"', '"rounded"')
@hint("are {'rounded': False}")
def test_the_signature_knows_the_param(logged_model):
    'its signature knows the param "round", which is False by default; its example is still there'
    described, _ = _described(logged_model)
    signature = described.signature
    assert signature and signature.inputs and signature.outputs, (
        "keep `infer_signature(X_train, model.predict(X_train), ...)`, and `signature=signature`."
    )
    params = {param.name: param.default for param in signature.params or ()}
    assert params.get("round") is False, (
        f"the params of the signature are {params or 'none'}: give `infer_signature` the argument "
        '`params={"round": False}`.'
    )
    assert described.saved_input_example_info, "keep the example, `input_example=X_train.head(5)`."


@catches("predict never looks at the param")
@swap("model-code", 'quality.round() if params and params["round"] else quality', "quality")
@hint("asked for whole grades")
def test_it_rounds_when_asked(logged_model, model, namespace):
    'it rounds to whole grades when asked, with params={"round": True}'
    described, _ = _described(logged_model)
    assert getattr(described.signature, "params", None), "as above: the signature knows no params."
    wines, own = _asked(namespace, model)
    folder = model_folder(logged_model.model_uri)
    answer = call(_answer, folder, wines, round=True, may_raise=Exception)
    stopped = isinstance(answer, Exception)
    said = f"stops ({' '.join(str(answer).split())[-160:]})" if stopped else "gives something else"
    assert same_column(answer, own.round()), (
        f'asked for whole grades, the model {said}: where `params["round"]` is true, `predict` '
        "must return `quality.round()`."
    )


@catches("pandas was left out, which the file imports")
@swap("requirements", '"joblib", "pandas", ', '"joblib", ')
@hint("name joblib, mlflow and scikit-learn")
def test_it_says_what_it_needs(logged_model):
    "its requirements are joblib, pandas and scikit-learn"
    _described(logged_model)
    names = required_packages(logged_model.model_uri)
    assert names - HARMLESS == {"joblib", "pandas", "scikit-learn"}, (
        f"the requirements name {listed(sorted(names))}: write "
        '`pip_requirements=["joblib", "pandas", "scikit-learn"]`.'
    )


RIGHT_WAYS = (
    right(
        "numpy clips, without a type hint, and the class has another name",
        swap("model-code", "= self.pipeline", "= np.clip(self.pipeline"),
        swap("model-code", ".clip(0, 10)", ", 0, 10)"),
        swap("model-code", "import pandas as pd", "import numpy as np"),
        swap("model-code", "class WineModel(", "class Clipped("),
        swap("model-code", "set_model(WineModel())", "set_model(Clipped())"),
        swap("model-code", "model_input: pd.DataFrame", "model_input"),
    ),
    right(
        "predict returns a list, and params is read with get",
        swap("model-code", "quality.round()", "[round(q) for q in quality.tolist()]"),
        swap("model-code", 'params and params["round"]', '(params or {}).get("round")'),
    ),
    right(
        "the run is opened and ended by two calls, and the file is named by a text",
        put("run", 'mlflow.start_run(run_name="elasticnet")\nif True:'),
        swap("requirements", "\n)", "\n)\nmlflow.end_run()"),
        swap("log-model", CODE, 'python_model="../output/wine_model.py"'),
        split("train", "mlflow.sklearn.autolog(disable"),
    ),
)
