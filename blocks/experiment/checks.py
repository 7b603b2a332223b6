"""The experiment is there, and is the active one."""

from winelab.checks.authoring import before, catches, put, swap
from winelab.checks.looking import active_experiment_id


@catches(
    "the experiment had been deleted, and its name stays taken",
    before(
        "import mlflow\n"
        'gone = mlflow.MlflowClient().create_experiment("wine-quality")\n'
        "mlflow.MlflowClient().delete_experiment(gone)"
    ),
    hint="its name stays taken",
    error="Cannot set a deleted experiment",
)
@catches(
    "the name was misspelt",
    swap("experiment", '"wine-quality"', '"wine quality"'),
    hint='no experiment "wine-quality"',
)
@catches(
    "what print answers was kept",
    put("experiment", 'experiment = print(mlflow.set_experiment("wine-quality"))'),
    hint="`experiment` is empty",
)
def test_the_experiment_is_in_the_store(experiment, namespace):
    'the experiment "wine-quality" is in the store, and active'
    # An experiment of an earlier session is no answer to this block: this notebook must ask.
    mine = namespace["experiment"]
    assert mine is not None, (
        "`experiment` is empty: keep what mlflow.set_experiment answers, not what print does."
    )
    name = getattr(mine, "name", mine)
    assert name == experiment.name, (
        f'your experiment is called "{name}": the course looks for "{experiment.name}", with '
        "a hyphen and in small letters."
    )


@catches(
    "the experiment was created, but not made active",
    put(
        "experiment",
        'mlflow.create_experiment("wine-quality")\n'
        'experiment = mlflow.get_experiment_by_name("wine-quality")',
    ),
    hint="another experiment is the active one",
)
def test_its_runs_will_go_there(experiment, namespace):
    "the next run of this notebook will go there"
    assert active_experiment_id() == experiment.experiment_id, (
        "another experiment is the active one: call "
        f'mlflow.set_experiment("{experiment.name}"), which creates it and makes it active.'
    )


@catches(
    "only the name was kept",
    put("experiment", 'experiment = "wine-quality"\nmlflow.set_experiment(experiment)'),
    hint="`experiment` holds a text",
)
def test_its_id_is_known(experiment, namespace):
    "its name and id can be read from the variable experiment"
    mine = namespace["experiment"]
    assert not isinstance(mine, str), (
        "`experiment` holds a text: write experiment = mlflow.set_experiment(...), the call "
        "answers with the experiment itself."
    )
    assert getattr(mine, "experiment_id", None) == experiment.experiment_id, (
        "`experiment` is not the experiment of the store: keep what mlflow.set_experiment answers."
    )
