# %% try-environment (removed, given)

# %% reload (removed, given)

# %% test-table
#: make the test table as `test`: the test wines' measurements, and
#: their true "quality" as one more column.
#: hint: A table's `assign` answers with a copy that has one more column.
#: hint: `test = X_test.assign(quality=y_test)`
test = X_test.assign(quality=y_test)

# %% evaluate
#: still inside the run, let MLflow evaluate the logged model on `test`
#: as a regressor, and keep the answer as `evaluation`. The true values
#: are in the column "quality". Turn the explanations (SHAP) off.
#: hint: `mlflow.models.evaluate` takes the model's URI, then `data=`, `targets=` and `model_type=`.
#: `evaluator_config=` is a dictionary; its entry "log_model_explainability" is True or False.
#: hint: `evaluation = mlflow.models.evaluate(model_info.model_uri, data=test, targets="quality",
#: model_type="regressor", evaluator_config={"log_model_explainability": False})`
evaluation = mlflow.models.evaluate(
    model_info.model_uri,
    data=test,
    targets="quality",
    model_type="regressor",

# %% config
    evaluator_config={"log_model_explainability": False},
)

# %% show-evaluation
#: print each metric of the evaluation, with its name.
#: hint: What `evaluate` gave back has a dictionary `metrics`. Its `items` are names and values.
#: hint: `for name, value in evaluation.metrics.items():` and below it `print(f"{name}:
#: {value:.3f}")`
for name, value in evaluation.metrics.items():
    print(f"evaluate says {name}: {value:.3f}")
