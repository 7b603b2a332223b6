# %% import-signature
#: import MetricThreshold from mlflow.models too.
#: hint: Capitals come first in such a list.
#: hint: `from mlflow.models import MetricThreshold, infer_signature, make_metric`
from mlflow.models import MetricThreshold, infer_signature, make_metric

# %% import-refusal
#: import ModelValidationFailedException from
#: mlflow.models.evaluation.validation: it is what a refusal is called.
#: hint: The line has the same form as those below it.
#: hint: `from mlflow.models.evaluation.validation import ModelValidationFailedException`
from mlflow.models.evaluation.validation import ModelValidationFailedException

# %% demands
#: write down two demands on the RMSE as the dictionary `demands`:
#: "five_percent_better" and "a_tenth_better", each a MetricThreshold.
#: The first is a relative change of 0.05, the second an absolute one of
#: 0.1. In both, a greater RMSE is not better.
#: hint: `MetricThreshold` takes `min_relative_change=` or `min_absolute_change=`, and always
#: `greater_is_better=`.
#: hint: `"five_percent_better": MetricThreshold(min_relative_change=0.05, greater_is_better=False)`
#: is the first entry.
demands = {
    "five_percent_better": MetricThreshold(min_relative_change=0.05, greater_is_better=False),
    "a_tenth_better": MetricThreshold(min_absolute_change=0.1, greater_is_better=False),
}

# %% baseline-run
#: in a run of its own called "baseline", let MLflow evaluate what the
#: baseline predicts, as `baseline_evaluation`. Put its predictions into
#: the test table first, as the column "prediction".
#: hint: Without a model, `mlflow.models.evaluate` takes the name of the column as `predictions=`,
#: and the table as `data=`. Targets, type and configuration are those of the model's evaluation.
#: hint: A table, a run, and the call in it:
#:     guesses = test.assign(prediction=baseline.predict(X_test))
#:     with mlflow.start_run(run_name="baseline"):
#:         baseline_evaluation = mlflow.models.evaluate(
#:             data=guesses, predictions="prediction", targets="quality",
#:             model_type="regressor", evaluator_config={"log_model_explainability": False},
#:         )
guesses = test.assign(prediction=baseline.predict(X_test))
with mlflow.start_run(run_name="baseline"):

# %% evaluate-baseline
baseline_evaluation = mlflow.models.evaluate(
    data=guesses,
    predictions="prediction",
    targets="quality",
    model_type="regressor",
    evaluator_config={"log_model_explainability": False},
)

# %% verdicts
#: still inside the run: validate the evaluation against the baseline's
#: for each demand, and catch the refusal. Keep "passed", or the words
#: of the refusal, under the demand's name in a dictionary `verdicts`.
#: Set it as tags of the run.
#: hint: `mlflow.validate_evaluation_results` is silent when the model passes, and raises
#: ModelValidationFailedException when not: `try`, `except ... as refusal`. The metric has its full
#: name here: root_mean_squared_error.
#: hint: A loop, with a `try` in it, and the tags below it:
#:     verdicts = {}
#:     for name, threshold in demands.items():
#:         try:
#:             mlflow.validate_evaluation_results(
#:                 validation_thresholds={"root_mean_squared_error": threshold},
#:                 candidate_result=evaluation, baseline_result=baseline_evaluation,
#:             )
#:             verdicts[name] = "passed"
#:         except ModelValidationFailedException as refusal:
#:             verdicts[name] = f"refused: {refusal}"
#:     mlflow.set_tags(verdicts)
verdicts = {}
for name, threshold in demands.items():
    try:
        mlflow.validate_evaluation_results(
            validation_thresholds={"root_mean_squared_error": threshold},
            candidate_result=evaluation,
            baseline_result=baseline_evaluation,
        )
        verdicts[name] = "passed"
    except ModelValidationFailedException as refusal:
        verdicts[name] = f"refused: {refusal}"
mlflow.set_tags(verdicts)

# %% show-verdicts
#: print each demand and its verdict.
#: hint: `items` again.
#: hint: Two lines:
#:     for name, verdict in verdicts.items():
#:         print(f"{name}: {verdict}")
for name, verdict in verdicts.items():
    print(f"{name}: {verdict}")
