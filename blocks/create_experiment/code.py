# %% experiment
#: replace the two lines below. Look the experiment "wine-linear" up by
#: its name. If there is none, create it with the tags data="red wine"
#: and models="linear", and with the artifact location mlruns/wine-linear
#: in the course's folder, as a URI. Then make it the active one, keep it
#: as `experiment`, and print its name and its artifact_location.
#: hint: `mlflow.get_experiment_by_name` returns `None` when there is no such experiment, so an `if`
#: decides. `as_uri()` turns the path `course / "mlruns" / "wine-linear"` into a URI.
#: hint: `if experiment is None:` and below it `mlflow.create_experiment("wine-linear",
#: artifact_location=location, tags={"data": "red wine", "models": "linear"})`; after the `if`,
#: `experiment = mlflow.set_experiment("wine-linear")`.
location = (course / "mlruns" / "wine-linear").as_uri()
experiment = mlflow.get_experiment_by_name("wine-linear")
if experiment is None:
    tags = {"data": "red wine", "models": "linear"}
    mlflow.create_experiment("wine-linear", artifact_location=location, tags=tags)
experiment = mlflow.set_experiment("wine-linear")
print("Experiment", experiment.name, "keeps its files at", experiment.artifact_location)
