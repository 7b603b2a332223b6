# %% run
#: put all the lines of this cell into a run called "elasticnet":
#: one `with` line above them, and four spaces before each.
#: hint: A `with` statement opens something, and closes it whatever happens inside.
#: `mlflow.start_run` works that way; its argument `run_name` names the run.
#: hint: `with mlflow.start_run(run_name="elasticnet"):` and below it, indented, the three lines.
with mlflow.start_run(run_name="elasticnet"):
