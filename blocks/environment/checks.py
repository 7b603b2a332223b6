"""The model carries its environment, and has answered as a server would ask it."""

import json
from pathlib import Path

from winelab.checks.authoring import before, catches, error, hint, put, right, split, swap
from winelab.checks.comparing import as_column, kind, plural, same_column
from winelab.checks.looking import model_folder, student_value

# Pieces of the solution that the mistakes change.
PYTHON = 'f"python={platform.python_version()}"'
PINS = 'packages = [f"{name}=={metadata.version(name)}" for name in names]'


def _dependencies(environment):
    """A conda environment's dependencies: those of conda itself, and those of pip."""
    found = environment.get("dependencies") if isinstance(environment, dict) else None
    found = found if isinstance(found, list | tuple) else []
    of_pip = []
    for pip in [part.get("pip") or [] for part in found if isinstance(part, dict)]:
        assert isinstance(pip, list), (
            f'in `conda_env`, what stands under "pip" is {kind(pip)}: make it a list of texts.'
        )
        of_pip += pip
    return {d for d in found if isinstance(d, str)}, {one for one in of_pip if isinstance(one, str)}


@catches("scikit-learn has the name that is imported")
@swap("conda-env", '"scikit-learn"', '"sklearn"')
@hint("scikit-learn, and not sklearn")
@error("No package metadata was found for sklearn")
@catches("the version of Python was typed")
@swap("conda-env", PYTHON, '"python=3.8"')
@hint("`conda_env` asks for python=3.8")
@catches("Python was forgotten")
@swap("conda-env", f"{PYTHON}, ", "")
@hint("names no Python")
@catches("the packages are one text")
@swap("conda-env", '{"pip": packages}', '{"pip": ", ".join(packages)}')
@hint('what stands under "pip" is a text')
@error("No such file or directory: 'mlflow==")
def test_conda_env_names_this_python(namespace):
    "`conda_env` names the Python that is running"
    from platform import python_version

    advice = (
        'Write a dictionary in the cell "What the model needs to run". `metadata.version` wants '
        "the names that pip knows: scikit-learn, and not sklearn."
    )
    found, _ = _dependencies(student_value(namespace, "conda_env", advice, dict))
    named = [one for one in found if one.split("=")[0].strip() == "python"]
    assert named, f"`conda_env` names no Python: the first of its dependencies is `{PYTHON}`."
    assert named[0].split("=")[-1].strip() == python_version(), (
        f"`conda_env` asks for {named[0]}, and Python {python_version()} is running: type no "
        "version, call `platform.python_version()`, with its brackets."
    )


@catches("the environment was given beside the short form")
@swap("requirements", "conda_env=conda_env,", "conda_env=conda_env, pip_requirements=[],")
@hint("ended as FAILED")
@error("Only one of `conda_env`, `pip_requirements`")
@catches("the environment was written down, and never given to the model")
@swap("requirements", "conda_env=conda_env", 'pip_requirements=["joblib", "pandas"]')
@hint("put `conda_env=conda_env` in place of `pip_requirements`")
@catches("the dictionary was changed after the model was logged")
@swap("try-environment", "answer = output", "packages.append('numpy')\nanswer = output")
@hint("numpy is only in one of them")
def test_conda_yaml_is_conda_env(logged_model, namespace):
    "the model's conda.yaml is your `conda_env`"
    import yaml

    text = (model_folder(logged_model.model_uri) / "conda.yaml").read_text(encoding="utf-8")
    logged, mine = (_dependencies(one) for one in (yaml.safe_load(text), namespace["conda_env"]))
    # MLflow adds itself where it is not named.
    of_pip = {one for one in logged[1] ^ mine[1] if not one.startswith("mlflow")}
    differing = sorted(logged[0] ^ mine[0] | of_pip)
    assert not differing, (
        f"the model's conda.yaml isn't your `conda_env`: {differing[0]} is only in one of them: "
        "put `conda_env=conda_env` in place of `pip_requirements`, and run all cells again."
    )


