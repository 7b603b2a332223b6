"""A real server of the champion was asked, answered right, and has been stopped."""

import json
from contextlib import contextmanager, suppress

from winelab.checks.authoring import after, catches, put, remove, swap
from winelab.checks.comparing import close
from winelab.core.console import shortened

NAME = "wine-quality-elasticnet"
FILE = "service.json"
CELL = '"7. Serve the champion, and ask it"'
FIELDS = ("dataframe_split", "dataframe_records")
WRONG = ("malformed", "no alcohol")


def _answers(client, run):
    """service.json on the champion's run, if it was written after this try's trainings.

    Other days' answers prove nothing, and the champion's run may itself be of another day: so the
    answers say when they were asked for, and the clock is that of the runs.
    """
    import mlflow

    aliases = client.get_registered_model(NAME).aliases
    assert "champion" in aliases, (
        "there is no champion to serve: run the cells above, from the top, as in block [[promote]]."
    )
    champion = client.get_model_version(NAME, aliases["champion"])
    if FILE not in _files(client, champion.run_id):
        assert FILE not in _files(client, run.info.run_id), (
            f"{FILE} is on the newest run, which did not make the champion: log it on "
            "champion.run_id, client.log_dict(champion.run_id, answers, ...)."
        )
        raise AssertionError(
            f"no answers of a server are on the champion's run yet: in the cell {CELL}, ask it "
            f'inside the `with`, and then client.log_dict(champion.run_id, answers, "{FILE}").'
        )
    answers = mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/{FILE}")
    assert isinstance(answers.get("asked"), (int, float)), (
        f'{FILE} does not say when the server was asked: answers["asked"] = time.time(), before '
        "you log it."
    )
    # Tell the time in milliseconds, as MLflow does of a run's end.
    assert answers["asked"] * 1000 >= run.info.end_time - 1, (
        f"the {FILE} on the champion's run is of an earlier try: run the cell {CELL}, below the "
        "trainings, so that a server is asked now."
    )
    return answers


def _files(client, run_id):
    return {file.path for file in client.list_artifacts(run_id)}


def _test_wines(namespace):
    """The test wines, and how they were judged."""
    # In a script they are variables of main(): read again, from the file that it was given.
    if "tables" in namespace:
        tables = namespace["tables"]
    else:
        tables = namespace["read_wine"](namespace["read_arguments"]()[0])
    return tables[1], tables[3]


def _lists(answers):
    """The predictions that Python and curl got; the hint where they are not lists of figures."""
    import numpy as np

    found = {}
    for name in ("python", "curl"):
        assert isinstance(answers.get(name), list), (
            f'there is no list "{name}" in {FILE}: let `interview` return '
            f'{{"python": predictions, "curl": predictions, ...}}, the answer\'s "predictions".'
        )
        found[name] = np.asarray(answers[name], dtype=float)
    return found


@contextmanager
def _stand_in():
    """A small server in the place of MLflow's: its address, and what it was sent, in order.

    It takes and refuses what MLflow's server does, and guesses each wine by its alcohol.
    """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    sent = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            by = "curl" if self.headers.get("User-Agent", "").startswith("curl") else "python"
            status, answer, what = _reply(self.path, self.headers.get("Content-Type", ""), body)
            sent.append((by, what))
            said = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", sent
        finally:
            server.shutdown()


def _reply(path, kind, body):
    """Status, answer and, in a word, what was sent: a number of wines, or what is wrong."""
    import pandas as pd

    if path != "/invocations":
        return 404, {"message": "Not Found"}, f"a request for {path}"
    if not kind.startswith("application/json"):
        return 415, {"message": "This predictor only supports application/json."}, "no JSON type"
    try:
        form = json.loads(body)
    except ValueError:
        return 400, {"message": "Invalid input. Error: 'JSONDecodeError(...)'"}, "malformed"
    field = next((key for key in FIELDS if isinstance(form, dict) and key in form), None)
    if field is None:
        return 400, {"message": "The input must be a JSON dictionary with ..."}, "another form"
    rows = form[field]
    if field == "dataframe_split":
        table = pd.DataFrame(rows["data"], columns=rows["columns"])
    else:
        table = pd.DataFrame(rows)
    if "alcohol" not in table:
        return 400, {"message": "... Error: Model is missing inputs ['alcohol']."}, "no alcohol"
    return 200, {"predictions": (table["alcohol"] / 3).tolist()}, len(table)


