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
