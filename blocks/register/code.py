# %% arguments (given, script)
def read_arguments():
    """The command line: which table, and how strong the penalty is."""

# %% return-arguments (given, script)
return data_file, arguments.alpha, arguments.l1_ratio

# %% model-settings (removed, given, script)

# %% registry (given)
registered_name = "wine-quality-elasticnet"

# %% open-store (given)
def open_store():
    """Tell MLflow where to write: the course's file, or a server named in the environment."""

# %% version (removed, given)

# %% show-uri (removed, given)

# %% read-wine (given)
def read_wine(data_file):
    """The wine table in four parts: what to learn from, and what to test with."""

# %% return-wine (given)
return X_train, X_test, y_train, y_test

# %% test-table (removed, given)

# %% evaluate (given)
mlflow.models.evaluate(
    model_info.model_uri,
    data=X_test.assign(quality=y_test),
    targets="quality",
    model_type="regressor",

# %% import-joblib (removed, given)

# %% model-code (removed, given)

# %% save-model (removed, given)

# %% log-model (as in log_model, given)

# %% import-platform (removed, given)

# %% import-version (given)
from importlib import metadata

# %% import-signature (as in log_model, given)

# %% import-refusal (removed, given)

# %% squared-metric (removed, given)

# %% half-metric (removed, given)

# %% extra-metrics (removed, given)

# %% extras (removed, given)

# %% demands (removed, given)

# %% verdicts (removed, given)

# %% baseline-run (removed, given)

# %% evaluate-baseline (removed, given)

# %% conda-env (given)
packages = [f"{name}=={metadata.version(name)}" for name in ("mlflow", "scikit-learn", "skops")]

# %% requirements (given)
    pip_requirements=packages,
)

# %% train (given)
def train(alpha, l1_ratio, tables, register_as=None):
    """Train, log and evaluate one model; what MLflow knows of it."""
    X_train, X_test, y_train, y_test = tables

# %% set-tags (removed, given)

# %% return-model (given)
return model_info

# %% show (removed, given)

# %% show-metrics (removed, given)

# %% show-baseline (removed, given)

# %% show-evaluation (removed, given)

# %% show-verdicts (removed, given)

# %% search (removed, given)

# %% show-model (removed, given)

# %% main (given, script)
def main():
    """From the wine table to registered models."""

# %% take-arguments (given, script)
data_file, alpha, l1_ratio = read_arguments()

# %% prepare (given)
open_store()
tables = read_wine(data_file)

# %% requirements
#: register the model while it is logged, under the
#: name that `train` was given: `register_as`.
#: hint: `log_model` takes one more argument, `registered_model_name=`.
#: hint: `registered_model_name=register_as,` on a line of its own, above the closing bracket.
    pip_requirements=packages,
    registered_model_name=register_as,
)

# %% candidates (given)
first = train(alpha, l1_ratio, tables)

# %% candidates
#: let `train` register this model under `registered_name`, and print
#: the version that it got.
#: hint: `train` has an argument for the name. What it gives back is what `log_model` gave back, and
#: that knows the version.
#: hint: `first = train(alpha, l1_ratio, tables, register_as=registered_name)`, then
#: `print("registered at once: version", first.registered_model_version)`
first = train(alpha, l1_ratio, tables, register_as=registered_name)
print("registered at once: version", first.registered_model_version)

# %% later
#: train a second model, with an alpha of 0.1 and without a name, as
#: `second`. Then register it by its URI, as `later`, and print the
#: version that it got.
#: hint: `mlflow.register_model` takes the URI of a logged model, and a name. What it gives back is
#: the version.
#: hint: `second = train(0.1, l1_ratio, tables)`, then `later =
#: mlflow.register_model(second.model_uri, registered_name)`; its number is `later.version`.
second = train(0.1, l1_ratio, tables)
later = mlflow.register_model(second.model_uri, registered_name)
print("registered later: version", later.version)

# %% call-main (given, script)
if __name__ == "__main__":
    main()
