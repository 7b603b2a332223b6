# %% import-dummy
#: import DummyRegressor from sklearn.dummy.
#: hint: The line has the same form as the one that imports `ElasticNet`.
#: hint: `from sklearn.dummy import DummyRegressor`
from sklearn.dummy import DummyRegressor

# %% baseline
#: fit a DummyRegressor with the strategy "mean" to the training wines, as
#: `baseline`. Make a copy of the table `test`, as `baseline_table`, with
#: predictions for the test wines in one more column, "prediction".
#: hint: It has `fit` and `predict` like every scikit-learn model, and `fit` returns the model
#: itself. `assign` copies a table and adds a column.
#: hint: `baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)`, then
#: `baseline_table = test.assign(prediction=baseline.predict(X_test))`
baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)
baseline_table = test.assign(prediction=baseline.predict(X_test))

# %% baseline-run
#: open a run for the baseline alone, called "baseline".
#: hint: The call is the one that opens the model's run, with another name.
#: hint: `with mlflow.start_run(run_name="baseline"):`
with mlflow.start_run(run_name="baseline"):

# %% baseline-evaluation
#: in that run, evaluate the predictions in `baseline_table`, with your
#: metrics too, as `baseline_evaluation`.
#: hint: Without a model, `mlflow.models.evaluate` takes the table as `data=`, and the names of two of
#: its columns as `predictions=` and `targets=`. The rest is as in the model's evaluation.
#: hint: `baseline_evaluation = mlflow.models.evaluate(data=baseline_table, predictions="prediction",
#: targets="quality", model_type="regressor", extra_metrics=extra_metrics,
#: evaluator_config={"log_model_explainability": False})`
baseline_evaluation = mlflow.models.evaluate(

# %% baseline-arguments
    data=baseline_table,
    predictions="prediction",
    targets="quality",
    model_type="regressor",
    extra_metrics=extra_metrics,
    evaluator_config={"log_model_explainability": False},
)

# %% log-baseline
#: log the baseline's RMSE on the model's run too, as "baseline_rmse".
#: hint: `baseline_evaluation.metrics` is a dictionary, and has the RMSE under MLflow's full name.
#: hint: `mlflow.log_metric("baseline_rmse",
#: baseline_evaluation.metrics["root_mean_squared_error"])`
mlflow.log_metric("baseline_rmse", baseline_evaluation.metrics["root_mean_squared_error"])

# %% show-baseline
#: print the baseline's RMSE, and how much smaller the model's is, in
#: percent.
#: hint: Divide the model's RMSE by the baseline's. What is missing to 1 is the part you want.
#: hint: `better = 1 - metrics["rmse"] / baseline_evaluation.metrics["root_mean_squared_error"]`; in
#: an f-string, `{better:.1%}` shows it in percent.
baseline_rmse = baseline_evaluation.metrics["root_mean_squared_error"]
better = 1 - metrics["rmse"] / baseline_rmse
print(f"rmse of the baseline: {baseline_rmse:.3f}; the model's is {better:.1%} smaller")
