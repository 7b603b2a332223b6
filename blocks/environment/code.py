# %% import-platform
#: import platform.
#: hint: It is a module of Python itself; it knows the version of the Python that runs.
#: hint: `import platform`
import platform

# %% import-metadata
#: import metadata from importlib.
#: hint: `metadata.version` tells which version of a package is installed.
#: hint: `from importlib import metadata`
from importlib import metadata

# %% conda-env
#: write down the environment as the dictionary `conda_env`. Read the
#: versions from this machine: Python's own, and under "pip" those of
#: mlflow, scikit-learn, cloudpickle, joblib and pandas.
#: hint: The dictionary has "name", "channels" and "dependencies". The last of the dependencies is a
#: dictionary of its own: `{"pip": [...]}`. A pin is `name==version`, for Python `python=version`.
#: hint: `packages = [f"{name}=={metadata.version(name)}" for name in ("mlflow", ...)]`; then `conda_env =
#: {"name": "wine-quality", "channels": ["conda-forge"], "dependencies":
#: [f"python={platform.python_version()}", "pip", {"pip": packages}]}`
names = ("mlflow", "scikit-learn", "cloudpickle", "joblib", "pandas")
packages = [f"{name}=={metadata.version(name)}" for name in names]
conda_env = {
    "name": "wine-quality",
    "channels": ["conda-forge"],
    "dependencies": [f"python={platform.python_version()}", "pip", {"pip": packages}],
}

# %% requirements
#: give the model this environment instead of `pip_requirements`.
#: hint: MLflow takes only one of the two. The new argument has the same name as your dictionary.
#: hint: `conda_env=conda_env,` in place of the line with `pip_requirements`
    conda_env=conda_env,
)

# %% try-environment
#: let the logged model answer as a server would ask it: the first three
#: test wines, in the local environment, the answer into the file
#: output/answer.json. Read the file with pandas, and print it.
#: hint: `mlflow.models.predict` takes a model's URI, `input_data=`, `env_manager=` and
#: `output_path=`. `output` is the folder from above, so `output / "answer.json"` is the file.
#: hint: `answer = output / "answer.json"`, then `mlflow.models.predict(model_info.model_uri,
#: input_data=X_test.head(3), env_manager="local", output_path=answer)`, then
#: `print(pd.read_json(answer))`
answer = output / "answer.json"
three_wines = X_test.head(3)
mlflow.models.predict(
    model_info.model_uri, input_data=three_wines, env_manager="local", output_path=answer
)
print(pd.read_json(answer))
