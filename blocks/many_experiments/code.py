# %% import-models
#: import Lasso and Ridge too.
#: hint: One line can import several names; commas stand between them.
#: hint: `from sklearn.linear_model import ElasticNet, Lasso, Ridge`
from sklearn.linear_model import ElasticNet, Lasso, Ridge

# %% parser-model (script, as in params_metrics, given)

# %% model-settings (as in params_metrics, given)

# %% experiment (removed)
#: delete the lines that look up or create "wine-linear": each model
#: gets an experiment of its own, below.
#: hint: All lines from `location = ...` to the last `print` go.
#: hint: Nothing takes their place here: `mlflow.set_experiment` comes in the next cell.

# %% run (as in run, given)

# %% loop (removed, given)

# %% child (removed, given)

# %% search (removed, given)

# %% models
#: make a dictionary `models` of three models, under the names
#: "elasticnet", "ridge" and "lasso", each with `alpha` and
#: random_state=42.
#: hint: The names in quotes are the keys; the values are models that are not fitted yet. Only
#: ElasticNet takes `l1_ratio`.
#: hint: `models = {"elasticnet": ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42),
#: "ridge": Ridge(alpha=alpha, random_state=42), ...}`
models = {
    "elasticnet": ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42),
    "ridge": Ridge(alpha=alpha, random_state=42),
    "lasso": Lasso(alpha=alpha, random_state=42),
}

# %% families
#: go through the models; all that follows in this cell belongs into
#: the loop.
#: hint: `.items()` gives the name and the model of each entry.
#: hint: `for name, model in models.items():`
for name, model in models.items():

# %% set-experiment
#: before the run opens, make the model's own experiment the active
#: one: "wine-elasticnet", "wine-ridge" or "wine-lasso".
#: hint: An f-string puts `name` into the experiment's name. It must stand above the `with`.
#: hint: `mlflow.set_experiment(f"wine-{name}")`
mlflow.set_experiment(f"wine-{name}")

# %% run
#: name the run after its model.
#: hint: `run_name` takes a variable as well as a text.
#: hint: `with mlflow.start_run(run_name=name):`
with mlflow.start_run(run_name=name):

# %% model (removed)
#: delete the line that makes the model: the loop brings it.
#: hint: The line `model = ElasticNet(...)` would put the same model into all three runs.
#: hint: `model.fit(X_train, y_train)` stays.

# %% log-params
#: not every model has an l1_ratio: log the settings that the model
#: itself names.
#: hint: Every scikit-learn model gives its settings as a dictionary.
#: hint: `mlflow.log_params(model.get_params())`
mlflow.log_params(model.get_params())

# %% search
#: search the three experiments together, keep the newest run of each,
#: the lowest rmse first, as `comparison`. Print names and figures.
#: hint: `experiment_names` takes a list. The newest runs come first, so `drop_duplicates` on
#: `"experiment_id"` keeps the newest of each; `sort_values` puts the table in order.
#: hint: `runs = mlflow.search_runs(experiment_names=[f"wine-{name}" for name in models])`, then
#: `comparison = runs.drop_duplicates("experiment_id").sort_values("metrics.rmse")`
runs = mlflow.search_runs(experiment_names=[f"wine-{name}" for name in models])
comparison = runs.drop_duplicates("experiment_id").sort_values("metrics.rmse")
print(comparison[["tags.mlflow.runName", "metrics.rmse", "metrics.r2"]].round(3))
