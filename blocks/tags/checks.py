"""The run carries two tags, and a search finds it by one of them."""

from pathlib import Path

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, swap, twice
from winelab.checks.comparing import expect_tags, plural
from winelab.checks.looking import found_ids

TAGS = '{"family": "linear", "table": data_file.name}'
SET = f"mlflow.set_tags({TAGS})"
FILTER = "filter_string=\"tags.family = 'linear'\""


@catches("the tags were logged as params")
@swap("set-tags", "set_tags", "log_params")
@hint("it is there as a param")
@error("None of [Index(")
@catches("the tags were set above the `with`, which opens a run by itself")
@remove("set-tags")
@swap("run", "with mlflow.start", f"{SET}\nwith mlflow.start")
@hint("Call mlflow.end_run() once")
@error("is already active")
@catches("the whole path became the tag, as a text, without a word")
@swap("set-tags", "data_file.name", "data_file")
@hint("the path with its folders")
@catches("the tag has a name with MLflow's prefix")
@swap("set-tags", '"family"', '"mlflow.family"')
@hint("family is not on the run as a tag")
@error("None of [Index(")
@catches("the tags were set one after the other, the first one in other letters")
@swap("set-tags", SET, 'mlflow.set_tag("Family", "linear")\n' + SET.replace("family", "kind"))
@hint('"Family" is: mind the spelling')
@error("None of [Index(")
@catches("the name of the table was written without its ending")
@swap("set-tags", ".name", ".stem")
@hint('table is "red-wine-quality", the file is "red-wine-quality.csv"')
def test_the_tags_are_on_the_run(run, namespace):
    "the run has the tags family and table"
    file = Path(namespace["data_file"])
    assert run.data.tags.get("table") != str(file) or str(file) == file.name, (
        "the tag table is the path with its folders, which differs from machine to machine: use "
        "`data_file.name`."
    )
    expect_tags(
        run,
        {"family": "linear", "table": file.name},
        missing=f"Inside the `with`, call `{SET}`.",
        wrong=f"Call `{SET}`.",
        source="the file is" if run.data.tags.get("family") == "linear" else "the task says",
    )


@catches("the filter's value has no quotes of its own")
@swap("search", "'linear'", "linear")
@hint("its value has quotes of its own")
@error("Parameter value is either not quoted or unidentified quote types")
@catches("the filter does not say that family is a tag")
@swap("search", "tags.family =", "family =")
@hint("the tag is `tags.family`")
@error("Invalid attribute key 'family' specified")
@catches("the filter's value is written with a capital letter")
@swap("search", "'linear'", "'Linear'")
@hint("letter by letter")
@error("None of [Index(")
@catches("the filter was left out, and an older run has no tag")
@swap("run", "with mlflow", "with mlflow.start_run():\n    pass\nwith mlflow")
@swap("search", FILTER, "")
@hint("1 run without the tag family")
@catches("one run only, of the two that have the tag")
@swap("search", FILTER, f"{FILTER}, max_results=1")
@twice("train")
@hint("`found` has 1 of the 2 runs with the tag")
@catches("only the metrics of the runs were kept")
@swap("search", "'linear'\")", "'linear'\")[['metrics.rmse']]")
@hint("keep what `mlflow.search_runs` returns")
@error("not in index")
@catches("a new training, and the search not run again")
@after(f"with mlflow.start_run():\n    {SET}")
@hint("was made before your newest run")
def test_the_search_finds_the_runs_with_the_tag(run, client, namespace):
    "`found` has the runs with the tag family, your newest run among them"
    advice = (
        'In the cell "5. Look at the result", call `mlflow.search_runs` with a filter: in it the '
        "tag is `tags.family`, and its value has quotes of its own."
    )
    found = found_ids(namespace, "found", advice)
    assert found, "`found` is empty: compare the filter with the tag on the run, letter by letter."
    tagged = client.search_runs([run.info.experiment_id], "tags.family = 'linear'")
    ids = {one.info.run_id for one in tagged}
    assert run.info.run_id in found or run.info.run_id not in ids, (
        "`found` was made before your newest run, or in another experiment: run the cell "
        '"5. Look at the result" again.'
    )
    others = plural(len(set(found) - ids), "run")
    assert set(found) <= ids, (
        f"`found` has {others} without the tag family, or with another value: search with "
        f"`{FILTER}`, in the active experiment."
    )
    assert len(found) == len(ids), (
        f"`found` has {len(found)} of the {len(ids)} runs with the tag: search for all of them, "
        "without `max_results` and without a second condition."
    )


BY_CLIENT = (
    "client, open_run = mlflow.MlflowClient(), mlflow.active_run().info\n"
    'client.set_tag(open_run.run_id, "family", "linear")\n'
    'client.set_tag(open_run.run_id, "table", data_file.name)'
)
EACH = 'mlflow.set_tag("family", "linear")\nmlflow.set_tag("table", data_file.name)'

RIGHT_WAYS = (
    right(
        "a client sets the tags and searches, and returns a list",
        put("set-tags", BY_CLIENT),
        put("search", f"found = client.search_runs([open_run.experiment_id], {FILTER})"),
    ),
    right(
        "the tags are set when the run starts",
        remove("set-tags"),
        swap("run", 'elasticnet"', f'elasticnet", tags={TAGS}'),
    ),
    right(
        "each tag is set by a call of its own; the experiment is named, and the order is another",
        put("set-tags", EACH),
        swap(
            "search",
            FILTER,
            f"{FILTER}, experiment_names=['wine-linear'], order_by=['metrics.rmse']",
        ),
        twice("train"),
    ),
    right(
        "the filter has two conditions, of which both fit each run",
        swap("search", "= 'linear'", "LIKE 'lin%' and tags.table = 'red-wine-quality.csv'"),
    ),
)
