# %% set-tags
#: inside the run, set two tags: "family" is "linear", and "table" is
#: the name of the file that was read, without its folders.
#: hint: `mlflow.set_tags` takes a dictionary, as `log_params` does. A path has an attribute for
#: its last part.
#: hint: `mlflow.set_tags({"family": "linear", "table": data_file.name})`
mlflow.set_tags({"family": "linear", "table": data_file.name})

# %% search
#: search the experiment for the newest run whose tag "family" is
#: "linear". Keep the table with this one run as `found`. Print the run's
#: name, its two tags and its rmse.
#: hint: `mlflow.search_runs` returns a table, the newest run first. `filter_string` says which
#: runs, `max_results` how many. In a filter the tag is `tags.family`, and its value needs quotes.
#: hint: `found = mlflow.search_runs(filter_string="tags.family = 'linear'", max_results=1)`.
#: Columns are called `"tags.family"` or `"metrics.rmse"`; the run's name is in
#: `"tags.mlflow.runName"`.
found = mlflow.search_runs(filter_string="tags.family = 'linear'", max_results=1)
print(found[["tags.mlflow.runName", "tags.family", "tags.table", "metrics.rmse"]])
