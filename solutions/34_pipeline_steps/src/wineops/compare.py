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
    leads = rmse(reference_errors[samples]) - resampled
    lower, upper = np.quantile(resampled, [0.025, 0.975])
    lead_lower, lead_upper = np.quantile(leads, [0.025, 0.975])
    lead = rmse(reference_errors) - rmse(errors)
    values = (rmse(errors), lower, upper, lead, lead_lower, lead_upper)
    return dict(zip(METRICS, values, strict=True))


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


def rank(client, parent_id):
    """The evaluations below a run as one table, the lowest RMSE first."""
    runs = find_runs(client, f"tags.mlflow.parentRunId = '{parent_id}'", ["metrics.rmse ASC"])
    table = pd.DataFrame([{**run.data.tags, **run.data.metrics} for run in runs])
    return table[["test", "family", *METRICS]]


def best_model(parent_id, test_name):
    """The logged model of a run with the lowest RMSE on one dataset."""
    experiment = mlflow.get_experiment_by_name(settings.experiment)
    found = mlflow.search_logged_models(
        [experiment.experiment_id],
        filter_string=f"source_run_id = '{parent_id}'",
        order_by=[{"field_name": "metrics.rmse", "dataset_name": test_name, "ascending": True}],
        max_results=1,
        output_format="list",
    )
    return found[0]


def real_leads(table):
    """The families with a lower RMSE than the reference on new wines, beyond chance."""
    real = table[(table["test"] == "new-test-wines") & (table["lead_lower"] > 0)]
    return list(real["family"])


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
