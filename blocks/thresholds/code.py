# %% import-mlflow-models
#: import MetricThreshold from mlflow.models too.
#: hint: Add the name to the line that is there. Sorted lists put capitals first.
#: hint: `from mlflow.models import MetricThreshold, infer_signature, make_metric`
from mlflow.models import MetricThreshold, infer_signature, make_metric

# %% import-refusal
#: import ModelValidationFailedException from
#: mlflow.models.evaluation.validation. MLflow raises it when a model
#: fails.
#: hint: The line has the same form as those below it: `from ... import ...`
#: hint: `from mlflow.models.evaluation.validation import ModelValidationFailedException`
from mlflow.models.evaluation.validation import ModelValidationFailedException

# %% thresholds
#: write the dictionary `thresholds`. A model passes if its
#: root_mean_squared_error is at least 0.1 below the baseline's, and its
#: within_half is at least 0.5.
#: hint: The keys are the metrics' full names, the values are `MetricThreshold`s. One takes
#: `min_absolute_change=`, the other `threshold=`. Both take `greater_is_better=`.
#: hint: The first entry is `"root_mean_squared_error": MetricThreshold(min_absolute_change=0.1,
#: greater_is_better=False)`.
thresholds = {
    "root_mean_squared_error": MetricThreshold(min_absolute_change=0.1, greater_is_better=False),
    "within_half": MetricThreshold(threshold=0.5, greater_is_better=True),
}

# %% validate
#: still inside the run, validate `evaluation` against the thresholds
#: and the baseline's evaluation. Set the tag "validation" to
#: `validation`: "passed", or "failed: " and MLflow's message.
#: hint: `mlflow.validate_evaluation_results` returns nothing if the model passes. If it fails, it
#: raises ModelValidationFailedException: use `try` and `except ... as failure`.
#: hint: Below `try:` write `mlflow.validate_evaluation_results(thresholds, evaluation,
#: baseline_evaluation)` and `validation = "passed"`; below
#: `except ModelValidationFailedException as failure:` write `validation = f"failed: {failure}"`. Then,
#: at the left edge of the `try`, `mlflow.set_tag("validation", validation)`.
try:
    mlflow.validate_evaluation_results(thresholds, evaluation, baseline_evaluation)
    validation = "passed"
except ModelValidationFailedException as failure:
    validation = f"failed: {failure}"
mlflow.set_tag("validation", validation)

# %% show-verdict
#: print whether the model passed.
#: hint: `validation` is the text that you set as the tag.
#: hint: `print("validation:", validation)`
print("validation:", validation)
