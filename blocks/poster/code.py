# %% read-store
#: write read_store(client). It returns a dictionary of five facts from
#: the store: "champion", the version with that alias; "run", the one that
#: made it; "candidates", the runs that have a cv_rmse; "versions", all
#: versions of the registered model; "service", the dictionary that was
#: logged as service.json on the champion's run.
#: hint: Five entries, five questions; most of them you've asked before. `mlflow.artifacts.load_dict`
#: takes `runs:/RUN_ID/FILE`, and returns the dictionary.
#: hint: `champion = client.get_model_version_by_alias(registered_name, "champion")`. Then
#: "run" is `client.get_run(champion.run_id)`, "candidates" is
#: `mlflow.search_runs(filter_string="metrics.cv_rmse > 0")`, "versions" what
#: `client.search_model_versions` finds, and "service" is
#: `mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json")`.
def read_store(client):
    """All that the poster shows, by name, as it stands in the store."""
    champion = client.get_model_version_by_alias(registered_name, "champion")
    return {
        "champion": champion,
        "run": client.get_run(champion.run_id),
        "candidates": mlflow.search_runs(filter_string="metrics.cv_rmse > 0"),
        "versions": client.search_model_versions(f"name='{registered_name}'"),
        "service": mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json"),
    }

# %% draw-gate
#: write draw_gate(axes, versions). Above each version's number, it draws
#: a line from its rmse up to its rmse_upper, with a dot at both ends; and
#: across all of them a horizontal line at the gate.
#: hint: Tags are texts, and a version's number may be one: `float(...)`, `int(...)`. `axes.plot`
#: draws a line through points, with `marker="o"` a dot at each; `axes.axhline` draws a horizontal
#: line.
#: hint: `for version in versions:`, below it `rmse, upper = float(version.tags["rmse"]),
#: float(version.tags["rmse_upper"])` and `axes.plot([int(version.version)] * 2, [rmse, upper],
#: marker="o")`; below the loop `axes.axhline(gate)` and `axes.set(xlabel="version",
#: ylabel="test RMSE")`
def draw_gate(axes, versions):
    """Draw each version's RMSE up to the upper end of its interval, and the gate."""
    for version in versions:
        rmse, upper = float(version.tags["rmse"]), float(version.tags["rmse_upper"])
        axes.plot([int(version.version)] * 2, [rmse, upper], marker="o", color="grey")
    axes.axhline(gate, color="#c98b00", linewidth=4)
    axes.set(xlabel="version", ylabel="test RMSE, and the end of its interval")

# %% draw-poster (given)
@plt.style.context({"font.size": 15, "axes.titlelocation": "left", "axes.ymargin": 0.2})
def draw_poster(champion, run, candidates, versions, service):
    """The course on a sheet of A3 (16.5 by 11.7 inches), drawn from the store's facts alone."""
    red, shown = "#7b1e3a", ["baseline_rmse", "rmse", "rmse_upper", "within_half"]
    poster, on = plt.subplot_mosaic("12;34", figsize=(16.5, 11.7), layout="tight")
    poster.suptitle(f"From a table to models:/{champion.name}@champion\n", size=32, color=red)
    poster.supxlabel(f"Version {champion.version}. {champion.description}", size=18, color=red)
    alphas = candidates["params.alpha"].astype(float)
    chosen = alphas == float(run.data.params["elasticnet__alpha"])
    on["1"].scatter(alphas, candidates["metrics.cv_rmse"], 200, np.where(chosen, red, "silver"))
    on["1"].set(title="1. RMSE of the candidates, cross-validated", xlabel="alpha", xscale="log")
    draw_gate(on["2"], versions)
    on["2"].locator_params("x", integer=True)
    on["2"].set(title=f"2. The versions, and the gate of {gate}")
    bars = on["3"].bar(shown, [run.data.metrics[name] for name in shown], color=red)
    on["3"].bar_label(bars, fmt="%.3f")
    on["3"].set(title="3. The champion, evaluated")
    on["4"].hist([service["answers"], service["grades"]], color=[red, "silver"])
    on["4"].legend(["as they are", "as whole grades"])
    on["4"].set(title="4. What the service answers", xlabel="quality", ylabel="wines")
    return poster

# %% poster
#: read the store, draw the poster, as `poster`, and save it in the folder
#: `output` as poster.png and poster.pdf, with 200 dots an inch. Log both
#: files on the champion's run, in its folder "poster".
#: hint: `draw_poster(**facts)` passes each entry of a dictionary as the argument of that name. A
#: figure's `savefig` takes a file and `dpi=`. `client.log_artifact` takes a run's id, a file, and a
#: folder.
#: hint: `poster = draw_poster(**read_store(client))`, then `for kind in ("png", "pdf"):` and below
#: it `poster.savefig(output / f"poster.{kind}", dpi=200)` and `client.log_artifact(champion.run_id,
#: output / f"poster.{kind}", "poster")`.
poster = draw_poster(**read_store(client))
for kind in ("png", "pdf"):
    poster.savefig(output / f"poster.{kind}", dpi=200)
    client.log_artifact(champion.run_id, output / f"poster.{kind}", "poster")
print("The poster is in the folder output, and on the champion's run.")
