# %% parser-model (script)
parser.add_argument("--alpha", type=float, nargs="+", default=[1.0, 0.5, 0.1, 0.01])
parser.add_argument("--l1-ratio", type=float, default=0.5, help="0 is ridge, 1 is lasso")

# %% model-settings (script)
alphas = arguments.alpha
l1_ratio = arguments.l1_ratio

# %% model-settings (notebook)
#: instead of one alpha, a list: `alphas` with 1.0, 0.5, 0.1 and 0.01.
#: hint: A list stands in square brackets. `l1_ratio` stays.
#: hint: `alphas = [1.0, 0.5, 0.1, 0.01]`
alphas = [1.0, 0.5, 0.1, 0.01]
l1_ratio = 0.5

# %% run
#: this run becomes the parent of all others: call it "alphas", and
#: name it `parent`.
#: hint: `with ... as name:` gives what was opened a name.
#: hint: `with mlflow.start_run(run_name="alphas") as parent:`
with mlflow.start_run(run_name="alphas") as parent:

# %% loop
#: inside the parent, go through the alphas, one after the other.
#: hint: All lines from `model = ...` on belong into the loop, four spaces further in. The child's
#: `with` adds four more.
#: hint: `for alpha in alphas:`
for alpha in alphas:

# %% child
#: inside the loop, open a run below the parent, named after its alpha:
#: "alpha 0.5" for 0.5. The model and its figures belong into it.
#: hint: `start_run` opens a second run inside the first when you say `nested=True`.
#: hint: `with mlflow.start_run(run_name=f"alpha {alpha}", nested=True):`
with mlflow.start_run(run_name=f"alpha {alpha}", nested=True):

# %% run-id (removed, given)

# %% read-back (removed, given)

# %% show (removed, given)

# %% show-metrics (removed, given)

# %% search
#: in place of this search, search the runs of this parent, the
#: lowest rmse first, as `runs`. The first row is `best`. Print the table
#: and the best alpha.
#: hint: A child carries the tag `mlflow.parentRunId`. `order_by` takes a list of texts such as
#: `"metrics.rmse ASC"`. `runs.iloc[0]` is the first row.
#: hint: `runs = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId =
#: '{parent.info.run_id}'", order_by=["metrics.rmse ASC"])`
runs = mlflow.search_runs(
    filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
    order_by=["metrics.rmse ASC"],
)
best = runs.iloc[0]
print(runs[["tags.mlflow.runName", "metrics.rmse", "metrics.r2"]].round(3))
print(f"best: alpha {best['params.alpha']}, rmse: {best['metrics.rmse']:.3f}")
