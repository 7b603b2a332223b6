# %% experiment
#: make "wine-quality" the active experiment, keep the answer in
#: `experiment`, and print its name and id.
#: hint: MLflow sets the active experiment by its name, and creates it when there is none.
#: The call answers with the experiment: it has a `name` and an `experiment_id`.
#: hint: `experiment = mlflow.set_experiment("wine-quality")`
experiment = mlflow.set_experiment("wine-quality")
print("Experiment", experiment.name, "has the id", experiment.experiment_id)
