# %% reload
#: load the model by its URI as `reloaded`. Let it predict for the test
#: wines as `reloaded_predictions`, and compute the three metrics again
#: as `reloaded_metrics`. Then ask it for whole grades, as `grades`, by
#: its param "round". Print the largest difference between the new
#: predictions and the old ones, and the first five grades.
#: hint: `mlflow.pyfunc.load_model` takes the URI that `log_model` gave. What it loads has
#: `predict`, which takes a table and, as `params=`, a dictionary. `eval_metrics` is the function
#: from above. `abs` and `.max()` work on all differences at once.
#: hint: `reloaded = mlflow.pyfunc.load_model(model_info.model_uri)`, then
#: `reloaded_predictions = reloaded.predict(X_test)`, then
#: `reloaded_metrics = eval_metrics(y_test, reloaded_predictions)`, then
#: `grades = reloaded.predict(X_test, params={"round": True})`, then
#: `abs(reloaded_predictions - predictions).max()`; `:.12f` in an f-string shows twelve decimals.
reloaded = mlflow.pyfunc.load_model(model_info.model_uri)
reloaded_predictions = reloaded.predict(X_test)
reloaded_metrics = eval_metrics(y_test, reloaded_predictions)
grades = reloaded.predict(X_test, params={"round": True})
print(f"largest difference: {abs(reloaded_predictions - predictions).max():.12f}")
for name, value in reloaded_metrics.items():
    print(f"reloaded {name}: {value:.3f}")
print("whole grades:", grades[:5])
