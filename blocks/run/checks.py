"""The training is one finished run with a name."""

from winelab.checks.authoring import (
    before,
    catches,
    error,
    given,
    hint,
    put,
    remove,
    right,
    skip,
    skip_all,
    swap,
    twice,
)
from winelab.checks.looking import newest_finished, newest_try

START = 'mlflow.start_run(run_name="elasticnet")'
WITH = f"with {START}:"


@catches("no cell has been run yet", skip_all())
@hint('no experiment "wine-quality"')
@given
def test_the_experiment_is_there(experiment):
    'the experiment "wine-quality" is in the store'


@catches("the training is not in a run")
@remove("run")
@hint("has made no run since it started")
@catches("the brackets of start_run were forgotten")
@put("run", "with mlflow.start_run:")
@hint("has made no run since it started")
@error("context manager")
@catches("the name was given as the id of a run to continue")
@put("run", 'with mlflow.start_run("elasticnet"):')
@hint("with the brackets and `run_name=`")
@error("Run with id=elasticnet not found")
@catches("a cell with a bare start_run() was run twice")
@put("run", START)
@twice("train")
@hint("Call mlflow.end_run() once")
@error("is already active")
@catches("start_run() was never ended")
@put("run", START)
@hint("a run is still open")
@catches("the training inside the run stopped with an error")
@swap("fit", "y_train", "y_tran")
@hint("ended as FAILED")
@error("name 'y_tran' is not defined")
@catches("each line got a run of its own")
@put("run", f"{WITH}\n    pass\n{WITH}")
@hint("the cell made 2 runs")
def test_it_is_one_run(runs):
    "the cell made one run"
    assert runs, (
        "this notebook or script has made no run since it started: put the training into "
        f"`{WITH}`, with the brackets and `run_name=`, and run the cells again."
    )
    newest_finished(runs)
    made = len(newest_try(runs))
    assert made == 1, f"the cell made {made} runs: one `with` around all of the training is enough."


@catches("the cell that sets the experiment was not run")
@skip("store")
@before('import mlflow\nmlflow.MlflowClient().create_experiment("wine-quality")')
@hint('the run went to "Default"')
@catches("the name was given to an experiment")
@put("run", 'mlflow.set_experiment("elasticnet")\nwith mlflow.start_run():')
@hint('the run went to "elasticnet"')
def test_it_is_in_the_experiment(run, experiment, client):
    'the run is in "wine-quality"'
    where = run.info.experiment_id
    assert where == experiment.experiment_id, (
        f'the run went to "{client.get_experiment(where).name}": the cell *MLflow, and where it '
        'writes* sets "wine-quality". Run it first, then the training, with no `set_experiment` '
        "and no `experiment_id` of its own."
    )


@catches("the run has no name")
@put("run", "with mlflow.start_run():")
@hint("MLflow picked that one")
@catches("the name is another one")
@swap("run", '"elasticnet"', '"ElasticNet run"')
@hint('the run is called "ElasticNet run"')
def test_it_has_its_name(run):
    'the run is called "elasticnet"'
    name = run.info.run_name
    # MLflow's own names: two words and a number.
    *words, last = name.split("-")
    picked = " (MLflow picked that one)" if len(words) == 2 and last.isdecimal() else ""
    assert name == "elasticnet", (
        f'the run is called "{name}"{picked}: write `{START}`, and run the cell again.'
    )


CLIENT = (
    "client = mlflow.MlflowClient()\n"
    'mine = client.create_run(experiment.experiment_id, run_name="elasticnet")'
)

RIGHT_WAYS = (
    right(
        "the run is started and ended by hand, whatever happens between, and gets its name later",
        *(remove(section) for section in ("run", "model", "fit")),
        put(
            "predict",
            "mlflow.start_run()\ntry:\n"
            "    model = ElasticNet(alpha=0.5, l1_ratio=0.3).fit(X_train, y_train)\n"
            "    predictions = model.predict(X_test)\n"
            '    mlflow.set_tag("mlflow.runName", "elasticnet")\n'
            "finally:\n    mlflow.end_run()",
        ),
    ),
    right(
        "a client makes the run, and ends it",
        put("run", CLIENT),
        swap("predict", "X_test)", "X_test)\nclient.set_terminated(mine.info.run_id)"),
    ),
    right(
        "the run has a variable, and the cell was run twice",
        swap("run", "):", ") as mine:"),
        twice("train"),
    ),
    right(
        "a run that stood open was ended, and the cells ran again",
        before("import mlflow\nmlflow.start_run()\nmlflow.end_run()"),
    ),
)
