"""Predict the quality of the new wines by the newest version of this environment.

python -m wineops.predict --env test
"""

import mlflow

from wineops import settings
from wineops.process_data import write
from wineops.wines import read_table

NEW_WINES = "new-red-wines.csv"


def newest_version(client):
    """The newest version that this environment has registered."""
    found = client.search_model_versions(
        f"name='{settings.registered_name}' and tags.environment = '{settings.environment}'"
    )
    if not found:
        again = f"run `python -m wineops.train_register --env {settings.environment}` first."
        raise SystemExit(f"There is no version of this environment: {again}")
    return max(found, key=lambda version: int(version.version))


def predict(version, wines):
    """The wines with the predictions of a version, and its number."""
    model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    predictions = model.predict(wines.drop(columns="quality"))
    return wines.assign(prediction=predictions, version=int(version.version))


def save(predictions):
    """Write the predictions beside the other tables of the pipeline."""
    write(predictions, "predictions")


def main():
    """Find the version, predict and write."""
    settings.use_from_command_line(__doc__)
    version = newest_version(settings.open_store())
    predictions = predict(version, read_table(NEW_WINES))
    save(predictions)
    mean = predictions["prediction"].mean()
    print(f"{len(predictions)} wines, by version {version.version}: {mean:.2f} on average")


if __name__ == "__main__":
    main()
