"""Let a version challenge the champion, on new wines that neither of them has seen.

python -m wineops.challenge [--version 3]
"""

import argparse

import mlflow

from wineops import settings
from wineops.compare import measure, rmse, train
from wineops.families import make_families
from wineops.wines import only_new, read_table, split

NAME = settings.registered_name


def decide(champion_errors, challenger_errors):
    """The challenger's metrics, and its result: "won", "lost" or "undecided"."""
    metrics = measure(challenger_errors, champion_errors)
    if metrics["lead_lower"] > 0:
        return metrics, "won"
    if metrics["lead_upper"] < 0:
        return metrics, "lost"
    return metrics, "undecided"


def find_challenger(client):
    """The version with the alias challenger; without one, boosting is trained and gets it."""
    aliases = client.get_registered_model(NAME).aliases
    if "challenger" in aliases:
        return aliases["challenger"]
    wines, _ = split(read_table().drop_duplicates())  # those that the champion was trained on
    with mlflow.start_run(run_name="challenger"):
        model_ids = train({"boosting": make_families()["boosting"]}, wines)
    made = mlflow.register_model(f"models:/{model_ids['boosting']}", NAME)
    client.set_registered_model_alias(NAME, "challenger", made.version)
    return made.version


def challenge(client, version):
    """Compare a version with the champion on the new wines; write the result on the version."""
    champion = client.get_registered_model(NAME).aliases.get("champion")
    if champion is None:
        raise SystemExit("There is no champion yet: nobody can be challenged.")
    if str(version) == str(champion):
        raise SystemExit(f"Version {version} is the champion: it can't challenge itself.")

    # 1. The errors of both, wine by wine
    new = only_new(read_table("new-red-wines.csv"), read_table())
    X, y = new.drop(columns="quality"), new["quality"].to_numpy()
    errors = []
    for number in (champion, version):
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/{number}")
        errors.append(model.predict(X) - y)

    # 2. What they say, in a run of its own and on the version
    metrics, result = decide(*errors)
    dataset = mlflow.data.from_pandas(new, name="new-red-wines", targets="quality")
    with mlflow.start_run(run_name="challenge", tags={"result": result}):
        mlflow.log_params({"champion": champion, "challenger": version})
        mlflow.log_input(dataset, context="challenge")
        mlflow.log_metrics({"champion_rmse": rmse(errors[0]), **metrics})
    # The tag also says against whom: a challenge counts for no other champion.
    tag = f"{result} against version {champion}"
    client.set_model_version_tag(NAME, version, "challenge", tag)
    print(f"Version {version}: {tag}, on {len(new)} new wines")
    print(f"champion_rmse {rmse(errors[0]):.3f}", *(f"{k} {v:.3f}" for k, v in metrics.items()))


def main():
    """Challenge the champion with the version that is named, or with the alias challenger."""
    parser = argparse.ArgumentParser(description="Let a version challenge the champion.")
    parser.add_argument("--version", type=int, help="by default the one with the alias challenger")
    version = parser.parse_args().version
    client = settings.open_store()
    challenge(client, version or find_challenger(client))


if __name__ == "__main__":
    main()
