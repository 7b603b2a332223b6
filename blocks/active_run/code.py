# %% run-id
#: still inside the run, ask MLflow for the active run, and keep its id
#: as `run_id`.
#: hint: Which call returns the run that is open now? A run keeps its id in its `info`.
#: hint: `run_id = mlflow.active_run().info.run_id`
run_id = mlflow.active_run().info.run_id

# %% read-back
#: ask for the last active run, and keep its id as `last_run_id`. Read
#: your run back from the store by `run_id`, as `finished`. Print its
#: name, its status and its rmse.
#: hint: `mlflow.last_active_run()` still answers after the run has ended. `mlflow.get_run` takes an
#: id and returns a run: `info` has its name and status, `data` its metrics.
#: hint: `last_run_id = mlflow.last_active_run().info.run_id` and `finished =
#: mlflow.get_run(run_id)`; then print `finished.info.run_name`, `finished.info.status` and
#: `finished.data.metrics["rmse"]`.
last_run_id = mlflow.last_active_run().info.run_id
finished = mlflow.get_run(run_id)
rmse = finished.data.metrics["rmse"]
print(f"{finished.info.run_name} is {finished.info.status}, rmse: {rmse:.3f}")
