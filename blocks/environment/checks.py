"""The model carries its environment, and has answered as a server would ask it."""

import json
from pathlib import Path

from winelab.checks.authoring import catches, given, put, swap
from winelab.checks.comparing import close
from winelab.checks.looking import model_folder

PACKAGES = ("mlflow", "scikit-learn", "cloudpickle", "joblib", "pandas")


def _dependencies(environment):
    """A conda environment's dependencies: those of conda itself, and those of pip."""
    found = environment.get("dependencies")
    found = found if isinstance(found, list) else []
    of_pip = [x for d in found if isinstance(d, dict) for x in d.get("pip") or []]
    return {d for d in found if isinstance(d, str)}, set(of_pip)


def _of_the_model(name, run, namespace):
    """The text of a file of the model that the newest run logged."""
    info = namespace["model_info"]
    assert info.run_id == run.info.run_id, (
        "`model_info` is not of your newest run: run all cells again, from the top."
    )
    return (model_folder(info.model_uri) / name).read_text(encoding="utf-8")


PINS = 'packages = [f"{name}=={version(name)}" for name in names]'


@catches(
    "both ways to say it were given",
    swap(
        "requirements", "conda_env=conda_env,", 'conda_env=conda_env, pip_requirements=["joblib"],'
    ),
    hint="ended as FAILED",
    error="Only one of `conda_env`, `pip_requirements`",
)
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "scikit-learn was asked for under the name that is imported",
    swap("conda-env", '"scikit-learn"', '"sklearn"'),
    hint="scikit-learn, not sklearn",
    error="No package metadata was found for sklearn",
)
@catches(
    "the version of Python was typed by hand",
    swap("conda-env", 'f"python={platform.python_version()}"', '"python=3.8"'),
    hint="ask platform.python_version() for it",
)
@catches(
    "Python was forgotten",
    swap("conda-env", 'f"python={platform.python_version()}", ', ""),
    hint="names no Python",
)
def test_conda_env_names_this_python(namespace):
    "`conda_env` names the Python that runs here"
    from platform import python_version

    environment = namespace.get("conda_env")
    assert isinstance(environment, dict), (
        "there is no dictionary `conda_env` yet: write it in the cell above the training, with "
        '"name", "channels" and "dependencies". `version` wants the names that pip knows: '
        "scikit-learn, not sklearn."
    )
    of_conda, _ = _dependencies(environment)
    named = [x for x in of_conda if x.split("=")[0].strip() == "python"]
    assert named, (
        "`conda_env` names no Python: the first of its dependencies is "
        'f"python={platform.python_version()}".'
    )
    wanted = named[0].split("=")[-1].strip()
    assert wanted == python_version(), (
        f"`conda_env` asks for {named[0]}, and Python {python_version()} runs here: do not type "
        "the version, ask platform.python_version() for it."
    )


@catches(
    "the environment was written down, and never given to the model",
    swap(
        "requirements",
        "conda_env=conda_env",
        'pip_requirements=["joblib", "pandas", "scikit-learn"]',
    ),
    hint="put conda_env=conda_env in place of pip_requirements",
)
def test_conda_yaml_is_conda_env(run, namespace):
    "the model's conda.yaml is your `conda_env`"
    import yaml

    logged = yaml.safe_load(_of_the_model("conda.yaml", run, namespace))
    of_conda, of_pip = _dependencies(logged)
    mine = namespace.get("conda_env")
    my_conda, my_pip = _dependencies(mine if isinstance(mine, dict) else {})
    # MLflow adds itself where it is not named.
    differing = [x for x in of_pip ^ my_pip if not x.startswith("mlflow")]
    assert of_conda == my_conda and not differing, (
        f'the model\'s conda.yaml ("{logged.get("name")}") is not your `conda_env`: in log_model, '
        "put conda_env=conda_env in place of pip_requirements, then run all cells again."
    )


@catches(
    "a version was typed by hand, and is not the one installed",
    swap("conda-env", PINS, f'{PINS}\npackages[1] = "scikit-learn==1.0"'),
    hint='ask version("scikit-learn") for it',
)
@catches(
    "a package was named without a version",
    swap("conda-env", PINS, f'{PINS}\npackages[4] = "pandas"'),
    hint="asks for pandas of any version",
)
@catches(
    "sklearn was typed into the list",
    swap("conda-env", PINS, f'{PINS}\npackages[1] = "sklearn"'),
    hint="the name for `import`",
)
@catches(
    "a package was forgotten",
    swap("conda-env", '"joblib", ', ""),
    hint="joblib is not in the model's requirements.txt",
)
@catches(
    "the packages stand beside the list for pip, not in it",
    swap("conda-env", '"pip", {"pip": packages}]', '"pip", *packages]'),
    hint='name it in the list under "pip"',
)
@catches(
    "nothing was given, so that MLflow worked the list out itself",
    swap("requirements", "    conda_env=conda_env,\n", ""),
    hint="joblib is not in the model's requirements.txt",
)
def test_requirements_txt_pins_what_is_installed(run, namespace):
    "the model's requirements.txt pins the five packages to the versions installed here"
    from importlib.metadata import version

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = _of_the_model("requirements.txt", run, namespace).splitlines()
    wanted = {canonicalize_name(r.name): r for r in map(Requirement, filter(None, lines))}
    assert "sklearn" not in wanted, (
        "the model asks for sklearn: that is the name for `import`. The package that gets "
        "installed is called scikit-learn."
    )
    for name in PACKAGES:
        assert name in wanted, (
            f'{name} is not in the model\'s requirements.txt: name it in the list under "pip".'
        )
        pins = {pin.version for pin in wanted[name].specifier if pin.operator == "=="}
        assert pins, (
            f'the model asks for {name} of any version: write f"{{name}}=={{version(name)}}" for '
            "each of the five, and give log_model the whole as conda_env."
        )
        assert pins == {version(name)}, (
            f"the model asks for {wanted[name]}, and {version(name)} is installed here: do not "
            f'type the version, ask version("{name}") for it.'
        )


@catches(
    "the model was asked about the wines that it had learned from",
    swap("try-environment", "X_test.head(3)", "X_train.head(3)"),
    hint="input_data=X_test.head(3)",
)
@catches(
    "the answer was printed, and went into no file",
    put(
        "try-environment",
        "mlflow.models.predict(\n"
        '    model_info.model_uri, input_data=X_test.head(3), env_manager="local"\n'
        ")",
    ),
    hint="there is no output/answer.json",
)
def test_the_model_answered_as_on_a_server(run, namespace):
    "the logged model answered for the first three test wines, in output/answer.json"
    file = Path(namespace["output"]) / "answer.json"
    again = (
        'in the cell "4. Look at the result", call '
        "mlflow.models.predict(model_info.model_uri, ...) with output_path= that file."
    )
    assert file.is_file(), f"there is no output/answer.json: {again}"
    # A file of yesterday proves nothing about this model.
    assert file.stat().st_mtime * 1000 >= run.info.start_time, (
        f"output/answer.json is older than your newest run: {again}"
    )
    try:
        answer = json.loads(file.read_text(encoding="utf-8"))["predictions"]
    except (ValueError, KeyError, TypeError):
        answer = None
    assert isinstance(answer, list), f"output/answer.json holds no predictions: {again}"
    true = namespace["predictions"][:3]
    assert len(answer) == 3 and all(map(close, answer, true)), (
        "output/answer.json does not hold the predictions of the first three test wines: give "
        "mlflow.models.predict input_data=X_test.head(3)."
    )
