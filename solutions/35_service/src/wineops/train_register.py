"""Train a model on the table of process_data, evaluate it, and register it.

python -m wineops.train_register --env test
"""

from importlib import metadata

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import ElasticNet
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wineops import settings
from wineops.process_data import digest, read_tables


def train(wines):
    """Fit the model of this environment."""
    elastic_net = ElasticNet(alpha=settings.alpha, l1_ratio=settings.l1_ratio, random_state=42)
    model = make_pipeline(StandardScaler(), elastic_net)
    return model.fit(wines.drop(columns="quality"), wines["quality"])


def coefficients(model):
    """All that a model has learned, a row a measurement: equal tables are equal models."""
    scaler, elastic_net = model[0], model[-1]
    return pd.DataFrame(
        {
            "measurement": model.feature_names_in_,
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "coefficient": elastic_net.coef_,
            "intercept": elastic_net.intercept_,
        }
    )


def log(model, tables):
    """Log a model in a run of its own, with its settings, its tables and its RMSE."""
    X_test, y_test = tables["test"].drop(columns="quality"), tables["test"]["quality"]
    predictions = model.predict(X_test)
    signature = infer_signature(X_test, predictions)
    requirements = [f"{name}=={metadata.version(name)}" for name in ("scikit-learn", "skops")]
    with mlflow.start_run(run_name="pipeline"):
        mlflow.set_tag("environment", settings.environment)
        mlflow.log_params({"alpha": settings.alpha, "l1_ratio": settings.l1_ratio})
        for name, table in tables.items():
            mlflow.set_tag(f"{name}_digest", digest(table))
            dataset = mlflow.data.from_pandas(table, name=f"pipeline-{name}", targets="quality")
            mlflow.log_input(dataset, context=name)
        mlflow.set_tag("model_digest", digest(coefficients(model)))
        mlflow.log_metric("rmse", root_mean_squared_error(y_test, predictions))
        return mlflow.sklearn.log_model(
            model, name="model", signature=signature, pip_requirements=requirements
        )


def register(client, model_info):
    """Register a logged model; its version says which environment, tables and model it is."""
    run = client.get_run(model_info.run_id)
    names = ("environment", "train_digest", "test_digest", "model_digest")
    tags = {name: run.data.tags[name] for name in names}
    tags["rmse"] = str(run.data.metrics["rmse"])
    return mlflow.register_model(model_info.model_uri, settings.registered_name, tags=tags)


def main():
    """Read the tables, train, log and register."""
    settings.use_from_command_line(__doc__)
    tables = read_tables()
    client = settings.open_store()
    model = train(tables["train"])
    version = register(client, log(model, tables))
    rmse = float(version.tags["rmse"])
    print(f"version {version.version} in {settings.environment}, rmse {rmse:.3f}")
    print("training table", version.tags["train_digest"])
    print("model         ", version.tags["model_digest"])


if __name__ == "__main__":
    main()
