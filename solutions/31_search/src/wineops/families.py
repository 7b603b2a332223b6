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
        "svr": make_pipeline(StandardScaler(), SVR()),
        "forest": RandomForestRegressor(n_estimators=200, random_state=42),
        "boosting": GradientBoostingRegressor(random_state=42),
    }
