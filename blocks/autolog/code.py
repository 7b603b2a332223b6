# %% start-server (removed, given, notebook)

# %% server (removed, given, notebook)

# %% stop (removed, given, notebook)

# %% experiment (as in experiment, given)

# %% tables (removed)
#: delete the six lines below, which write the two tables to files.
#: The lines that use them go too, in the cell "4. Train".
#: hint: From `tables = ...` to the last `to_csv`. The split stays.
#: hint: The cell ends with `X_train, X_test, y_train, y_test = train_test_split(...)`.

# %% autolog
#: switch autolog for scikit-learn on, before the run, without
#: models.
#: hint: The call belongs to `mlflow.sklearn`, and takes `log_models`.
#: hint: `mlflow.sklearn.autolog(log_models=False)`
mlflow.sklearn.autolog(log_models=False)

# %% log-data (removed)
#: delete the four lines below, which log the data: autolog logs the
#: training table as a dataset.
#: hint: `dataset = ...`, `log_input`, `log_artifacts` and `log_artifact` go.
#: hint: `mlflow.set_tags(...)` stays.

# %% log-params (removed)
#: delete the line below: autolog logs the settings.
#: hint: `mlflow.log_params(...)` goes.
#: hint: `metrics = ...` and `mlflow.log_metrics(metrics)` stay: autolog doesn't know the test wines.

# %% autolog-off
#: after the run, switch autolog off again.
#: hint: The same call, with another argument; it stands at the left edge, outside the `with`.
#: hint: `mlflow.sklearn.autolog(disable=True)`
mlflow.sklearn.autolog(disable=True)
