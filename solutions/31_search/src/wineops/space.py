"""What the search may try: families of models, and the ranges of their settings."""

from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def build(family, **values):
    """The model of a family with these settings, not fitted yet."""
    if family == "elasticnet":
        return make_pipeline(StandardScaler(), ElasticNet(**values, random_state=42))
    return GradientBoostingRegressor(**values, n_estimators=50, random_state=42)


def suggest(trial):
    """Let a trial choose a family and the settings that this family has; build its model."""
    family = trial.suggest_categorical("family", ["elasticnet", "boosting"])
    if family == "elasticnet":
        trial.suggest_float("alpha", 0.001, 1, log=True)
        trial.suggest_float("l1_ratio", 0.1, 1)
    else:
        trial.suggest_float("learning_rate", 0.01, 0.5, log=True)
        trial.suggest_int("max_depth", 1, 3)
        trial.suggest_float("subsample", 0.3, 1)
    return build(**trial.params)


def grid():
    """A plain grid over the same ranges: eight settings of elasticnet, six of boosting."""
    lines = {"family": ["elasticnet"], "alpha": [0.001, 0.01, 0.1, 1], "l1_ratio": [0.1, 0.7]}
    trees = {"family": ["boosting"], "learning_rate": [0.03, 0.1, 0.3], "max_depth": [1, 3]}
    return list(ParameterGrid([lines, trees]))
