"""The configuration, and the three steps on a few wines in a store that is thrown away."""

import numpy as np
import pandas as pd
import pytest

from wineops import predict, process_data, settings, train_register
from wineops.wines import read_table


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The environment test on 80 made-up wines, with all that it writes in a temporary folder."""
    values = np.random.default_rng(1).normal(5, 1, (80, 12)).round(2)
    table = pd.DataFrame(values, columns=[*"abcdefghijk", "quality"])
    table.to_csv(tmp_path / "red-wine-quality.csv", sep=";", index=False)
    monkeypatch.setenv("WINEOPS_DATA", str(tmp_path))
    monkeypatch.setenv("WINEOPS_OUTPUT", str(tmp_path))
    before = settings.environment
    settings.use("test")
    yield
    monkeypatch.undo()
    settings.use(before)


@pytest.mark.parametrize("name", ["dev", "test", "prod"])
def test_each_environment_is_right(name, monkeypatch):
    monkeypatch.setenv("WINEOPS_PROD_TRACKING_URI", "https://mlflow.example.org")
    assert settings.read(name).alpha > 0


def test_a_wrong_key_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "config_file", tmp_path / "config.yaml")
    settings.config_file.write_text("dev: {alpha: -1, alfa: 1}", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"dev\.alpha is -1"):
        settings.read("dev")


def test_the_order_of_the_file_changes_nothing(small):
    wines = read_table()
    shuffled = wines.sample(frac=1, random_state=1)
    one, other = (process_data.clean(table) for table in (wines, shuffled))
    pd.testing.assert_frame_equal(one, other)


def test_two_runs_give_the_same_model(small):
    with pytest.raises(SystemExit, match="process_data --env test"):
        process_data.read_tables()
    client = settings.open_store()
    with pytest.raises(SystemExit, match="train_register --env test"):
        predict.newest_version(client)
    wines = process_data.clean(read_table())
    process_data.save(process_data.make_tables(wines), len(wines), len(wines))
    digests = set()
    for _ in range(2):
        tables = process_data.read_tables()
        model_info = train_register.log(train_register.train(tables["train"]), tables)
        version = train_register.register(client, model_info)
        digests.add(version.tags["model_digest"])
    assert len(digests) == 1
    assert predict.newest_version(client).version == version.version
