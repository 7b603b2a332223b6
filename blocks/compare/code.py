# %% readme-install (given)
```sh
pip install -e .      # in the environment that has MLflow
python -m pytest      # the package's own tests
```

# %% readme-block (given)
This is the package after the block `compare` of Wine Lab, built from `blocks/compare/code.py` and those before it.

# %% readme-compare (given)
## Compare families of models

```sh
python -m wineops.compare
```

It trains each family once and evaluates it on two test tables: on all test wines, and on those that the training
table doesn't have. Each evaluation is a run. The ranked table has the RMSE and the lead over the champion's family, both
with a 95 % interval.

# %% folder (given)
import os
import subprocess
import sys
from pathlib import Path

package = Path.cwd().parent / "output" / "package"
for folder in ("src/wineops", "tests"):
    (package / folder).mkdir(parents=True, exist_ok=True)


def run(*command):
    """Run `python -m ...` in the package's folder, as you would in a terminal there."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package / "src"), "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    print(done.stdout, end="")
    return done.returncode

# %% readme (given)
# wineops: the wine model, operated

Programs for a team that has a wine model in MLflow's registry.

# %% readme-end (given)
## Where things are

| variable | what it names | without it |
| --- | --- | --- |
| `MLFLOW_TRACKING_URI` | MLflow's store, or a tracking server | `mlflow.db`, two folders above this one |
| `WINEOPS_DATA` | the folder with the wine tables | `data`, two folders above this one |
| `WINEOPS_OUTPUT` | the folder for what the programs write | `output`, two folders above this one |

# %% pyproject (given)
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "wineops"
version = "0.1.0"
description = "The wine model, operated: compared, released, applied and served."
requires-python = ">=3.11"
dependencies = [
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
    "scikit-learn",
    "skops",

# %% pyproject-end (given)
]

[tool.hatch.build.targets.wheel]
packages = ["src/wineops"]

[tool.pytest.ini_options]
pythonpath = ["src"]
testpaths = ["tests"]

# %% init (given)
"""The wine model, operated: compared, released, applied and served."""

# %% settings (given)
"""Where the package finds its tables and its store, and the names it uses there."""

import os
from pathlib import Path

import mlflow

home = Path(__file__).resolve().parents[2]  # the folder with pyproject.toml
course = home.parents[1]  # the folder with data/ and mlflow.db

data_folder = Path(os.environ.get("WINEOPS_DATA", course / "data"))
output = Path(os.environ.get("WINEOPS_OUTPUT", course / "output"))
experiment = "wine-quality"
registered_name = "wine-quality-elasticnet"


def open_store():
    """Open the store that the environment names, or the course's; return a client of it."""
    store = (course / "mlflow.db").as_posix()
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))
    mlflow.set_experiment(experiment)
    output.mkdir(exist_ok=True)
    return mlflow.MlflowClient()

# %% wines (given)
"""The wine tables: read them, split them, and tell new wines from known ones."""

import pandas as pd
from sklearn.model_selection import train_test_split

from wineops import settings


def read_table(name="red-wine-quality.csv"):
    """Read a table of the data folder: eleven measurements and the quality, as floats."""
    path = settings.data_folder / name
    if not path.is_file():
        raise SystemExit(f"There is no table at {path}: name its folder in WINEOPS_DATA.")
    return pd.read_csv(path, sep=";").astype("float64")


def split(wines):
    """Split a table as in the whole course: three quarters of the rows train, the rest test."""
    return train_test_split(wines, test_size=0.25, random_state=42)

# %% only-new
#: write only_new(test, train): it returns the test rows whose values
#: stand neither in the training table nor in a test row further up.
#: hint: You know a call that finds repeated rows. It looks at one table, and you have two:
#: put one below the other. Which of the two comes first?
#: hint: `repeated = pd.concat([train, test]).duplicated()[len(train):]`, then
#: `return test[~repeated]`. (`duplicated` marks each row that stands further up, too.)
def only_new(test, train):
    """Keep the test rows that stand neither in the training table nor further up in the test."""
    repeated = pd.concat([train, test]).duplicated()[len(train) :]
    return test[~repeated]

