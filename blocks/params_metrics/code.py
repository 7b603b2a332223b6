# %% import-metrics
#: import mean_absolute_error, r2_score and
#: root_mean_squared_error from sklearn.metrics.
#: hint: The line has the same form as the one that imports `ElasticNet`; commas stand between
#: names.
#: hint: `from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error`
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

# %% eval-metrics
#: write a function eval_metrics(actual, predicted) that returns a
#: dictionary with the keys "rmse", "mae" and "r2".
#: hint: Each of the three imported functions takes the true values first, then the predicted ones.
#: hint: The first entry of the dictionary is `"rmse": root_mean_squared_error(actual, predicted)`.
def eval_metrics(actual, predicted):
    """How far predictions are from the truth: RMSE, MAE and R2."""
    return {
        "rmse": root_mean_squared_error(actual, predicted),
        "mae": mean_absolute_error(actual, predicted),
        "r2": r2_score(actual, predicted),
    }

# %% parser-model (script)
parser.add_argument("--alpha", type=float, default=0.5, help="how strong the penalty is")
parser.add_argument("--l1-ratio", type=float, default=0.3, help="0 is ridge, 1 is lasso")

# %% model-settings (script)
alpha = arguments.alpha
l1_ratio = arguments.l1_ratio

# %% model-settings (notebook)
#: give the two settings names: `alpha` is 0.5, `l1_ratio` is 0.3.
#: hint: Two assignments. The cell *4. Train* will use the names instead of the numbers.
#: hint: `alpha = 0.5` and, on the next line, `l1_ratio = 0.3`
alpha = 0.5
l1_ratio = 0.3

# %% model
#: use `alpha` and `l1_ratio` here instead of the numbers.
#: hint: A keyword argument can take a variable of the same name.
#: hint: `model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)`
model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)

# %% log-params
#: still inside the `with`, log both settings as params, under the
#: names alpha and l1_ratio.
#: hint: `mlflow.log_params` takes a dictionary: the names in quotes, then the values.
#: hint: `mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})`
mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})

# %% log-metrics
#: call eval_metrics for the test wines, keep what it returns as
#: `metrics`, and log it.
#: hint: Your function takes `y_test` and `predictions`. It returns the kind of dictionary that
#: `mlflow.log_metrics` takes.
#: hint: `metrics = eval_metrics(y_test, predictions)`, then `mlflow.log_metrics(metrics)`
metrics = eval_metrics(y_test, predictions)
mlflow.log_metrics(metrics)

# %% show-metrics
#: print the three metrics.
#: hint: Loop over `metrics.items()`: each step gives a name and a value. `:.3f` in an f-string
#: shows three decimals.
#: hint: `for name, value in metrics.items():` and below it `print(f"{name}: {value:.3f}")`
for name, value in metrics.items():
    print(f"{name}: {value:.3f}")
