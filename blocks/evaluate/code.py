# %% try-environment (removed, given)

# %% reload (removed, given)

# %% test-table
#: make a table `test`: the measurements of the test wines, and their true
#: "quality" as one more column. Leave X_test as it is.
#: hint: A table's `assign` returns a copy with one more column.
#: hint: `test = X_test.assign(quality=y_test)`
test = X_test.assign(quality=y_test)

# %% evaluate
#: still inside the run, turn `test` into a dataset, as `test_set`:
#: its name is "wine-test", its target is "quality". Evaluate the
#: logged model on it as a regressor, with the explanations (SHAP) off,
#: and keep the result as `evaluation`.
#: hint: `mlflow.data.from_pandas` makes a dataset from a table, as in block [[artifacts]].
#: `mlflow.models.evaluate` takes the model's URI, `data=`, `model_type=` and a dictionary
#: `evaluator_config=`. Its key "log_model_explainability" turns SHAP on or off.
#: hint: `test_set = mlflow.data.from_pandas(test, name="wine-test", targets="quality")`, then
#: `evaluation = mlflow.models.evaluate(model_info.model_uri, data=test_set,
#: model_type="regressor", evaluator_config={"log_model_explainability": False})`
test_set = mlflow.data.from_pandas(test, name="wine-test", targets="quality")
evaluation = mlflow.models.evaluate(
    model_info.model_uri,
    data=test_set,
    model_type="regressor",

# %% config
    evaluator_config={"log_model_explainability": False},
)

# %% show-evaluation
#: print each metric of the evaluation, with its name.
#: hint: `evaluation.metrics` is a dictionary. Its `items` are names and values.
#: hint: `for name, value in evaluation.metrics.items():` and below it `print(f"evaluate says
#: {name}: {value:.3f}")`
for name, value in evaluation.metrics.items():
    print(f"evaluate says {name}: {value:.3f}")
