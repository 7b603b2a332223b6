# %% set-tags
#: inside the run, set two tags: "family" is "linear", and "table" is
#: the name of the file that was read, without its folders.
#: hint: `mlflow.set_tags` takes a dictionary, as `log_params` does. A path has an attribute for
#: its last part.
#: hint: `mlflow.set_tags({"family": "linear", "table": data_file.name})`
mlflow.set_tags({"family": "linear", "table": data_file.name})

# %% search
#: search the experiment for all runs whose tag "family" is "linear".
#: Keep the table as `found`. Print the runs' names, their two tags and
#: their rmse.
#: hint: `mlflow.search_runs` returns a table, the newest run first, and `filter_string` says which
#: runs. In a filter the tag is `tags.family`, and its value needs quotes.
#: hint: `found = mlflow.search_runs(filter_string="tags.family = 'linear'")`. Columns are called
#: `"tags.family"` or `"metrics.rmse"`; the run's name is in `"tags.mlflow.runName"`.
found = mlflow.search_runs(filter_string="tags.family = 'linear'")
print(found[["tags.mlflow.runName", "tags.family", "tags.table", "metrics.rmse"]])
