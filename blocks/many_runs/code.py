# %% import-selection
#: import cross_val_score too.
#: hint: One line can import several names from the same module, with commas between them.
#: hint: `from sklearn.model_selection import cross_val_score, train_test_split`
from sklearn.model_selection import cross_val_score, train_test_split

# %% parser-model (script)
parser.add_argument("--alpha", type=float, nargs="+", default=[0.2, 0.5, 1.0])
parser.add_argument("--l1-ratio", type=float, default=0.3, help="0 is ridge, 1 is lasso")

# %% model-settings (script)
alphas = arguments.alpha
l1_ratio = arguments.l1_ratio

# %% model-settings (notebook)
#: replace the one alpha by a list of candidates: `alphas` with 0.2, 0.5
#: and 1.0.
#: hint: A list stands in square brackets. `l1_ratio` stays as it is.
#: hint: `alphas = [0.2, 0.5, 1.0]`
alphas = [0.2, 0.5, 1.0]
l1_ratio = 0.3

# %% candidates
#: open a run called "alphas" as `parent`. It will be the parent of one
#: run for each candidate.
#: hint: `with ... as name:` gives a name to what was opened.
#: hint: `with mlflow.start_run(run_name="alphas") as parent:`
with mlflow.start_run(run_name="alphas") as parent:

# %% loop
#: inside the parent, loop over the alphas.
#: hint: A `for` loop, indented below the `with`.
#: hint: `for alpha in alphas:`
for alpha in alphas:

# %% child
#: inside the loop, open a child run, named after its alpha:
#: "alpha 0.5" for 0.5.
#: hint: One argument of `start_run` makes the new run a child of the open run. An f-string puts
#: the number into the name.
#: hint: `with mlflow.start_run(run_name=f"alpha {alpha}", nested=True):`
with mlflow.start_run(run_name=f"alpha {alpha}", nested=True):

# %% cross-validate
#: inside the child, cross-validate an ElasticNet with this alpha, your
#: l1_ratio and random_state=42 on the training wines, in five folds.
#: Keep the five scores as `scores`.
#: hint: `cross_val_score` takes the model, the measurements and the qualities, then `cv=` and
#: `scoring=`. The model isn't fitted before. Which score is the RMSE, with a minus?
#: hint: `candidate = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)`, then
#: `scores = cross_val_score(candidate, X_train, y_train, cv=5,
#: scoring="neg_root_mean_squared_error")`
candidate = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
scoring = "neg_root_mean_squared_error"
scores = cross_val_score(candidate, X_train, y_train, cv=5, scoring=scoring)

# %% log-candidate
#: still inside the child, log alpha and l1_ratio as params, and the mean
#: RMSE of the five folds as the metric "cv_rmse".
#: hint: `log_params` takes a dictionary, `log_metric` one name and one value. An RMSE is positive,
#: and the scores are not.
#: hint: `mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})`, then
#: `mlflow.log_metric("cv_rmse", -scores.mean())`
mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})
mlflow.log_metric("cv_rmse", -scores.mean())

# %% search-candidates
#: below the parent's `with`, search for the children of this parent, the
#: lowest cv_rmse first, as `candidates`. Print their names and cv_rmse.
#: hint: A child has the tag `mlflow.parentRunId`; its value is the parent's id, in quotes.
#: `order_by` takes a list of texts.
#: hint: `candidates = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId =
#: '{parent.info.run_id}'", order_by=["metrics.cv_rmse ASC"])`
candidates = mlflow.search_runs(
    filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
    order_by=["metrics.cv_rmse ASC"],
)
print(candidates[["tags.mlflow.runName", "metrics.cv_rmse"]].round(3))

# %% chosen
#: make the alpha of the first row, as a number, the `alpha` of the cell
#: "4. Train".
#: hint: The first row of `candidates` is the best. Params are texts: `float(...)` makes a number of
#: one.
#: hint: `alpha = float(candidates["params.alpha"][0])`
alpha = float(candidates["params.alpha"][0])
print("chosen: alpha", alpha)

# %% run-id (removed, given)

# %% read-back (removed, given)