# The function alone, without a server to try it on.
ONLY = (remove("serve"), remove("show-service"))
MADE_UP = 'answers = {"python": predictions.tolist(), "curl": predictions.tolist()}\n'
LOG = 'client.log_dict(champion.run_id, answers, "service.json")\n'


@catches(
    "the server was started without --env-manager local",
    swap("serve", ', "--env-manager", "local"', ""),
    hint="no answers of a server are on the champion's run yet",
    error="the server ended before it answered; read why in",
    environment={"PATH": "/nowhere"},
)
@catches(
    "the answers were logged on the newest run",
    swap("serve", "champion.run_id", "model_info.run_id"),
    hint="log it on champion.run_id",
)
@catches(
    "the function was written, and no server was ever started",
    *ONLY,
    hint="ask it inside the `with`",
)
@catches(
    "the answers do not say when they were asked for",
    *ONLY,
    put("serve", MADE_UP + LOG),
    hint='answers["asked"] = time.time()',
)
@catches(
    "a model was trained after the server was asked",
    *ONLY,
    put("serve", f"{MADE_UP}answers['asked'] = time.time()\n{LOG}"),
    after("time.sleep(0.01)\nwith mlflow.start_run():\n    pass"),
    hint="of an earlier try",
)
def test_service_json_is_of_this_try(client, run):
    "service.json is on the champion's run, and was written in this try"
    _answers(client, run)


@catches(
    "the wines were sent in the form of MLflow 1",
    swap("interview", '{"dataframe_split": wines.to_dict("split")}', 'wines.to_dict("split")'),
    hint="the server was sent another form",
    error="KeyError: 'predictions'",
)
@catches(
    "curl was never asked: its answer is a copy of Python's",
    *ONLY,
    swap(
        "interview",
        "subprocess.run(curl, input=body, capture_output=True, text=True, check=True).stdout",
        "requests.post(url, body, headers=header, timeout=60).text",
    ),
    hint="did not send all wines by curl",
)
@catches(
    "the address stands in the function, and not the one that it was given",
    *ONLY,
    swap("interview", 'f"{address}/invocations"', '"http://127.0.0.1:9/invocations"'),
    hint="address + /invocations",
)
@catches(
    "the header that says JSON was forgotten",
    *ONLY,
    swap("interview", '{"Content-Type": "application/json"}', "{}"),
    hint="the server was sent no JSON type",
)
@catches(
    "a refusal was turned into an error",
    *ONLY,
    swap("interview", "answers[name] = [", "refusal.raise_for_status()\n        answers[name] = ["),
    hint="it is an answer, not an error",
)
@catches(
    "the malformed body is JSON after all",
    *ONLY,
    swap("interview", '"wine"', "'\"wine\"'"),
    hint="a body that is no JSON",
)
@catches(
    "the answers were rounded",
    *ONLY,
    swap(
        "interview",
        "return answers",
        'answers["python"] = [round(value, 3) for value in answers["python"]]\n    return answers',
    ),
    hint="round nothing",
)
def test_interview_asks_by_python_and_by_curl(namespace):
    "interview asks any server at any address, by Python and by curl"
    from winelab.tracking.store import environment

    interview = namespace.get("interview")
    assert callable(interview), (
        'write interview(address, wines) in the cell "A server of the model, and what we ask it".'
    )
    wines = _test_wines(namespace)[0].head(3)
    with _stand_in() as (address, sent), environment(no_proxy="127.0.0.1", NO_PROXY="127.0.0.1"):
        try:
            answers = interview(address, wines)
        except Exception as error:
            wrong = [what for _, what in sent if what not in (len(wines), *WRONG)]
            hint = "keep a refusal's status and message: here it is an answer, not an error."
            if wrong or not sent:
                hint = (
                    f"the server was sent {wrong[0] if wrong else 'nothing'}. Send "
                    '{"dataframe_split": wines.to_dict("split")}, as JSON, to address + '
                    "/invocations, with the header Content-Type: application/json."
                )
            said = shortened(str(error), 80)
            raise AssertionError(
                f"interview ended in {type(error).__name__} ({said}): {hint}"
            ) from None
    assert isinstance(answers, dict), "interview returns nothing: end it with `return answers`."
    for by in ("python", "curl"):
        assert (by, len(wines)) in sent, (
            f"interview did not send all wines by {by} to the address that it was given: ask "
            'f"{address}/invocations" by requests.post and by curl, each by itself.'
        )
    for name, predictions in _lists(answers).items():
        right = wines["alcohol"].to_numpy() / 3
        assert predictions.shape == right.shape and abs(predictions - right).max() <= 1e-12, (
            f'answers["{name}"] is not what the server said: take its "predictions" as they are, '
            "and round nothing."
        )
    for name in WRONG:
        assert any(what == name for _, what in sent), (
            "interview did not send "
            + ("a body that is no JSON" if name == "malformed" else "a table without alcohol")
            + f", whose refusal belongs under {name!r}."
        )


