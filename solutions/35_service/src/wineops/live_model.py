"""The model in use: loaded, and replaced when the alias in the registry has moved."""

import threading
from collections import namedtuple
from datetime import UTC, datetime
from functools import cache, partial

import mlflow
from mlflow import MlflowException

from wineops import settings
from wineops.schema import ALIAS, COLUMNS, EXAMPLE, Wine, table_of

SECONDS = 2  # between two looks at the registry

Loaded = namedtuple("Loaded", "version since predict")  # predict: from a table to the qualities


@cache
def registry():
    """Open the store, once it's there."""
    return settings.open_store()


def find_version():
    """Ask the registry which version has the alias; None if no version has it."""
    version = registry().get_registered_model(settings.registered_name).aliases.get(ALIAS)
    return None if version is None else str(version)


def load_version(version):
    """Load one version and try it, so that the first request doesn't wait and doesn't fail."""
    model = mlflow.pyfunc.load_model(f"models:/{settings.registered_name}/{version}")
    names = model.metadata.get_input_schema().input_names()
    if names != list(COLUMNS):
        raise ValueError(f"version {version} takes {names}, and the service sends {[*COLUMNS]}")
    try:
        # Past MLflow's check of each table: it takes 1 ms, and Wine is one too.
        predict = partial(model.unwrap_python_model().predict, None)
    except MlflowException:  # of another flavor, with no Python model inside
        predict = model.predict
    predict(table_of([Wine(**EXAMPLE)]))
    return Loaded(version, datetime.now(UTC), predict)


class LiveModel:
    """The model in use, as `loaded`, or None; and what is wrong, as `problem`."""

    def __init__(self, find=find_version, load=load_version):
        self.find = find
        self.load = load
        self.loaded = None
        self.problem = "The champion is being loaded."
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def look(self):
        """Ask the registry once. If the alias has moved, load the new version, then swap."""
        try:
            version = self.find()
            if version is None:
                self.loaded = None
                self.problem = f"No version has the alias {ALIAS}."
                return
            if self.loaded is None or self.loaded.version != version:
                self.loaded = self.load(version)
            self.problem = ""
        except Exception as error:
            self.problem = f"The champion can't be brought up to date: {error}"

    def watch(self):
        """Look again and again, until the service stops."""
        while True:
            self.look()
            if self.stopping.wait(SECONDS):
                return

    def start(self):
        """Begin to watch, in a thread of its own."""
        self.thread.start()

    def stop(self):
        """Watch no more."""
        self.stopping.set()
        self.thread.join(timeout=5)