@catches("a version was typed, and is not the one installed")
@swap("conda-env", PINS, f'{PINS}\npackages[1] = "scikit-learn==1.0"')
@hint("the model asks for scikit-learn==1.0")
@catches("the oldest version that will do was named")
@swap("conda-env", "{name}==", "{name}>=")
@hint("asks for mlflow in any version")
@catches("sklearn was typed into the list")
@swap("conda-env", PINS, f'{PINS}\npackages[1] = "sklearn"')
@hint("the name for `import`")
@catches("a package was forgotten")
@swap("conda-env", '"joblib", ', "")
@hint("joblib isn't in the model's requirements.txt")
def test_requirements_txt_pins_what_is_installed(logged_model):
    "the model's requirements.txt pins the five packages to the installed versions"
    from importlib.metadata import version

    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    file = model_folder(logged_model.model_uri) / "requirements.txt"
    wanted = {}
    for line in filter(None, file.read_text(encoding="utf-8").splitlines()):
        try:
            wanted[canonicalize_name(Requirement(line).name)] = Requirement(line)
        except InvalidRequirement:
            raise AssertionError(
                f"pip wouldn't understand {line}: a pin is a name, two equal signs, and a version."
            ) from None
    assert "sklearn" not in wanted, (
        "the model asks for sklearn, the name for `import`: the package is called scikit-learn."
    )
    for name in ("mlflow", "scikit-learn", "cloudpickle", "joblib", "pandas"):
        assert name in wanted, (
            f"{name} isn't in the model's requirements.txt: name it in the list under \"pip\"."
        )
        pins = {pin.version for pin in wanted[name].specifier if pin.operator == "=="}
        assert pins == {version(name)}, (
            f"the model asks for {wanted[name] if pins else f'{name} in any version'}, and "
            f'{version(name)} is installed here: write `f"{{name}}=={{metadata.version(name)}}"`.'
        )


@catches("the model was asked about wines from its training")
@swap("try-environment", "X_test.head(3)", "X_train.head(3)")
@hint("isn't the model's answer for the first three test wines")
@catches("the model was asked about five wines")
@swap("try-environment", "head(3)", "head()")
@hint("has 5 predictions")
@catches("the answer was printed, and the file is an older one")
@swap("try-environment", ", output_path=answer", "")
@before(
    'from pathlib import Path\nPath("../output").mkdir(exist_ok=True)\n'
    'Path("../output/answer.json").write_text("{}", encoding="utf-8")'
)
@hint("answer.json is older than your newest run")
@catches("the file has another name")
@swap("try-environment", "answer.json", "answers.json")
@hint("there is no file answer.json")
@catches("the notebook's own predictions were written into the file")
@put("try-environment", 'pd.Series(predictions[:3]).to_json(output / "answer.json")')
@hint("holds no predictions as a server gives them")
def test_the_model_answered_as_on_a_server(run, namespace):
    "the logged model answered for the first three test wines, in output/answer.json"
    file = Path(namespace["output"]) / "answer.json"
    again = (
        'In the cell "5. Look at the result", call `mlflow.models.predict` with '
        '`input_data=X_test.head(3)` and `output_path=output / "answer.json"`.'
    )
    assert file.is_file(), f"there is no file answer.json in the folder output. {again}"
    # A file of yesterday proves nothing about this model.
    is_new = file.stat().st_mtime * 1000 >= run.info.start_time
    assert is_new, f"output/answer.json is older than your newest run. {again}"
    try:
        answer = json.loads(file.read_text(encoding="utf-8"))["predictions"]
    except (ValueError, KeyError, TypeError):
        answer = None
    assert isinstance(answer, list), (
        f"output/answer.json holds no predictions as a server gives them. {again}"
    )
    count = plural(len(answer), "prediction")
    assert len(answer) == 3, f"output/answer.json has {count}, and should have 3. {again}"
    assert same_column(answer, as_column(namespace["predictions"], "`predictions`")[:3]), (
        f"output/answer.json isn't the model's answer for the first three test wines. {again}"
    )


RIGHT_WAYS = (
    right(
        "the packages say their versions themselves, and Python's is from sys",
        put(
            "conda-env",
            "import sys\nimport cloudpickle\nimport sklearn\n"
            'pins = [f"{m.__name__}=={m.__version__}" for m in (mlflow, cloudpickle, joblib, pd)]\n'
            'pins.append(f"scikit_learn == {sklearn.__version__}")\n'
            'python = "python==" + ".".join(map(str, sys.version_info[:3]))\n'
            'needed = [python, "pip>24", {"pip": pins}]\n'
            'conda_env = dict(name="wine", channels=[], dependencies=needed)',
        ),
    ),
    right(
        "the model gets the environment as a file, and a sixth package is pinned",
        swap("conda-env", '"pandas")', '"pandas", "numpy")'),
        swap(
            "conda-env",
            "packages}],\n}",
            "packages}],\n}\nimport json\n"
            '(output / "conda.json").write_text(json.dumps(conda_env), encoding="utf-8")',
        ),
        swap("requirements", "conda_env=conda_env", 'conda_env=str(output / "conda.json")'),
        split("environment", "conda_env = {"),
    ),
    right(
        "the model is asked by its run, with a file",
        put(
            "try-environment",
            'question = output / "question.csv"\nX_test[:3].to_csv(question, index=False)\n'
            'mlflow.models.predict(f"runs:/{model_info.run_id}/model", env_manager="local",\n'
            '    input_path=str(question), content_type="csv", output_path=output / "answer.json")',
        ),
    ),
)
