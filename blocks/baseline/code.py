# %% import-dummy
#: import DummyRegressor from sklearn.dummy.
#: hint: The line has the same form as the one that imports `ElasticNet`.
#: hint: `from sklearn.dummy import DummyRegressor`
from sklearn.dummy import DummyRegressor

# %% baseline
#: before autolog is on, fit a DummyRegressor with the strategy "mean" to
#: the same training wines, as `baseline`. Compute its three metrics on
#: the test wines with your function, as `baseline_metrics`.
#: hint: It has `fit` and `predict`, as every scikit-learn model; `fit` answers with the model
#: itself. `eval_metrics` takes the true values, then the predictions.
#: hint: `baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)`, then
#: `baseline_metrics = eval_metrics(y_test, baseline.predict(X_test))`
baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)
baseline_metrics = eval_metrics(y_test, baseline.predict(X_test))

# %% log-baseline
#: log the baseline's metrics on the same run, with "dummy_" in front
#: of each name.
#: hint: A dictionary can be made of another one: `{new_name: value for name, value in
#: old.items()}`.
#: hint: `mlflow.log_metrics({f"dummy_{name}": value for name, value in baseline_metrics.items()})`
mlflow.log_metrics({f"dummy_{name}": value for name, value in baseline_metrics.items()})

# %% show-baseline
#: print the baseline's RMSE, and by how many percent the model's is
#: smaller.
#: hint: The part by which it is smaller is 1 minus the model's RMSE divided by the baseline's.
#: hint: `better = 1 - metrics["rmse"] / baseline_metrics["rmse"]`; in an f-string, `{better:.1%}`
#: shows it in percent.
better = 1 - metrics["rmse"] / baseline_metrics["rmse"]
print(f"rmse of the mean: {baseline_metrics['rmse']:.3f}; the model's is {better:.1%} smaller")
