"""A service that checks each wine, follows the alias, and says how it is."""

import asyncio
import json
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from winelab.checks.authoring import after, catches, hint, put, right, skip, swap
from winelab.checks.comparing import kind, listed, short
from winelab.checks.looking import REGISTERED
from winelab.checks.scratch import call, package_module

WINE = {
    "fixed acidity": 7.9,
    "volatile acidity": 0.35,
    "citric acid": 0.46,
    "residual sugar": 3.6,
    "chlorides": 0.078,
    "free sulfur dioxide": 15.0,
    "total sulfur dioxide": 37.0,
    "density": 0.9973,
    "pH": 3.35,
    "sulphates": 0.86,
    "alcohol": 12.8,
}
MAY_COME = {"total sulfur dioxide": (6, 271, 350.0), "alcohol": (6, 8.4, 14.7, 16.0)}
MUST_NOT = {"total sulfur dioxide": (-1.0, 9000.0), "alcohol": (0.94, 94.0, -1.0)}
CELL = "1. Start it, ask it, stop it"

# What a made-up registry loads: a model that predicts one quality for each wine.
Loaded = namedtuple("Loaded", "version since predict")
QUALITIES = {"7": 5.25, "8": 6.75}


def _loaded(version):
    """A model that is in use, of this version."""
    import numpy as np

    since = datetime(2026, 11, 3, 8, 30, tzinfo=UTC)
    return Loaded(version, since, lambda table: np.full(len(table), QUALITIES[version]))


def _ask(service, live, method, path, body=None):
    """Ask the student's app, with this live model, for one page; its status, and its JSON.

    Raises what a function of the app raises.
    """
    sent = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"service"), (b"content-type", b"application/json")],
        "server": ("service", 80),
        "client": ("student", 1),
    }
    service.live = live
    # A notebook has an event loop that runs already: this one is in a thread of its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(service.app(scope, receive, send))).result()
    text = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(text or b"null")


def _asked(service, live, method, path, body=None):
    """As `_ask`; where the app stops with an error, what to do about it."""

    name = path.strip("/")
    asked = partial(_ask, service, live, method, path, body)
    asked.__name__ = name
    return call(asked, on_error=f"Look at your lines in `{name}`, in service.py.")


# --- schema.py ----------------------------------------------------------------------------------


@catches("the field has no alias", skip("run-service"))
@swap("schema-sulfur", 'alias="total sulfur dioxide", ', "")
@hint('"total sulfur dioxide" is unknown to Wine')
@catches("the bounds are those of the table", skip("run-service"))
@swap("schema-alcohol", "ge=5, le=20", "ge=8.4, le=14.7")
@hint("alcohol = 6.0 is refused, and may come")
@catches("the upper bound is missing", skip("run-service"))
@swap("schema-alcohol", "ge=5, le=20", "ge=5")
@hint("alcohol = 94.0 is accepted, and is a mistake")
@catches("alcohol may be left out", skip("run-service"))
@swap("schema-alcohol", "Field(ge=5", "Field(10.4, ge=5")
@hint("a wine without alcohol is accepted")
@catches("the two fields stand together at the end", skip("run-service"))
@put("schema-sulfur", "")
@swap(
    "schema-alcohol",
    "alcohol: float",
    'total_sulfur_dioxide: float = Field(alias="total sulfur dioxide", ge=0, le=600)\n'
    "alcohol: float",
)
@hint("order of the table")
def test_wine_takes_what_a_wine_can_be(namespace):
    "Wine has eleven fields, and refuses what no wine can have"
    schema = package_module(namespace, "wineops.schema")
    for name in MAY_COME:
        assert name in schema.COLUMNS, (
            f'"{name}" is unknown to Wine in schema.py. A field whose name has spaces needs '
            'alias="..." with the name as in the table.'
        )
    assert list(schema.COLUMNS) == list(WINE), (
        "the fields of Wine must be in the order of the table, as the model's columns are: write "
        f"each where its TODO stands. Now the order is {listed(schema.COLUMNS)}."
    )

    def refused(wine):
        taken = call(
            schema.Wine.model_validate,
            wine,
            on_error="Look at the fields of Wine.",
            may_raise=ValueError,
        )
        return isinstance(taken, ValueError)

    for name in MAY_COME:
        for value in MAY_COME[name]:
            assert not refused({**WINE, name: float(value)}), (
                f"a wine with {name} = {float(value)} is refused, and may come: the bounds are too "
                "close. The table only shows the wines of one year."
            )
        for value in MUST_NOT[name]:
            assert refused({**WINE, name: value}), (
                f"a wine with {name} = {value} is accepted, and is a mistake: give the field a "
                "lower bound, `ge`, and an upper one, `le`."
            )
        assert refused({one: value for one, value in WINE.items() if one != name}), (
            f"a wine without {name} is accepted: leave out the default value, so that the field is "
            "required."
        )