@catches(
    "a version number was served, and the champion is another version",
    swap("serve", "@champion", "/1"),
    hint="away from what the champion says",
)
def test_the_answers_are_the_champions(client, run, namespace):
    "all 400 answers, to Python and to curl, are what the champion says here, to 1e-12"
    answers = _answers(client, run)
    import mlflow
    import numpy as np

    wines = _test_wines(namespace)[0]
    right = np.ravel(mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(wines))
    for name, predictions in _lists(answers).items():
        assert len(predictions) == len(right), (
            f"{len(predictions)} answers went to {name}, and there are {len(right)} test wines: "
            "call interview(address, tables[1])."
        )
        far = abs(predictions - right).max()
        assert far <= 1e-12, (
            f"the answers to {name} are up to {far:.2g} away from what the champion says: serve "
            f'f"models:/{{registered_name}}@champion", and round nothing.'
        )


@catches(
    "the true qualities are a column, which log_dict writes as a text",
    *ONLY,
    put("serve", f"{MADE_UP}answers |= {{'asked': time.time(), 'judged': tables[3]}}\n{LOG}"),
    hint="tables[3].to_list()",
)
def test_the_figures_beside_them_are_right(client, run, namespace):
    '"difference" and "judged" are right'
    answers = _answers(client, run)
    import mlflow
    import numpy as np

    wines, judged = _test_wines(namespace)
    assert answers.get("judged") == judged.to_list(), (
        'answers["judged"] must be the true qualities of the test wines: tables[3].to_list().'
    )
    assert isinstance(answers.get("difference"), float), (
        'there is no figure "difference": float(abs(predictions - answers["python"]).max()).'
    )
    here = np.ravel(mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(wines))
    served = _lists(answers)["python"]
    assert served.shape == here.shape and close(
        answers["difference"], float(abs(here - served).max()), 1e-12
    ), (
        'answers["difference"] is not the largest difference between `predictions`, the '
        'champion\'s for tables[1], and answers["python"].'
    )


@catches(
    "the predictions made here were logged as the server's answers",
    *ONLY,
    put("serve", f"{MADE_UP}answers['asked'] = time.time()\n{LOG}"),
    hint="must be a list of two",
)
def test_wrong_bodies_were_refused(client, run):
    "the malformed body and the missing column were refused with 4xx, and with a reason"
    answers = _answers(client, run)
    for name, reason in zip(WRONG, ("JSON", "alcohol"), strict=True):
        refusal = answers.get(name)
        assert isinstance(refusal, list) and len(refusal) == 2, (
            f'answers["{name}"] must be a list of two: refusal.status_code, and '
            'refusal.json()["message"].'
        )
        status, message = refusal
        assert isinstance(status, int) and 400 <= status < 500, (
            f'the server answered "{name}" with {status}, and 4xx was expected: '
            + ("send a text that is no JSON" if name == "malformed" else "drop the column alcohol")
            + ", with the header Content-Type: application/json."
        )
        assert reason in str(message), (
            f'the message under "{name}" does not speak of {reason}: keep what the server says, '
            'refusal.json()["message"].'
        )


# A stand-in for a server, which ends by itself.
@catches(
    "a server was started by hand, and nobody stopped it",
    after(
        "nap = [sys.executable, '-c', 'import time; time.sleep(20)', 'mlflow models serve']\n"
        "left = subprocess.Popen(nap)"
    ),
    hint="start it with `with serving",
)
def test_no_server_is_left(client, run):
    "the server has been stopped, and no process of it is left"
    _answers(client, run)
    import psutil

    left = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            words = " ".join(child.cmdline())
            if "models serve" in words or "mlflow.pyfunc.scoring_server" in words:
                left.append(str(child.pid))
    assert not left, (
        f"a server still runs (process {', '.join(left)}): start it with `with serving(...) as "
        "address:`, which stops it. Restart the kernel to end the one that was left."
    )
