# A formatter would take the arguments in "extras" for assignments:
# fmt: off

# %% import-numpy
#: import numpy as np.
#: hint: The line has the same form as the one that imports pandas.
#: hint: `import numpy as np`
import numpy as np

# %% import-mlflow-models
#: import make_metric from mlflow.models too.
#: hint: One import can list several names, with commas between them.
#: hint: `from mlflow.models import infer_signature, make_metric`
from mlflow.models import infer_signature, make_metric

# %% within-half
#: write within_half(predictions, targets, metrics): the share of wines, 0
#: to 1, whose prediction is at most half a grade away from the target.
#: hint: You can subtract and compare whole columns. The mean of a column of True and False is the
#: share of True.
#: hint: `return (abs(predictions - targets) <= 0.5).mean()`
def within_half(predictions, targets, metrics):
    """The share of wines predicted within half a grade."""
    return (abs(predictions - targets) <= 0.5).mean()

# %% bootstrap
#: write bootstrap_rmse(predictions, targets): draw 1000 samples of the
#: wines with replacement, each as large as the test set, and return the
#: RMSE of each. Draw with np.random.default_rng(42), so that every run
#: draws the same samples.
#: hint: It's enough to draw squared errors: `rng.choice(squared, (1000, len(squared)))` returns one
#: sample in each row. The square root of a row's mean is that sample's RMSE.
#: hint: `squared = ((predictions - targets) ** 2).to_numpy()`, then `samples =
#: np.random.default_rng(42).choice(squared, (1000, len(squared)))`, then
#: `return np.sqrt(samples.mean(axis=1))`
def bootstrap_rmse(predictions, targets):
    """The RMSE of 1000 samples of the wines, each drawn with replacement."""
    squared = ((predictions - targets) ** 2).to_numpy()
    samples = np.random.default_rng(42).choice(squared, (1000, len(squared)))
    return np.sqrt(samples.mean(axis=1))

# %% rmse-upper
#: write rmse_upper(predictions, targets, metrics): the upper end of the
#: RMSE's 95 % interval, which 97.5 % of the samples stay below.
#: hint: Such a value is called a quantile, and numpy has a function for it.
#: hint: `return np.quantile(bootstrap_rmse(predictions, targets), 0.975)`
def rmse_upper(predictions, targets, metrics):
    """The upper end of the RMSE's 95 % interval."""
    return np.quantile(bootstrap_rmse(predictions, targets), 0.975)

# %% extra-metrics
#: make a list `extra_metrics` of two metrics, one from within_half and one
#: from rmse_upper. Decide for each whether greater is better.
#: hint: `make_metric` takes `eval_fn=`, the function without brackets, and `greater_is_better=`,
#: True or False.
#: hint: The first one in the list is `make_metric(eval_fn=within_half, greater_is_better=True)`.
extra_metrics = [
    make_metric(eval_fn=within_half, greater_is_better=True),
    make_metric(eval_fn=rmse_upper, greater_is_better=False),
]

# %% extras
#: pass your list to evaluate, as the argument of the same name.
#: hint: It's one more line between the brackets of `evaluate`, with a comma at its end.
#: hint: `extra_metrics=extra_metrics,`
    extra_metrics=extra_metrics,
