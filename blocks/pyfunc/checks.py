"""The model is a class of the student's own, kept as a file, with the fit beside it."""

from winelab.checks.authoring import before, catches, given, put, remove, skip_all, swap
from winelab.checks.looking import model_folder, required_packages
from winelab.core.errors import Missing

ARTIFACT = "sklearn_model"
NEEDED = {"joblib", "pandas", "scikit-learn"}
HARMLESS = {"mlflow", "numpy", "scipy", "cloudpickle"}


def _pyfunc(logged_model):
    """What MLflow wrote down about the model as a Python function."""
    from mlflow.models import Model

    flavors = Model.load(logged_model.model_uri).flavors
    assert "sklearn" not in flavors, (
        "the model is still logged with mlflow.sklearn: call mlflow.pyfunc.log_model, with "
        "python_model=model_code."
    )
    return flavors["python_function"]


def _own_code(logged_model):
    """The model's flavour, if its code is a file; the hint where it is not."""
    pyfunc = _pyfunc(logged_model)
    assert "model_code_path" in pyfunc, (
        "the model's class was stored as a pickle: give log_model the file that you wrote, "
        "python_model=model_code, and no SklearnWrapper()."
    )
    return pyfunc


def _advice(problem):
    """What to do about an error that the model's file raised."""
    said = " ".join(problem.split())[-240:]
    if "set_model" in problem:
        return (
            "the file sets no model, and MLflow took the one that an earlier version had set in "
            "this kernel: end the text with mlflow.models.set_model(SklearnWrapper())."
        )
    if "KeyError" in problem:
        return (
            f"the file asks for an artifact that the model does not have ({said}): the name is "
            f'"{ARTIFACT}" both in context.artifacts[...] and in artifacts={{...}}.'
        )
    if "FileNotFoundError" in problem:
        return (
            f"the file looks for something that only your notebook's folder has ({said}): load "
            f'context.artifacts["{ARTIFACT}"].'
        )
    if "has no attribute" in problem:
        return (
            f"predict finds nothing that was loaded ({said}): load_context, spelt like this, "
            "must set what predict uses, self.model = joblib.load(...)."
        )
    return (
        f"in a fresh process the model fails ({said}): the file imports all that it uses, and "
        "knows no variable of the notebook."
    )


IN_THE_NOTEBOOK = """
import joblib
import mlflow
import pandas as pd
class SklearnWrapper(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = joblib.load(context.artifacts["sklearn_model"])
    def predict(self, context, model_input: pd.DataFrame):
        return self.model.predict(model_input)
"""

AN_OLD_FIT = """
import joblib
import pandas as pd
from pathlib import Path
from sklearn.linear_model import ElasticNet
old = pd.read_csv(Path.cwd().parent / "data" / "red-wine-quality.csv", sep=";").astype("float64")
folder = Path.cwd().parent / "output"
folder.mkdir(exist_ok=True)
fitted = ElasticNet(alpha=1.0).fit(old.drop(columns="quality"), old["quality"])
joblib.dump(fitted, folder / "sklearn_model.joblib")
"""

SET_MODEL = "\n\nmlflow.models.set_model(SklearnWrapper())"


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_one_model_is_on_the_run(logged_model):
    "exactly one model is on the run"


@catches(
    "the file is written, and the scikit-learn model logged as before",
    put(
        "log-model",
        'model_info = mlflow.sklearn.log_model(\n    model,\n    name="model",\n'
        "    signature=signature,\n    input_example=X_train.head(5),",
    ),
    put("requirements", '    pip_requirements=["scikit-learn", "skops"],\n)'),
    hint="still logged with mlflow.sklearn",
)
def test_it_is_a_class_of_your_own(logged_model):
    "it is a Python function model, and no longer a scikit-learn one"
    _pyfunc(logged_model)


