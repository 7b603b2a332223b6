# %% annotate
#: write annotate(client, version). It sets the version's description: the
#: RMSE, the upper end of its interval and the baseline's RMSE, with three
#: decimals each, and the decision, all from the version's tags. And it
#: sets the tag "annotated" to today's date (such as 2030-01-31).
#: hint: `client.get_model_version(registered_name, version).tags` has all four, as texts. `float`
#: makes a number of a text, and `:.3f` in an f-string shows three decimals.
#: `client.update_model_version` takes the name, the version and `description=`.
#: hint: `tags = client.get_model_version(registered_name, version).tags`, then
#: `rmse, upper, mean = (float(tags[name]) for name in ("rmse", "rmse_upper", "baseline_rmse"))`, then
#: `client.update_model_version(registered_name, version, description=f"...")` and
#: `client.set_model_version_tag(registered_name, version, "annotated",
#: date.today().isoformat())`
def annotate(client, version):
    """Describe a version in words that a colleague understands, from what stands on it."""
    tags = client.get_model_version(registered_name, version).tags
    rmse, upper, mean = (float(tags[name]) for name in ("rmse", "rmse_upper", "baseline_rmse"))
    words = f"Test RMSE {rmse:.3f} (95 % interval up to {upper:.3f}), baseline {mean:.3f}."
    words = f"{words} Decision: {tags['decision']}."
    client.update_model_version(registered_name, version, description=words)
    client.set_model_version_tag(registered_name, version, "annotated", date.today().isoformat())

# %% import-date
#: import date from datetime.
#: hint: The line has the same form as the one that imports `Path`.
#: hint: `from datetime import date`
from datetime import date

# %% note
#: annotate this version.
#: hint: Your function takes the client and the version's number.
#: hint: `annotate(client, version.version)`
annotate(client, version.version)

# %% note-champion
#: annotate the champion too: this loop may not have made it.
#: hint: Your function takes the client and a number, here `champion.version`.
#: hint: `annotate(client, champion.version)`
annotate(client, champion.version)

# %% show-note
#: print the description that now stands on the champion.
#: hint: Ask the client for the version again: `champion` is a copy of what it knew before.
#: hint: `print(client.get_model_version(registered_name, champion.version).description)`
print(client.get_model_version(registered_name, champion.version).description)
