# %% import-models
#: import Lasso and Ridge too.
#: hint: One line can import several names from the same module, with commas between them.
#: hint: `from sklearn.linear_model import ElasticNet, Lasso, Ridge`
from sklearn.linear_model import ElasticNet, Lasso, Ridge

# %% search (removed, given)

# %% families
#: make a dictionary `families` of three models, with the keys
#: "elasticnet", "ridge" and "lasso". Each has the chosen `alpha` and
#: random_state=42; the ElasticNet also has your `l1_ratio`.
#: hint: The values are models that aren't fitted yet. Ridge and Lasso don't take `l1_ratio`. Why
#: wouldn't they need it?
#: hint: `families = {"elasticnet": ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42),
#: "ridge": Ridge(alpha=alpha, random_state=42), ...}`
families = {
    "elasticnet": ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42),
    "ridge": Ridge(alpha=alpha, random_state=42),
    "lasso": Lasso(alpha=alpha, random_state=42),
}

# %% compare
#: loop over the families. The next three tasks stand inside the loop.
#: hint: `.items()` returns the name and the model of each entry.
#: hint: `for name, family in families.items():`
for name, family in families.items():

# %% set-experiment
#: make the family's own experiment the active one: "wine-elasticnet",
#: "wine-ridge" or "wine-lasso".
#: hint: An f-string puts `name` into the experiment's name. Should this line stand above or below
#: the line that opens the run?
#: hint: `mlflow.set_experiment(f"wine-{name}")`
mlflow.set_experiment(f"wine-{name}")

# %% family-run
#: open a run that has the name of its family.
#: hint: `run_name` takes a variable too.
#: hint: `with mlflow.start_run(run_name=name):`
with mlflow.start_run(run_name=name):

# %% log-family
#: inside the run, cross-validate a pipeline of a StandardScaler and the
#: family, as in the cell "3. Choose alpha". Log all the family's own
#: settings as params, and "cv_rmse" as a metric.
#: hint: Which of the lines in the cell "3. Choose alpha" can you use again? Every scikit-learn
#: model has `get_params()`, which returns its settings as a dictionary.
#: hint: `pipeline = make_pipeline(StandardScaler(), family)`, then `scores =
#: cross_val_score(pipeline, X_train, y_train, cv=5, scoring=scoring)`,
#: `mlflow.log_params(family.get_params())` and `mlflow.log_metric("cv_rmse", -scores.mean())`
pipeline = make_pipeline(StandardScaler(), family)
scores = cross_val_score(pipeline, X_train, y_train, cv=5, scoring=scoring)
mlflow.log_params(family.get_params())
mlflow.log_metric("cv_rmse", -scores.mean())

# %% comparison
#: search the three experiments together. Keep the newest run of each as
#: `comparison`, the lowest cv_rmse first. Print names and cv_rmse with
#: four decimals.
#: hint: `experiment_names` takes a list. The search returns the newest runs first, and
#: `drop_duplicates("experiment_id")` keeps the first row of each experiment. Sort after that.
#: hint: `runs = mlflow.search_runs(experiment_names=[f"wine-{name}" for name in families])`, then
#: `comparison = runs.drop_duplicates("experiment_id").sort_values("metrics.cv_rmse")`
runs = mlflow.search_runs(experiment_names=[f"wine-{name}" for name in families])
comparison = runs.drop_duplicates("experiment_id").sort_values("metrics.cv_rmse")
print(comparison[["tags.mlflow.runName", "metrics.cv_rmse"]].round(4))