@catches(
    "an instance was passed instead of the file, as older courses do: it is pickled",
    swap("log-model", "python_model=model_code", "python_model=SklearnWrapper()"),
    before(IN_THE_NOTEBOOK),
    hint="was stored as a pickle",
)
@catches(
    "the file has another name",
    swap("model-code", 'output / "wine_model.py"', 'output / "model.py"'),
    hint="the code of the model is model.py",
)
@catches(
    "the file forgets set_model, at the first try",
    swap("model-code", SET_MODEL, ""),
    hint="ended as FAILED",
    error="ensure the model is set using mlflow.models.set_model()",
)
@catches(
    "one space is missing in the text",
    swap("model-code", "    def predict", "   def predict"),
    hint="ended as FAILED",
    error="unindent does not match any outer indentation level",
)
@catches(
    "set_model was given the class, without brackets",
    swap("model-code", "SklearnWrapper())", "SklearnWrapper)"),
    hint="ended as FAILED",
    error="it must accept exactly one argument",
)
def test_its_code_is_a_file(logged_model):
    "its code is in it as the file wine_model.py"
    from pathlib import PurePosixPath

    path = _own_code(logged_model)["model_code_path"].replace("\\", "/")
    name = PurePosixPath(path).name
    assert name == "wine_model.py", (
        f"the code of the model is {name}: write the text into wine_model.py, and give its path "
        "to log_model as python_model."
    )
    assert (model_folder(logged_model.model_uri) / name).is_file(), (
        f"{name} is not among the model's files: log the model again."
    )


@catches(
    "the artifact was logged under another name",
    swap("log-model", '{"sklearn_model"', '{"model"'),
    hint="there is model",
)
@catches(
    "the artifacts were left out",
    swap("log-model", '    artifacts={"sklearn_model": str(output / "sklearn_model.joblib")},', ""),
    hint="there is none",
)
@catches(
    "the model was not saved",
    remove("save-model"),
    hint="ended as FAILED",
    error="No such artifact",
)
@catches(
    "the artifact's path is no text",
    swap("log-model", 'str(output / "sklearn_model.joblib")', 'output / "sklearn_model.joblib"'),
    hint="ended as FAILED",
    error="object has no attribute 'startswith'",
)
def test_the_fitted_model_is_in_it(logged_model):
    'the fitted model is in it as the artifact "sklearn_model"'
    artifacts = _pyfunc(logged_model).get("artifacts") or {}
    there = ", ".join(artifacts) or "none"
    assert ARTIFACT in artifacts, (
        f'the model has no artifact "{ARTIFACT}" (there is {there}): in log_model, say '
        f'artifacts={{"{ARTIFACT}": ...}} with the path of the joblib file.'
    )
    assert (model_folder(logged_model.model_uri) / artifacts[ARTIFACT]["path"]).exists(), (
        f'the file of "{ARTIFACT}" is not among the model\'s files: log the model again.'
    )


@catches(
    "the file forgets set_model, and an earlier version had set a model in this kernel",
    swap("model-code", SET_MODEL, ""),
    before(f"{IN_THE_NOTEBOOK}mlflow.models.set_model(SklearnWrapper())"),
    hint="that an earlier version had set",
)
@catches(
    "the file asks for the artifact by another name",
    swap("model-code", 'artifacts["sklearn_model"]', 'artifacts["model"]'),
    hint="asks for an artifact that the model does not have",
)
@catches(
    "the file reads a path that is right in the notebook's folder only",
    swap("model-code", 'context.artifacts["sklearn_model"]', '"../output/sklearn_model.joblib"'),
    hint="only your notebook's folder has",
)
@catches(
    "predict forgets to return",
    swap("model-code", "return self.model", "self.model"),
    hint="predict gives 1 answer for 400 wines",
)
@catches(
    "predict rounds",
    swap("model-code", "predict(model_input)", "predict(model_input).round(2)"),
    hint="unchanged",
)
@catches(
    "the file uses the variable `model` of the notebook",
    swap("model-code", "return self.model.", "return model."),
    hint="knows no variable of the notebook",
)
@catches(
    "the file does not import joblib; the notebook does",
    swap("model-code", "import joblib\n", ""),
    hint="the file imports all that it uses",
)
@catches(
    "load_context is misspelt, so that nobody calls it",
    swap("model-code", "def load_context", "def load_contex"),
    hint="load_context, spelt like this",
)
@catches(
    "the model was not saved, and yesterday's file was taken",
    remove("save-model"),
    before(AN_OLD_FIT),
    hint="joblib.dump stands after fit",
)
def test_it_answers_as_the_plain_model(logged_model, model, namespace, fresh):
    "in a fresh process it predicts what the plain model predicts, to 1e-12"
    import numpy as np

    _own_code(logged_model)
    table = namespace["X_test"]
    own = np.ravel(model.predict(table))
    try:
        answers, problem = np.asarray(fresh(logged_model.model_uri, table)), ""
    except Missing as error:
        answers, problem = own, str(error)
    assert not problem, _advice(problem)
    assert len(answers) == len(own), (
        f"predict gives {len(answers)} answer{'s' * (len(answers) != 1)} for {len(own)} wines: "
        "its last line must be return self.model.predict(model_input)."
    )
    worst = float(np.max(np.abs(answers - own)))
    assert worst <= 1e-12, (
        f"the logged model differs from `model` by up to {worst:.2g}: predict returns what the "
        "loaded model says, unchanged, and joblib.dump stands after fit, before log_model."
    )


