# %% newest-version
#: write newest_version(client): it returns the highest number among the
#: versions of `registered_name`, as an int.
#: hint: `client.search_model_versions` takes a filter, such as `"name='tea'"`. A version's
#: `version` may be a number or a text, so make each an int before `max` compares them.
#: hint: `found = client.search_model_versions(f"name='{registered_name}'")`, then
#: `return max(int(version.version) for version in found)`
def newest_version(client):
    """The newest version's number: as texts, 9 would be newer than 11."""
    found = client.search_model_versions(f"name='{registered_name}'")
    return max(int(version.version) for version in found)

# %% find-champion
#: write find_champion(client): it returns the version that has the alias
#: "champion". If none has it, it ends the program with one clear sentence
#: (raise SystemExit).
#: hint: `client.get_registered_model(registered_name).aliases` says whether there is a champion.
#: `client.get_model_version_by_alias` takes the name and the alias. `raise SystemExit("...")` ends
#: a program with a sentence.
#: hint: `if "champion" not in client.get_registered_model(registered_name).aliases:`, below it
#: `raise SystemExit(f"No model has passed the gate of {gate}: ...")`, and at the end
#: `return client.get_model_version_by_alias(registered_name, "champion")`
def find_champion(client):
    """The version with the alias; where none has it, the program ends with a sentence."""
    if "champion" not in client.get_registered_model(registered_name).aliases:
        raise SystemExit(f"No model has passed the gate of {gate}: there is no champion to load.")
    return client.get_model_version_by_alias(registered_name, "champion")

# %% load-champion
#: find the champion with your function, as `champion`. Load it by its
#: alias, as `model`, and predict the quality of the test wines with it,
#: as `predictions`.
#: hint: The URI of an alias is `models:/NAME@ALIAS`, and `mlflow.pyfunc.load_model` takes it. The
#: test wines are the second of the `tables`.
#: hint: `champion = find_champion(client)`, then
#: `model = mlflow.pyfunc.load_model(f"models:/{registered_name}@champion")`, then
#: `X_test = tables[1]` and `predictions = model.predict(X_test)`
champion = find_champion(client)
model = mlflow.pyfunc.load_model(f"models:/{registered_name}@champion")
X_test = tables[1]
predictions = model.predict(X_test)

# %% newest
#: print the newest version's number, with your function. Then print the
#: champion's, and the first three predictions.
#: hint: `newest_version` takes the client. The champion's number is `champion.version`.
#: hint: `print("the newest version is", newest_version(client))`, then
#: `print(f"The champion is version {champion.version}; it says", predictions[:3])`
print("the newest version is", newest_version(client))
print(f"The champion is version {champion.version}; it says", predictions[:3])