# --- live_model.py ------------------------------------------------------------------------------


class _Registry:
    """A made-up registry, and what it sees of the student's LiveModel."""

    def __init__(self, namespace):
        self.module = package_module(namespace, "wineops.live_model")
        self.version, self.broken, self.loads, self.meanwhile = "7", "", [], []
        self.live = self.module.LiveModel(self.find, self.load)

    def find(self):
        if self.broken == "find":
            raise ConnectionError("the registry is away")
        return self.version

    def load(self, version):
        self.loads.append(version)
        self.meanwhile.append(self.live.loaded)
        if self.broken == "load":
            raise OSError("a file is missing")
        return _loaded(version)

    def look(self, version="7", broken=""):
        """Let the student's LiveModel look; the version in use then, or None."""
        self.version, self.broken = version, broken
        where = {"find": "if `self.find()` fails", "load": "if `self.load` fails"}.get(broken)
        advice = f"Nothing may leave `look` {where}: the watcher would end. " if where else ""
        call(self.live.look, on_error=f"{advice}Look at your lines in live_model.py.")
        return self.in_use()

    def in_use(self):
        loaded = self.live.loaded
        if loaded is None:
            return None
        assert hasattr(loaded, "version") and hasattr(loaded, "predict"), (
            f"`self.loaded` is {kind(loaded)}: it must hold what `self.load(version)` gives."
        )
        return loaded.version


@catches("the old model goes before the new one is there", skip("run-service"))
@swap(
    "live-look",
    "        self.loaded = self.load(version)",
    "        self.loaded = None\n        self.loaded = self.load(version)",
)
@hint("while version 8 was being loaded, `loaded` was nothing")
@catches("it is loaded at each look", skip("run-service"))
@swap("live-look", "if self.loaded is None or self.loaded.version != version:", "if True:")
@hint("was loaded again, though the alias hadn't moved")
@catches("a model is loaded once, and stays", skip("run-service"))
@swap("live-look", "self.loaded is None or self.loaded.version != version:", "self.loaded is None:")
@hint("the alias has moved to version 8, and `loaded` has version 7")
@catches("the version's number is kept, and not the model", skip("run-service"))
@swap("live-look", "        self.loaded = self.load(version)", "        self.loaded = version")
@hint("must hold what `self.load(version)` gives")
def test_look_follows_the_alias(namespace):
    "look() loads a version once, and swaps when the new one is there"
    registry = _Registry(namespace)
    found = registry.look("7")
    assert registry.loads, "look() has loaded nothing: call `self.load(version)` if none is in use."
    assert found == "7", f"after look() `loaded` has version {short(found)}, and not 7."
    registry.look("7")
    assert registry.loads == ["7"], (
        "version 7 was loaded again, though the alias hadn't moved: load only if "
        "`self.loaded.version != version`."
    )
    found = registry.look("8")
    assert found == "8", f"the alias has moved to version 8, and `loaded` has version {found}."
    old = registry.meanwhile[-1]
    assert old is not None and old.version == "7", (
        f"while version 8 was being loaded, `loaded` was {kind(old)}, and the requests that came "
        "were lost. Give `self.loaded` a new value only once, with the model that has been loaded."
    )
    assert registry.look("7") == "7", "the alias has moved back to version 7: go back to it."
    problem = registry.live.problem
    assert problem == "", f'all is well, and `problem` is {short(problem)}: set it to "".'


@catches("an error ends the watcher", skip("run-service"))
@swap("live-look", "except Exception as error:", "except ZeroDivisionError as error:")
@hint("Nothing may leave `look` if `self.find()` fails")
@catches("a failure takes the model away", skip("run-service"))
@swap(
    "live-look",
    "except Exception as error:",
    "except Exception as error:\n    self.loaded = None",
)
@hint("if `self.find()` fails, `loaded` must stay as it is")
@catches("the problem stays when it is over", skip("run-service"))
@swap("live-look", '    self.problem = ""\n', "")
@hint('set it to "" when all is well')
@catches("a champion that was withdrawn is served", skip("run-service"))
@swap("live-look", "        self.loaded = None\n", "")
@hint("no version has the alias any more")
def test_look_keeps_what_it_has(namespace):
    "look() keeps its model if the registry or a load fails, and says why"
    registry = _Registry(namespace)
    registry.look(broken="find")
    assert registry.look("7") == "7", "look() has loaded nothing: call `self.load(version)`."
    for version, broken in (("7", "find"), ("8", "load"), ("8", "find")):
        found = registry.look(version, broken)
        failed = "self.find()" if broken == "find" else "self.load(version)"
        assert found == "7", (
            f"if `{failed}` fails, `loaded` must stay as it is, and it is {short(found)}: change "
            "nothing but `self.problem` below `except`."
        )
        assert registry.live.problem, f"`{failed}` has failed: `problem` must say so."
    registry.look("7")
    problem = registry.live.problem
    assert problem == "", f'`problem` is still {short(problem)}: set it to "" when all is well.'
    assert registry.look(None) is None, (
        "no version has the alias any more, so the team has withdrawn the model: set `self.loaded` "
        "to None."
    )
    assert registry.live.problem, "no version has the alias: `problem` must say so."