@catches(
    "the file reads the joblib file of this machine, not the artifact",
    swap(
        "model-code",
        '    encoding="utf-8",\n)',
        '    encoding="utf-8",\n)\n'
        "text = model_code.read_text(encoding='utf-8')\n"
        "here = repr(str(output / 'sklearn_model.joblib'))\n"
        "text = text.replace('context.artifacts[\"sklearn_model\"]', here)\n"
        "model_code.write_text(text, encoding='utf-8')",
    ),
    hint="answers even without its artifact",
)
def test_it_needs_no_other_file(logged_model):
    "it reads the artifact in it, and no file that only this machine has"
    import shutil
    import tempfile
    import warnings
    from pathlib import Path

    import mlflow

    artifacts = _own_code(logged_model).get("artifacts") or {}
    assert ARTIFACT in artifacts, f'the model has no artifact "{ARTIFACT}" that it could read.'
    # Without its artifact the model must fail. A copy that still loads and answers reads a file
    # elsewhere; the student's own files stay as they are.
    with tempfile.TemporaryDirectory(prefix="winelab-copy-") as desk:
        copy = Path(desk) / "model"
        shutil.copytree(model_folder(logged_model.model_uri), copy)
        kept = copy / artifacts[ARTIFACT]["path"]
        if kept.is_dir():
            shutil.rmtree(kept)
        else:
            kept.unlink()
        example = mlflow.models.Model.load(copy).load_input_example()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mlflow.pyfunc.load_model(str(copy)).predict(example)
            answers = True
        except Exception:
            answers = False
    assert not answers, (
        "the model answers even without its artifact, so its file reads another one, which no "
        f'server will have: load context.artifacts["{ARTIFACT}"].'
    )


@catches(
    "signature and example went with the old call",
    swap("log-model", "    signature=signature,\n    input_example=X_train.head(5),", ""),
    hint="keep signature=signature",
)
@given
def test_signature_and_example_stay(logged_model):
    "signature and example are still there"
    from mlflow.models import Model

    kept = Model.load(logged_model.model_uri)
    assert kept.signature is not None and kept.signature.inputs is not None, (
        "the model has no signature any more: keep signature=signature."
    )
    assert kept.saved_input_example_info, (
        "the model has no example any more: keep input_example=X_train.head(5)."
    )


@catches(
    "the requirements are still those of the scikit-learn model",
    swap("requirements", '"joblib", "pandas", "scikit-learn"', '"scikit-learn", "skops"'),
    hint="is said to need skops",
)
@catches(
    "pandas was left out, which the file imports",
    swap("requirements", '"joblib", "pandas", ', '"joblib", '),
    hint="needs pandas too",
)
@catches(
    "the requirements were left to MLflow", put("requirements", ")"), hint="nothing is guessed"
)
def test_it_says_what_it_needs(logged_model):
    "it names what it needs: joblib, pandas and scikit-learn"
    _pyfunc(logged_model)
    names = required_packages(logged_model.model_uri)
    more = sorted(names - NEEDED - HARMLESS)
    assert not more, (
        f"the model is said to need {', '.join(more)}, and it does not: name what it needs, "
        'pip_requirements=["joblib", "pandas", "scikit-learn"], and nothing is guessed.'
    )
    missing = sorted(NEEDED - names)
    assert not missing, (
        f"the model needs {', '.join(missing)} too: say "
        'pip_requirements=["joblib", "pandas", "scikit-learn"].'
    )
