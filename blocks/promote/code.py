# %% gate
#: set the gate: a model passes if its RMSE is below 0.7. Call it `gate`.
#: hint: A setting is a name with a number behind it.
#: hint: `gate = 0.7`
gate = 0.7

# %% run-of
#: write run_of(client, version), which returns the run that made this
#: version of `registered_name`.
#: hint: `client.get_model_version` takes a name and a version, and its answer knows a `run_id`.
#: `client.get_run` takes such an id.
#: hint: One line in the function is enough:
#:     def run_of(client, version):
#:         return client.get_run(client.get_model_version(registered_name, version).run_id)
def run_of(client, version):
    """The run that made a version: what it has measured stands there."""
    return client.get_run(client.get_model_version(registered_name, version).run_id)

# %% promote
#: write promote(client, version). It returns "refused" if the RMSE of
#: the version is not below the gate, "kept the champion" if there is a
#: champion and this version is not better. If neither holds, it gives
#: the version the alias "champion", and returns "promoted".
#: hint: The RMSE is a metric of the version's run, and `run_of` finds that. The aliases stand in a
#: dictionary, alias to version: `client.get_registered_model(registered_name).aliases`. And
#: `client.set_registered_model_alias` takes the name, the alias and the version.
#: hint: The gate first, then the champion, if there is one:
#:     rmse = run_of(client, version).data.metrics["rmse"]
#:     if rmse >= gate:
#:         return "refused"
#:     aliases = client.get_registered_model(registered_name).aliases
#:     if "champion" in aliases:
#:         best = run_of(client, aliases["champion"]).data.metrics["rmse"]
#:         if rmse >= best:
#:             return "kept the champion"
#:     client.set_registered_model_alias(registered_name, "champion", version)
#:     return "promoted"
def promote(client, version):
    """Make a version the champion if it passes the gate and beats the one that is there."""
    rmse = run_of(client, version).data.metrics["rmse"]
    if rmse >= gate:
        return "refused"
    aliases = client.get_registered_model(registered_name).aliases
    if "champion" in aliases and rmse >= run_of(client, aliases["champion"]).data.metrics["rmse"]:
        return "kept the champion"
    client.set_registered_model_alias(registered_name, "champion", version)
    return "promoted"

# %% main (given, script)
def main():
    """From the wine table to a champion."""

# %% client
#: make a client of the store, as `client`.
#: hint: The class is `mlflow.MlflowClient`. Without arguments, it takes the store that is set.
#: hint: `client = mlflow.MlflowClient()`
client = mlflow.MlflowClient()

# %% candidates (given)
for candidate in (alpha, 0.01, 0.1):

# %% candidate (given)
model_info = train(candidate, l1_ratio, tables, register_as=registered_name)
version = model_info.registered_model_version
print(f"alpha {candidate}: version {version}")

# %% candidate
#: ask your function for its decision about this version, set it on the
#: run of the version as the tag "promotion", and print it too.
#: hint: `promote` answers with a text. `client.set_tag` takes the id of a run, a name and a value;
#: the id is `model_info.run_id`.
#: hint: `decision = promote(client, version)`, then
#: `client.set_tag(model_info.run_id, "promotion", decision)`, and `{decision}` in what is printed.
model_info = train(candidate, l1_ratio, tables, register_as=registered_name)
version = model_info.registered_model_version
decision = promote(client, version)
client.set_tag(model_info.run_id, "promotion", decision)
print(f"alpha {candidate}: version {version} {decision}")

# %% later (removed, given)
