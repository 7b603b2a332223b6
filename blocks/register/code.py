# %% registry
#: name the registered model: `registered_name` is
#: "wine-quality-elasticnet".
#: hint: A setting is a name and its value.
#: hint: `registered_name = "wine-quality-elasticnet"`
registered_name = "wine-quality-elasticnet"

# %% register
#: write register(client, model_info). It reads the run that logged the
#: model, registers the model by its URI under `registered_name`, and
#: returns the version. The version gets five tags: the run's metrics
#: rmse, rmse_upper and baseline_rmse, the run's tag validation, and as
#: test_digest the digest of the dataset "wine-test".
#: hint: `client.get_run(model_info.run_id)` gives the run: metrics and tags are in its `data`, and
#: `inputs.dataset_inputs` is a list in which each entry has a `dataset` with `name` and `digest`.
#: `mlflow.register_model` takes a model's URI, a name, and `tags=`, whose values are texts.
#: hint: `run = client.get_run(model_info.run_id)`, then `digests = {used.dataset.name:
#: used.dataset.digest for used in run.inputs.dataset_inputs}`, then `tags = {name:
#: str(run.data.metrics[name]) for name in ("rmse", "rmse_upper", "baseline_rmse")}`. Add the two
#: other entries, and `return mlflow.register_model(model_info.model_uri, registered_name,
#: tags=tags)`.
def register(client, model_info):
    """Register a logged model; what its run has measured goes on the version, as tags."""
    run = client.get_run(model_info.run_id)
    digests = {used.dataset.name: used.dataset.digest for used in run.inputs.dataset_inputs}
    measured = ("rmse", "rmse_upper", "baseline_rmse")
    tags = {name: str(run.data.metrics[name]) for name in measured}
    tags |= {"validation": run.data.tags["validation"], "test_digest": digests["wine-test"]}
    return mlflow.register_model(model_info.model_uri, registered_name, tags=tags)

# %% main (given, script)
def main():
    """From the wine table to a registered model."""

# %% client
#: make a client, as `client`: it asks the store about any run or model.
#: hint: The class is `mlflow.MlflowClient`. Without arguments, it uses the store that is set.
#: hint: `client = mlflow.MlflowClient()`
client = mlflow.MlflowClient()

# %% registration
#: register the model with your function, as `version`, and print its
#: number and its tags.
#: hint: What `register_model` returns has `version`, the number, and `tags`.
#: hint: `version = register(client, model_info)`, then
#: `print("registered: version", version.version, version.tags)`
version = register(client, model_info)
print("registered: version", version.version, version.tags)
