# %% import-signature
#: import make_metric from mlflow.models too.
#: hint: Names in one import stand one after the other, with a comma between them.
#: hint: `from mlflow.models import infer_signature, make_metric`
from mlflow.models import infer_signature, make_metric

# %% squared-metric
#: write a function squared_diff_plus_one(predictions, targets, metrics)
#: that returns the sum of (prediction - target + 1) squared.
#: hint: Both are columns of a table: they are subtracted, added to and squared as a whole. `sum`
#: adds up.
#: hint: `return ((predictions - targets + 1) ** 2).sum()`
def squared_diff_plus_one(predictions, targets, metrics):
    """Squared errors, where one unit too high counts more than one too low."""
    return ((predictions - targets + 1) ** 2).sum()

# %% half-metric
#: write sum_on_target_divided_by_two(predictions, targets, metrics):
#: half of the metric "sum_on_target", which MLflow has computed already.
#: hint: `metrics` holds MLflow's own ones by name. Each is a MetricValue: its `aggregate_results`
#: is a dictionary with the figure, under the same name.
#: hint: `return metrics["sum_on_target"].aggregate_results["sum_on_target"] / 2`
def sum_on_target_divided_by_two(predictions, targets, metrics):
    """Half of a metric that MLflow has computed before."""
    return metrics["sum_on_target"].aggregate_results["sum_on_target"] / 2

# %% extra-metrics
#: make metrics of the two functions, in the list `extra_metrics`. For
#: both, smaller is better.
#: hint: `make_metric` takes the function as `eval_fn=`, and `greater_is_better=`.
#: hint: `make_metric(eval_fn=squared_diff_plus_one, greater_is_better=False)` is the first of the
#: list.
extra_metrics = [
    make_metric(eval_fn=squared_diff_plus_one, greater_is_better=False),
    make_metric(eval_fn=sum_on_target_divided_by_two, greater_is_better=False),
]

# %% extras
#: pass your metrics to evaluate, with the argument of the same name.
#: hint: One more line between the brackets, with a comma at its end.
#: hint: `extra_metrics=extra_metrics,`
    extra_metrics=extra_metrics,