# --- service.py ---------------------------------------------------------------------------------


@catches("the status is always 200", skip("run-service"))
@swap("service-health", "    response.status_code = 503\n", "")
@hint("without a model GET /health answers 200")
@catches("a problem counts as being down", skip("run-service"))
@swap("service-health", "if loaded is None:", "if loaded is None or live.problem:")
@hint("has a model and a problem, and answers 503")
@catches("since when was left out", skip("run-service"))
@swap("service-health", ", since=loaded.since", "")
@hint('"since"')
def test_health_says_whether_it_can_predict(namespace):
    "GET /health answers 200 if there is a model, 503 if not, with version and problem"
    service = package_module(namespace, "wineops.service")
    away = "The registry is away."
    for loaded, problem in ((None, away), (_loaded("7"), ""), (_loaded("8"), away)):
        live = SimpleNamespace(loaded=loaded, problem=problem)
        status, said = _asked(service, live, "GET", "/health")
        state = "has a model" if loaded else "without a model"
        if loaded and problem:
            assert status != 503, (
                "GET /health has a model and a problem, and answers 503: it can predict, so a load "
                "balancer should send it requests. Ask `loaded is None` alone."
            )
        expected = 200 if loaded else 503
        assert status == expected, (
            f"{state} GET /health answers {status}, not {expected}: set `response.status_code` "
            "before you return."
        )
        assert isinstance(said, dict), f"{state} GET /health returns {kind(said)}, not a Health."
        wanted = {"version": loaded.version if loaded else None, "problem": problem}
        for name, value in wanted.items():
            assert said.get(name) == value, (
                f'{state} "{name}" in GET /health is {short(said.get(name))}, and should be '
                f"{short(value)}."
            )
        assert bool(said.get("since")) == bool(loaded), (
            f'{state} "since" in GET /health is {short(said.get("since"))}: with a model it is '
            "`loaded.since`, and None without."
        )


class _Moving:
    """A live model that is replaced after each look at it."""

    problem = ""

    def __init__(self):
        self.looks = 0

    @property
    def loaded(self):
        self.looks += 1
        return _loaded("7" if self.looks % 2 else "8")


@catches("the model is read again for its version", skip("run-service"))
@swap("service-predict", "version=loaded.version", "version=live.loaded.version")
@hint("was replaced while a request was running")
@catches("nobody asks whether there is a model", skip("run-service"))
@swap("service-predict", "if loaded is None:", "if False:")
@hint("Look at your lines in `predict`")
@catches("without a model the answer is a 404", skip("run-service"))
@swap("service-predict", "HTTPException(503", "HTTPException(404")
@hint("without a model POST /predict answers 404")
@catches("the predictions are rounded", skip("run-service"))
@swap("service-predict", "qualities.tolist()", "qualities.round(1).tolist()")
@hint("[6.8, 6.8] in place of [6.75, 6.75]")
def test_predict_answers_with_one_version(namespace):
    "POST /predict answers 503 without a model, else predictions and the version that made them"
    service = package_module(namespace, "wineops.service")
    body = {"wines": [WINE, WINE]}
    live = SimpleNamespace(loaded=None, problem="There is no grape.")
    status, said = _asked(service, live, "POST", "/predict", body)
    assert status != 422, (
        "POST /predict refuses a wine that is right: mend Wine in schema.py first."
    )
    assert status == 503, (
        f"without a model POST /predict answers {status}, not 503: "
        "`raise HTTPException(503, live.problem)`."
    )
    assert live.problem in str(said), (
        f"without a model POST /predict says {short(said)}: give the HTTPException `live.problem`."
    )
    live = SimpleNamespace(loaded=_loaded("8"), problem="")
    status, said = _asked(service, live, "POST", "/predict", body)
    assert status == 200 and isinstance(said, dict), f"POST /predict answers {status}, not 200."
    found, right_ones = said.get("predictions"), [QUALITIES["8"]] * 2
    assert found == right_ones, (
        f"POST /predict gives {short(found)} in place of {short(right_ones)}: "
        "`loaded.predict(table_of(body.wines)).tolist()`, and round nothing."
    )
    _, said = _asked(service, _Moving(), "POST", "/predict", body)
    version, first = said.get("version"), said["predictions"][0]
    assert QUALITIES.get(version) == first, (
        f"the model was replaced while a request was running: the answer says version "
        f"{short(version)}, and another one predicted. Read `live.loaded` once, into a variable, "
        "and use that from then on."
    )


