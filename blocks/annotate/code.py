# %% annotate
#: write annotate(client, version). From the run that made the version,
#: read its RMSE, the baseline's and the alpha. Write on the version the
#: tags "rmse" (six decimals) and "gate", and as its description one
#: sentence with the RMSE (three decimals) and what you find useful.
#: hint: `run_of(client, version).data` has `metrics` and `params`; the baseline's RMSE is
#: `dummy_rmse`. `client.set_model_version_tag` takes the name, the version, a tag's name and its
#: value, a text. `client.update_model_version` takes the name, the version and `description=`.
#: hint: `data = run_of(client, version).data`, then `rmse = data.metrics["rmse"]`, then
#: `client.set_model_version_tag(registered_name, version, "rmse", f"{rmse:.6f}")`, the same for
#: "gate", and `client.update_model_version(registered_name, version, description=f"...")`
def annotate(client, version):
    """Write on a version what its own run has measured, and the gate that it met."""
    data = run_of(client, version).data
    rmse, mean = data.metrics["rmse"], data.metrics["dummy_rmse"]
    client.set_model_version_tag(registered_name, version, "rmse", f"{rmse:.6f}")
    client.set_model_version_tag(registered_name, version, "gate", f"{gate}")
    words = f"Test RMSE {rmse:.3f} at alpha {data.params['alpha']}; the mean's is {mean:.3f}."
    client.update_model_version(registered_name, version, description=words)

# %% note
#: annotate this version.
#: hint: Your function takes the client and the version.
#: hint: `annotate(client, version)`
annotate(client, version)

# %% note-champion
#: annotate the champion too: an older run may have made it.
#: hint: Your function takes the client and a version; `champion.version` is the one that is meant.
#: hint: `annotate(client, champion.version)`
annotate(client, champion.version)

# %% show-note
#: print the description that now stands on the champion.
#: hint: `champion` is a copy of what stood there before. Ask the client again.
#: hint: `print(client.get_model_version(registered_name, champion.version).description)`
print(client.get_model_version(registered_name, champion.version).description)