# %% families-begin (given)
"""The families of models that the team compares."""

from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import ElasticNet
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR


def make_families():
    """One model of each family, not fitted yet, by name. The champion's family comes first."""
    return {
        "elasticnet": make_pipeline(
            StandardScaler(), ElasticNet(alpha=0.01, l1_ratio=0.3, random_state=42)
        ),

# %% families
#: add the families "svr", "forest" (200 trees) and "boosting",
#: as the imports name them. One of them looks at distances: give
#: it a scaler. Two of them draw random numbers: set their seed.
#: hint: A tree asks "is alcohol above 10.4?", which is the same question in any unit. A support vector
#: machine adds up differences of all measurements, and sulfur dioxide's are in the dozens.
#: hint: `"svr": make_pipeline(StandardScaler(), SVR()),`, then `"forest":
#: RandomForestRegressor(n_estimators=200, random_state=42),` and `"boosting":
#: GradientBoostingRegressor(random_state=42),`
        "svr": make_pipeline(StandardScaler(), SVR()),
        "forest": RandomForestRegressor(n_estimators=200, random_state=42),
        "boosting": GradientBoostingRegressor(random_state=42),

# %% families-end (given)
    }

# %% compare-imports (given)
"""Compare four families of models, on all test wines and on the new ones among them.

python -m wineops.compare
"""

from importlib import metadata

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd

from wineops import settings
from wineops.families import make_families
from wineops.wines import only_new, read_table, split

REFERENCE = "elasticnet"  # the champion's family
TRUSTED = ["sklearn.tree._tree.Tree"]  # our own trees: skops asks before it loads any
METRICS = ["rmse", "rmse_lower", "rmse_upper", "lead", "lead_lower", "lead_upper"]

# %% measure-begin (given)
def rmse(errors):
    """The root mean squared error, along the last axis."""
    return np.sqrt((errors**2).mean(axis=-1))


def measure(errors, reference_errors):
    """The RMSE of a model and its lead over the reference, each with a 95 % interval.

    Both arrays hold one error for each wine, in the same order. The intervals come from 2000
    bootstrap samples of the wines. A lead is the reference's RMSE minus the model's.
    """
    samples = np.random.default_rng(42).integers(0, len(errors), (2000, len(errors)))
    resampled = rmse(errors[samples])

# %% leads
#: compute the lead in each of the 2000 samples, as `leads`: how much
#: larger is the reference's RMSE than the model's, on the same wines?
#: hint: `errors[samples]` are the model's errors on the wines of each sample. Take the reference's
#: errors on exactly these wines, too.
#: hint: `leads = rmse(reference_errors[samples]) - resampled`
leads = rmse(reference_errors[samples]) - resampled

# %% measure-end (given)
lower, upper = np.quantile(resampled, [0.025, 0.975])
lead_lower, lead_upper = np.quantile(leads, [0.025, 0.975])
lead = rmse(reference_errors) - rmse(errors)
values = (rmse(errors), lower, upper, lead, lead_lower, lead_upper)
return dict(zip(METRICS, values, strict=True))

# %% train-families (given)
def train(families, wines):
    """Fit and log each family in the run that is open; return the models' ids by name."""
    X_train, y_train = wines.drop(columns="quality"), wines["quality"]
    requirements = [f"{name}=={metadata.version(name)}" for name in ("scikit-learn", "skops")]
    model_ids = {}
    for family, model in families.items():
        model.fit(X_train, y_train)
        logged = mlflow.sklearn.log_model(
            model,
            name=family,
            input_example=X_train.head(5),
            pip_requirements=requirements,
            skops_trusted_types=TRUSTED,
        )
        model_ids[family] = logged.model_id
    return model_ids

