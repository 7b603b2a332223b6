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
#: ask MLflow where it will write, put the answer into
#: `tracking_uri`, and print it.
#: hint: MLflow calls that place the tracking URI, and has a function that gets it.
#: hint: `tracking_uri = mlflow.get_tracking_uri()`
tracking_uri = mlflow.get_tracking_uri()
print("Runs go to", tracking_uri)
