# %% experiment (given)
mlflow.set_experiment("wine-quality")

# %% log-plot (removed, given)

# %% newest-version (removed, given)

# %% newest (removed, given)

# %% show-note (removed, given)

# %% show-service (removed, given)

# %% log-table
#: still inside the run, log what the table is like, as
#: table.json: the "mean" quality of the wines to learn from; and
#: as "wines" a dictionary with "train" and "test", each with the
#: number of wines of each quality.
#: hint: `value_counts` counts how often each value of a column is there, and `to_dict` makes a
#: dictionary of that. `mlflow.log_dict` takes a dictionary and a file's name.
#: hint: Two lines, of which you complete the first:
#:     wines = {"train": y_train.value_counts().to_dict(), "test": ...}
#:     mlflow.log_dict({"mean": y_train.mean(), "wines": wines}, "table.json")
wines = {"train": y_train.value_counts().to_dict(), "test": y_test.value_counts().to_dict()}
mlflow.log_dict({"mean": y_train.mean(), "wines": wines}, "table.json")

# %% read-store
#: write read_store(client): a dictionary with all that the poster shows,
#: each from the store: "champion", the version of that alias; "run", the
#: data of the run that made it; "runs", the RMSE of each run that has
#: one, with its alpha as the index; "versions", a dictionary from the
#: version, as an int, to its RMSE; "table", table.json of the newest of
#: these runs; "service", the champion's service.json.
#: hint: Six entries, six questions. Most you have asked before. `mlflow.search_runs` gives a table,
#: the newest run first, and its `set_index` makes a column the index. `mlflow.artifacts.load_dict`
#: takes `runs:/RUN_ID/FILE`, and gives the dictionary back.
#: hint: The function begins like this:
#:     champion = client.get_model_version_by_alias(registered_name, "champion")
#:     runs = mlflow.search_runs(filter_string="metrics.rmse > 0")
#:     return {
#:         "champion": champion,
#:         "run": client.get_run(champion.run_id).data,
#:         "runs": runs.set_index(runs["params.alpha"].astype(float))["metrics.rmse"],
#:         "table": mlflow.artifacts.load_dict(f"runs:/{runs['run_id'][0]}/table.json"),
#: Two entries are left. `"versions"` has `int(v.version)` and the RMSE of `client.get_run(v.run_id)`
#: for each `v` that `client.search_model_versions` finds. The service's file lies on
#: `champion.run_id`.
def read_store(client):
    """All that the poster shows, by name, as it stands in the store."""
    champion = client.get_model_version_by_alias(registered_name, "champion")
    runs = mlflow.search_runs(filter_string="metrics.rmse > 0")  # the newest stands first
    found = client.search_model_versions(f"name='{registered_name}'")
    return {
        "champion": champion,
        "run": client.get_run(champion.run_id).data,
        "runs": runs.set_index(runs["params.alpha"].astype(float))["metrics.rmse"],
        "versions": {int(v.version): client.get_run(v.run_id).data.metrics["rmse"] for v in found},
        "table": mlflow.artifacts.load_dict(f"runs:/{runs['run_id'][0]}/table.json"),
        "service": mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json"),
    }

# %% draw-poster (given)
@plt.style.context({"font.size": 15, "axes.titlelocation": "left", "axes.ymargin": 0.2})
def draw_poster(champion, run, runs, versions, table, service):
    """The course on a sheet of A3 (16.5 by 11.7 inches), drawn from the store's facts alone."""
    red, gate, number = "#7b1e3a", float(champion.tags["gate"]), int(champion.version)
    mean, rmse, alpha = run.metrics["dummy_rmse"], run.metrics["rmse"], float(run.params["alpha"])
    wines = pd.DataFrame(table["wines"]).rename(index=float).rename(index=int).sort_index()
    poster, on = plt.subplot_mosaic("123;456", figsize=(16.5, 11.7), layout="tight")
    poster.suptitle(f"From a table to models:/{champion.name}@champion\n", size=36, color=red)
    poster.supxlabel(f"@champion is version {number}. {champion.description}", size=22, color=red)
    wines.plot.bar(ax=on["1"], stacked=True, rot=0, color=["silver", "grey"], xlabel="quality")
    on["1"].set(title=f"❶ {wines.sum().sum():g} wines ➜", ylabel="wines")
    on["2"].set_xscale("symlog", linthresh=0.01)
    for panel, dots, x in ((on["2"], runs, alpha), (on["4"], pd.Series(versions), number)):
        panel.axhspan(gate, mean, color="#fdf0d5", label="refused")
        panel.axhline(gate, color="#c98b00", linewidth=4)
        panel.scatter(dots.index, dots, s=150, color="silver", edgecolors="grey")
        panel.scatter(x, rmse, s=400, color=red)
        panel.text(x, rmse, "\n@champion", color=red, ha="center", va="top")
        panel.legend(loc="upper left")
        panel.set(yticks=[gate, mean], yticklabels=[f"gate\n{gate:g}", f"mean\n{mean:.3f}"])
    on["2"].set(title=f"❷ {len(runs)} runs ➜", xlabel="alpha", ylabel="RMSE", xlim=(-0.005, None))
    on["2"].set(xticks=[0, 0.01, 0.1, 1], xticklabels=[0, 0.01, 0.1, 1])
    on["4"].set(title=f"❹ {len(versions)} versions ➜", xlabel="version", ylabel="RMSE")
    on["4"].set(xticks=range(1, max(versions) + 1, len(versions) // 12 + 1), xmargin=0.1)
    scores = pd.Series(run.metrics)[["dummy_rmse", "rmse", "dummy_mae", "mae", "dummy_r2", "r2"]]
    bars = on["3"].bar([-0.5, 0.5, 2.5, 3.5, 5.5, 6.5], scores, 1, color=["silver", red])
    on["3"].bar_label(bars, fmt="%.3f")
    on["3"].set(title="❸ The mean, and ours ➜", xticks=[0, 3, 6], xticklabels=["RMSE", "MAE", "R²"])
    plot_predictions_vs_targets(on["5"], service["judged"], service["python"], table["mean"])
    on["5"].set(title="❺ What the service answers ➜")
    words = [f"{len(service[name])} answers to {name}" for name in ("python", "curl")]
    for name in ("malformed", "no alcohol"):
        words += [f"{name}: {service[name][0]}, {service[name][1].split('Error: ')[-1]:.60}"]
    on["6"].text(0.05, 0.95, "\n\n".join(pd.Series(words).str.wrap(31)), size=17, va="top")
    on["6"].set(title=f"❻ Served: at most {service['difference']:.1g} off", xticks=[], yticks=[])
    return poster

# %% poster
#: read the store, draw the poster with the function above, as `poster`,
#: and save it in the folder output as poster.png and poster.pdf, with
#: 200 dots an inch. Log both files on the champion's run, in "poster".
#: hint: `**` hands each entry of a dictionary over as the argument of that name. A figure has
#: `savefig`, which takes a file and `dpi=`. `client.log_artifact` takes a run's id, a file, and a
#: folder.
#: hint: Draw it once, and save and log it in a loop:
#:     poster = draw_poster(**read_store(client))
#:     for kind in ("png", "pdf"):
#:         poster.savefig(output / f"poster.{kind}", dpi=200)
#:         client.log_artifact(champion.run_id, output / f"poster.{kind}", "poster")
poster = draw_poster(**read_store(client))
for kind in ("png", "pdf"):
    poster.savefig(output / f"poster.{kind}", dpi=200)
    client.log_artifact(champion.run_id, output / f"poster.{kind}", "poster")
print("The poster is in the folder output, and on the champion's run.")