# %% evaluate-families (given)
def evaluate(families, model_ids, test_name, test):
    """Evaluate each family on a test table, in a run of its own below the one that is open."""
    dataset = mlflow.data.from_pandas(test, name=test_name, targets="quality")
    X_test, y_test = test.drop(columns="quality"), test["quality"].to_numpy()
    errors = {family: model.predict(X_test) - y_test for family, model in families.items()}
    for family in families:
        tags = {"family": family, "test": test_name}
        with mlflow.start_run(run_name=f"{family}, {test_name}", nested=True, tags=tags):
            mlflow.log_input(dataset, context="test")
            metrics = measure(errors[family], errors[REFERENCE])
            mlflow.log_metrics(metrics, model_id=model_ids[family], dataset=dataset)

# %% find-runs (given)
def find_runs(client, filter_string, order_by, page_size=5):
    """All runs of the experiment that a filter finds, in order."""
    experiment = client.get_experiment_by_name(settings.experiment)
    found = client.search_runs(
        [experiment.experiment_id], filter_string, order_by=order_by, max_results=page_size
    )
    return found

# %% find-runs
#: this returns the first page only, at most five runs. Ask for the
#: next page, by the token of the last one, until there is no token.
#: hint: What `client.search_runs` returns is a list with one thing more: `.token`. Give it to the next
#: search as `page_token=`. After the last page it's None.
#: hint: Start with `found, token = [], None`. In a `while True:` loop search with `page_token=token`, add
#: the page to `found`, set `token = page.token`, and return `found` if there is no token.
def find_runs(client, filter_string, order_by, page_size=5):
    """All runs of the experiment that a filter finds, in order, page after page."""
    experiment = client.get_experiment_by_name(settings.experiment)
    found, token = [], None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            filter_string,
            order_by=order_by,
            max_results=page_size,
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            return found

# %% rank-begin (given)
def rank(client, parent_id):
    """The evaluations below a run as one table, the lowest RMSE first."""

# %% rank
#: find the evaluations below the run `parent_id`, the lowest RMSE
#: first, as `runs`. A run below another one has that one's id as
#: its tag mlflow.parentRunId.
#: hint: In a filter, a tag is `tags.` and its name, and a text stands in single quotes. An order names a
#: metric and ASC or DESC.
#: hint: `runs = find_runs(client, f"tags.mlflow.parentRunId = '{parent_id}'", ["metrics.rmse ASC"])`
runs = find_runs(client, f"tags.mlflow.parentRunId = '{parent_id}'", ["metrics.rmse ASC"])

# %% rank-table (given)
table = pd.DataFrame([{**run.data.tags, **run.data.metrics} for run in runs])
return table[["test", "family", *METRICS]]

# %% best-model-begin (given)
def best_model(parent_id, test_name):
    """The logged model of a run with the lowest RMSE on one dataset."""
    experiment = mlflow.get_experiment_by_name(settings.experiment)

# %% best-model
#: find the model of the run `parent_id` with the lowest RMSE on the
#: dataset `test_name`, as the list `found` of that one model.
#: hint: `mlflow.search_logged_models` filters by `source_run_id`. Its order is a list of dictionaries: each
#: names a field, "metrics.rmse", whether it is ascending, and the dataset that the metric must be of.
#: hint: The filter is `f"source_run_id = '{parent_id}'"`, the order is `[{"field_name": "metrics.rmse",
#: "dataset_name": test_name, "ascending": True}]`. Add `max_results=1` and `output_format="list"`.
found = mlflow.search_logged_models(
    [experiment.experiment_id],
    filter_string=f"source_run_id = '{parent_id}'",
    order_by=[{"field_name": "metrics.rmse", "dataset_name": test_name, "ascending": True}],
    max_results=1,
    output_format="list",
)

# %% best-model-end (given)
return found[0]

