"""The run carries two tags, and a search finds it by one of them."""

from winelab.checks.authoring import after, catches, given, put, remove, skip_all, swap, twice


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "the tags were logged as params",
    swap("set-tags", "set_tags", "log_params"),
    hint="call mlflow.set_tags, not log_params",
    error="None of [Index(",
)
@catches(
    "set_tags stands after the run, which opens another one",
    remove("set-tags"),
    put("show", 'mlflow.set_tags({"family": "linear", "table": data_file.name})'),
    hint="Call mlflow.end_run() once",
    error="['metrics.rmse'] not in index",
)
@catches(
    "the whole path became the tag, as a text, without a word",
    swap("set-tags", "data_file.name", "data_file"),
    hint="the name of the file alone",
)
@catches(
    "another name for the tag than the one asked for",
    swap("set-tags", '"family"', '"mlflow.family"'),
    hint="no tag called family",
    error="None of [Index(",
)
def test_the_tags_are_on_the_run(run, runs, namespace):
    "the run has the tags family and table"
    alone = [r for r in runs if r.info.status == "RUNNING" and "family" in r.data.tags]
    assert not alone, (
        "the tags are on a run of their own, which is still open: set_tags stands outside the "
        "`with`. Call mlflow.end_run(), then indent set_tags so that it stands inside."
    )
    right = {"family": "linear", "table": namespace["data_file"].name}
    for name, value in right.items():
        assert name not in run.data.params, (
            f"{name} is a param of the run, which can never be changed: call mlflow.set_tags, "
            "not log_params."
        )
        assert name in run.data.tags, (
            f"the run has no tag called {name}: inside the `with`, call mlflow.set_tags with a "
            "dictionary of both tags; small and capital letters count."
        )
        found = run.data.tags[name]
        assert not (name == "table" and found == str(namespace["data_file"])), (
            "the tag table is the whole path, which is another one on each machine: use "
            "data_file.name, the name of the file alone."
        )
        assert found == value, f'the tag {name} is "{found}", and should be "{value}".'


@catches(
    "the filter's value has no quotes of its own",
    swap("search", "'linear'", "linear"),
    hint="its value stands in quotes",
    error="Parameter value is either not quoted or unidentified quote types",
)
@catches(
    "the filter does not say that family is a tag",
    swap("search", "tags.family =", "family ="),
    hint="the tag is tags.family",
    error="Invalid attribute key 'family' specified",
)
@catches(
    "the filter's value is written with a capital letter",
    swap("search", "'linear'", "'Linear'"),
    hint="letter by letter",
    error="None of [Index(",
)
@catches(
    "the training was run twice, and all runs with the tag were kept",
    swap("search", ", max_results=1", ""),
    twice("train"),
    hint="max_results=1",
)
def test_the_search_finds_one_run(namespace):
    "`found` is a table with one run"
    found = namespace.get("found")
    assert found is not None, (
        "there is no `found` yet: in the last cell, call mlflow.search_runs with a "
        "filter_string. If it raised an error, read the end of it: in the filter, the tag is "
        "tags.family, and its value stands in quotes of its own."
    )
    assert hasattr(found, "columns"), (
        "`found` is no table: keep what mlflow.search_runs gives, as it is."
    )
    assert len(found), (
        "`found` is empty: the filter fits no run of the experiment. Compare name and value of "
        "the tag in the filter with those on the run, letter by letter."
    )
    assert len(found) == 1, (
        f"`found` has {len(found)} runs, of all your tries: max_results=1 keeps the newest."
    )


@catches(
    "a new training, and the search not run again",
    after(
        "with mlflow.start_run():\n"
        '    mlflow.set_tags({"family": "linear", "table": data_file.name})'
    ),
    hint="run the last cell again",
)
def test_it_is_this_run(namespace, run):
    "the run it found is the newest one of this notebook or script"
    found = namespace.get("found")
    assert found is not None and len(found), "the search has found no run yet."
    assert hasattr(found, "columns") and "run_id" in found.columns, (
        "`found` is no table of runs: keep what mlflow.search_runs gives, as it is."
    )
    assert run.info.run_id in list(found["run_id"]), (
        "`found` is an older run, or one of another experiment: run the last cell again, after "
        "the training, and let the search look into the active experiment."
    )