# --- the whole ----------------------------------------------------------------------------------


def _asked_for_real(namespace):
    """What `wineops.ask` has kept, of the service as its files are now."""
    package = Path(namespace["package"])
    file = package.parents[1] / "output" / "asked.json"
    assert file.is_file(), (
        "there is no answer of the service: if a line above says TODO, mend that first. Then run "
        f'the cell "{CELL}".'
    )
    sources = [package / "src" / "wineops" / f"{name}.py" for name in ("schema", "live_model")]
    sources.append(package / "src" / "wineops" / "service.py")
    changed = [one.name for one in sources if one.stat().st_mtime > file.stat().st_mtime]
    assert not changed, (
        f'{listed(changed)} was written after the service was asked: run the cell "{CELL}" again.'
    )
    return json.loads(file.read_text(encoding="utf-8"))


@catches("the last cell was not run", skip("run-service"))
@hint("there is no answer of the service")
@catches("a file was changed afterwards")
@after("import time; time.sleep(0.05); (package / 'src/wineops/service.py').touch()")
@hint("service.py was written after the service was asked")
def test_the_service_has_answered(client, namespace):
    "the real service has answered with the champion's predictions, and has ended"
    asked = _asked_for_real(namespace)
    status = {name: asked[name]["status"] for name in ("one", "many", "wrong")}
    assert status == {"one": 200, "many": 200, "wrong": 422}, (
        f"the service answered {listed(map(str, status.values()))} to one wine, to many and to an "
        "impossible one, and not 200, 200 and 422."
    )
    assert asked["exit code"] == 0, f"the service ended with exit code {asked['exit code']}, not 0."
    import mlflow
    import numpy as np
    import pandas as pd

    version = client.get_model_version_by_alias(REGISTERED, "champion").version
    answer = asked["many"]["answer"]
    assert answer["version"] == str(version), (
        f"the champion is version {version}, and version {answer['version']} has answered: run the "
        f'cell "{CELL}" again.'
    )
    table = Path(namespace["package"]).parents[1] / "data" / "new-red-wines.csv"
    wines = pd.read_csv(table, sep=";").astype("float64").drop(columns="quality")
    model = mlflow.pyfunc.load_model(f"models:/{REGISTERED}/{version}")
    far = np.abs(np.asarray(answer["predictions"]) - model.predict(wines)).max()
    assert far <= 1e-12, (
        f"the answers are up to {short(far)} away from what the champion predicts. Round nothing."
    )


EXPLICIT = """\
loaded = live.loaded
if loaded is not None:
    table = table_of(body.wines)
    return {"version": loaded.version, "predictions": list(loaded.predict(table))}
raise HTTPException(status_code=503, detail=live.problem)
"""
STEPS = """\
found, problem = None, "No champion."
try:
    found = self.find()
except Exception as error:
    self.problem = repr(error)
    return
if not found:
    self.loaded = None
elif self.loaded and self.loaded.version == found:
    problem = ""
else:
    try:
        model = self.load(found)
    except Exception:
        self.problem = f"Version {found} can't be loaded."
        return
    self.loaded = model
    problem = ""
self.problem = problem
"""
HEALTH = """\
now = live.loaded
said = Health(problem=live.problem)
if now:
    said.version, said.since = now.version, now.since
else:
    response.status_code = 503
return said
"""
RIGHT_WAYS = (
    right(
        "each call has a try of its own, and one Health is filled",
        put("live-look", STEPS),
        put("service-health", HEALTH),
    ),
    right(
        "a dictionary is returned, and the bounds are exclusive",
        put("service-predict", EXPLICIT),
        swap("schema-alcohol", "ge=5, le=20", "gt=1, lt=40"),
        swap("schema-sulfur", "ge=0, le=600", "gt=0, lt=1000"),
    ),
    right("predict runs in a thread", swap("predict", "async def predict", "def predict")),
)