# %% real-leads
#: write real_leads(table): the names of the families whose lead over
#: the reference is real, as a list. First decide which of the two test
#: tables may answer that, and what an interval must look like.
#: hint: Which test table asks about wines that the models don't know yet? And can a lead be real if its
#: interval has 0 in it?
#: hint: `real = table[(table["test"] == "new-test-wines") & (table["lead_lower"] > 0)]`, then
#: `return list(real["family"])`
def real_leads(table):
    """The families with a lower RMSE than the reference on new wines, beyond chance."""
    real = table[(table["test"] == "new-test-wines") & (table["lead_lower"] > 0)]
    return list(real["family"])

# %% draw (given)
def draw(table):
    """Each lead with its interval, a panel for each test table; grey where it may be chance."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 3.2), sharex=True, layout="tight")
    for axes, (test_name, rows) in zip(panels, table.groupby("test"), strict=True):
        rows = rows[rows["family"] != REFERENCE].sort_values("family")
        colors = np.where(rows["lead_lower"] > 0, "#7b1e3a", "grey")
        axes.hlines(rows["family"], rows["lead_lower"], rows["lead_upper"], colors, linewidth=4)
        axes.scatter(rows["lead"], rows["family"], s=80, c=colors, zorder=2)
        axes.axvline(0, color="black", linewidth=1)
        axes.margins(y=0.3)
        axes.set(title=test_name, xlabel=f"lead over {REFERENCE}, in grades")
    return figure

# %% compare-main (given)
def main():
    """Train, evaluate, rank and draw."""
    client = settings.open_store()
    wines, test = split(read_table())
    tests = {"all-test-wines": test, "new-test-wines": only_new(test, wines)}
    families = make_families()

    # 1. Train once, evaluate on both test tables
    with mlflow.start_run(run_name="compare") as parent:
        model_ids = train(families, wines)
        for test_name, rows in tests.items():
            evaluate(families, model_ids, test_name, rows)

    # 2. Read the results back, rank and draw them
    parent_id = parent.info.run_id
    table = rank(client, parent_id)
    print(table.round(3).to_string(index=False))
    draw(table).savefig(settings.output / "comparison.png", dpi=120)
    client.log_artifact(parent_id, settings.output / "comparison.png")
    for test_name, rows in tests.items():
        best = best_model(parent_id, test_name)
        print(f"{test_name}: {len(rows)} wines, the lowest RMSE has {best.name}")

    # 3. Decide
    leads = real_leads(table)
    client.set_tag(parent_id, "real_leads", ", ".join(leads) or "none")
    print("Real leads over", REFERENCE, "on new wines:", ", ".join(leads) or "none")


if __name__ == "__main__":
    main()

# %% test-compare (given)
"""What must hold of a comparison, on made-up numbers."""

import numpy as np
import pandas as pd

from wineops.compare import measure, real_leads
from wineops.families import make_families
from wineops.wines import only_new


def test_a_test_row_is_new_if_it_stands_nowhere_further_up():
    train = pd.DataFrame({"alcohol": [9.0, 10.0], "quality": [5.0, 6.0]})
    test = pd.DataFrame({"alcohol": [10.0, 10.0, 11.0, 11.0], "quality": [6.0, 7.0, 6.0, 6.0]})
    assert list(only_new(test, train).index) == [1, 2]


def test_a_model_that_is_always_a_little_better_has_a_real_lead():
    errors = np.random.default_rng(0).normal(size=300)
    metrics = measure(0.9 * errors, errors)
    assert 0 < metrics["lead_lower"] < metrics["lead"] < metrics["lead_upper"]


def test_a_lead_whose_interval_has_zero_in_it_is_not_real():
    rows = [("new-test-wines", "svr", 0.02, -0.01), ("new-test-wines", "forest", 0.02, 0.01)]
    table = pd.DataFrame(rows, columns=["test", "family", "lead", "lead_lower"])
    assert real_leads(table) == ["forest"]


def test_there_are_four_families():
    assert list(make_families()) == ["elasticnet", "svr", "forest", "boosting"]

# %% run-compare (given)
from IPython.display import Image, display

if run("wineops.compare") == 0:
    display(Image(package.parent / "comparison.png"))

# %% run-tests (given)
run("pytest", "-q", "--no-header", "--color=no")
