# %% set-tags
#: inside the run, set two tags: "family" is "linear", and
#: "table" is the name of the file that was read.
#: hint: `mlflow.set_tags` takes a dictionary, as `log_params` does. A path knows its own name.
#: hint: `mlflow.set_tags({"family": "linear", "table": data_file.name})`
mlflow.set_tags({"family": "linear", "table": data_file.name})

# %% search
#: search the experiment for the newest run whose tag family is linear.
#: Keep the table with this one run as `found`, and print its name, its
#: two tags and its rmse.
#: hint: `mlflow.search_runs` gives a table, the newest run first; `filter_string` says which runs,
#: `max_results` how many. In a filter, a tag is `tags.family` and a value stands in quotes.
#: hint: `found = mlflow.search_runs(filter_string="tags.family = 'linear'", max_results=1)`; a
#: column of the table is called `"tags.family"` or `"metrics.rmse"`, and the name is
#: `"tags.mlflow.runName"`.
found = mlflow.search_runs(filter_string="tags.family = 'linear'", max_results=1)
print(found[["tags.mlflow.runName", "tags.family", "tags.table", "metrics.rmse"]])
