# %% import-mlflow
#: import mlflow, above pandas.
#: hint: One line, the same kind as the one that imports pandas, without a short name.
#: hint: `import mlflow`
import mlflow

# %% version
#: put MLflow's version into `mlflow_version`, and print it.
#: hint: Python packages carry their version in an attribute with two underscores on each side.
#: hint: `mlflow_version = mlflow.__version__`
mlflow_version = mlflow.__version__
print("MLflow", mlflow_version)

# %% show-uri
#: ask MLflow where it writes, put what it returns into `tracking_uri`,
#: and print it.
#: hint: MLflow calls that address the tracking URI, and has a function that gets it.
#: hint: `tracking_uri = mlflow.get_tracking_uri()`
tracking_uri = mlflow.get_tracking_uri()
print("Runs go to", tracking_uri)

# %% experiment
#: make "wine-quality" the active experiment, keep what the call
#: returns as `experiment`, and print its name and id.
#: hint: You set the active experiment by its name; MLflow creates it when there is none. What the
#: call returns has a `name` and an `experiment_id`.
#: hint: `experiment = mlflow.set_experiment("wine-quality")`
experiment = mlflow.set_experiment("wine-quality")
print("Experiment", experiment.name, "has the id", experiment.experiment_id)
