"""A real server of the champion was asked, answered right, and has been stopped."""

import json
import re
from argparse import ArgumentParser
from contextlib import contextmanager, suppress
from pathlib import Path

from winelab.checks.authoring import after, catches, error, hint, put, right, skip, split, swap
from winelab.checks.comparing import kind, listed, plural, short
from winelab.checks.fixtures import REGISTERED
from winelab.checks.scratch import call, student_function

CELL = '"7. Serve the champion, and ask it"'
LISTS = ("answers", "grades")
STATUS = re.compile(r'"POST /invocations HTTP/[\d.]+" (\d+)')
"""What the server notes of each request, with the status of its answer."""

# --- what was asked, and what is kept ------------------------------------------------------------


def _statuses(namespace, run):
    """The status of each answer that a server gave since the newest run began, from its log.

    What an earlier try left in the store, or on a run that made an older champion, proves nothing.
    """
    folder = namespace["output"]
    assert isinstance(folder, str | Path), (
        f"`output` is {kind(folder)}, not a folder: run the cells again from the top."
    )
    log = Path(folder) / "service.log"
    again = f"run the cell {CELL}, below the training"
    assert log.is_file(), (
        f'no server has been started yet: {again}, with `output / "service.log"` for the '
        "server's messages."
    )
    assert log.stat().st_mtime * 1000 >= run.info.start_time, (
        f"service.log in the folder output is older than your newest run: {again}, so that a "
        "server of this champion is asked."
    )
    return STATUS.findall(log.read_text(encoding="utf-8", errors="replace"))


def _champion(client):
    """The version with the alias."""
    aliases = client.get_registered_model(REGISTERED).aliases
    assert "champion" in aliases, (
        "there is no champion to serve: run the cells above, from the top, as in block [[promote]]."
    )
    return client.get_model_version(REGISTERED, aliases["champion"])


def _service(client, run, namespace):
    """service.json on the champion's run, of this try, and its two lists as columns of numbers."""
    import mlflow

    from winelab.checks.comparing import as_column

    said = _statuses(namespace, run)
    champion, log = _champion(client), '`client.log_dict(champion.run_id, service, "service.json")`'
    on_it, on_newest = (
        {file.path for file in client.list_artifacts(run_id)}
        for run_id in (champion.run_id, run.info.run_id)
    )
    if "service.json" not in on_it:
        assert "service.json" not in on_newest, (
            f"service.json is on your newest run, which didn't make the champion: call {log}."
        )
        refused = (
            f" The server answered {listed(said)}, and a refusal has no predictions: its "
            '"message" says why. Often the key "dataframe_split" around the table is missing.'
        )
        raise AssertionError(
            f"service.json isn't on the champion's run: call {log}, below the `with`."
            f"{refused if said.count('400') > 1 else ''}"
        )
    service = mlflow.artifacts.load_dict(f"runs:/{champion.run_id}/service.json")
    assert isinstance(service, dict), (
        f"service.json holds {kind(service)}, not a dictionary: call {log}."
    )
    for name in LISTS:
        assert name in service, (
            f'service.json has no "{name}", only {listed(service) if service else "nothing"}: take '
            'it from the answer\'s "predictions".'
        )
        assert isinstance(service[name], list), (
            f'"{name}" in service.json is {kind(service[name])}, not a list: log the '
            '"predictions" as they came from the server. What JSON doesn\'t know, `log_dict` '
            "writes as a text."
        )
    return service, *(as_column(service[name], f'"{name}" in service.json') for name in LISTS)


def _test_wines(namespace):
    """The measurements of the test wines."""
    tables = namespace.get("tables")
    if "tables" not in namespace:
        # In a script it is a variable of main(): read again, from the file that it was given.
        parser, course = ArgumentParser(), namespace["course"]
        parser.add_argument("--data")
        given = parser.parse_known_args()[0].data
        assert isinstance(course, str | Path), f"`course` is {kind(course)}, not a folder."
        file = Path(given or Path(course) / "data" / "red-wine-quality.csv").resolve()
        read = student_function(namespace, "read_wine", "2. The wine table")
        tables = call(read, file, on_error="It takes the path of the table.")
    found = tables[1] if isinstance(tables, tuple | list) and len(tables) > 1 else tables
    assert hasattr(found, "columns"), (
        f"the test wines are {kind(found)}, not a table: read_wine returns them as the second of "
        "its five parts. Run the cells again from the top."
    )
    return found


# --- a small server in place of MLflow's ---------------------------------------------------------


@contextmanager
def _stand_in():
    """Yield the address of a server that answers as MLflow's does, and what it was sent, in order.

    It gives each wine its alcohol as its quality, and refuses a table without.
    """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    sent = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer, what = _reply(self.path, self.headers.get("Content-Type", ""), body)
            self.answer(status, answer, what)

        def do_GET(self):
            self.answer(405, {"detail": "Method Not Allowed"}, "a GET: use `requests.post`")

        def answer(self, status, answer, what):
            sent.append(what)
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


def _reply(path, content, body):
    """Status and answer; and the body that came, or a text: what came in place of one."""
    if path != "/invocations":
        return 404, {"detail": "Not Found"}, f"a request for {path}: the page is /invocations"
    if not content.startswith("application/json"):
        refusal = {"message": "This predictor only supports application/json."}
        return 415, refusal, "no JSON: give `requests.post` the body with `json=`"
    with suppress(ValueError):
        body = json.loads(body)
    if not isinstance(body, dict) or "dataframe_split" not in body:
        return 400, {"message": "..."}, "another body: give `json=` the body itself, unchanged"
    table = body["dataframe_split"]
    if "alcohol" not in table["columns"]:
        return 400, {"message": "Model is missing inputs ['alcohol']."}, body
    at = table["columns"].index("alcohol")
    return 200, {"predictions": [row[at] for row in table["data"]]}, body


# --- mistakes ------------------------------------------------------------------------------------

# A server of their own is all that these need.
ALONE = (skip("prepare", "choice", "training", "champion", "serve"),)
# Two versions, of which the second is the champion, and a run after them, in seconds.
CHAMPION = """\
client = mlflow.MlflowClient()
for alpha in (1.0, 0.01):
    with mlflow.start_run():
        joblib.dump(make_model(alpha, 0.3).fit(tables[0], tables[2]), output / "pipeline.joblib")
        model_info = mlflow.pyfunc.log_model(
            name="model",
            python_model=output / "wine_model.py",
            artifacts={"pipeline": str(output / "pipeline.joblib")},
            signature=infer_signature(tables[0], tables[2], params={"round": False}),
            conda_env=conda_env,
            registered_model_name=registered_name,
        )
client.set_registered_model_alias(registered_name, "champion", 2)
champion = client.get_model_version(registered_name, 2)
with mlflow.start_run() as newest:
    X_test = tables[1]
predictions = mlflow.pyfunc.load_model("models:/wine-quality-elasticnet/2").predict(X_test)
"""
QUICK = (skip("choice", "training", "champion"), put("client", CHAMPION))
POST = 'requests.post(f"{address}/invocations", json=body, timeout=60)'
RETURN = "return answer.status_code, answer.json()"
WHOLE = ', "params": {"round": True}}'
NO_SERVER = """\
status, answer = 200, {"predictions": predictions.tolist()}
_, rounded = 200, {"predictions": predictions.round().tolist()}
refused, refusal = 400, {"message": "Error: Model is missing inputs ['alcohol']."}
"""


@catches("the page was fetched with a GET", *ALONE)
@swap("ask", "requests.post(", "requests.get(")
@hint("was sent a GET: use `requests.post`")
@catches("the body was sent as a form", *ALONE)
@swap("ask", "json=body", "data=body")
@hint("was sent no JSON: give `requests.post` the body with `json=`")
@catches("the body was made a text before", *ALONE)
@swap("ask", "json=body", "json=str(body)")
@hint("give `json=` the body itself")
@catches("the page was left out", *ALONE)
@swap("ask", "/invocations", "")
@hint("a request for /: the page is /invocations")
@catches("a fixed address stands in the function", *ALONE)
@swap("ask", 'f"{address}/invocations"', '"http://127.0.0.1:9/invocations"')
@hint('Post to `f"{address}/invocations"`')
@catches("only the answer is returned", *ALONE)
@swap("ask", RETURN, "return answer.json()")
@hint("ask gives back a dictionary")
@catches("answer and status changed places", *ALONE)
@swap("ask", RETURN, "return answer.json(), answer.status_code")
@hint("the status first")
@catches("a refusal was turned into an error", *ALONE)
@swap("ask", RETURN, f"answer.raise_for_status()\n    {RETURN}")
@hint("A refusal is an answer too")
def test_ask_works_with_any_server(namespace):
    "ask(address, body) returns status and answer, of any server and also of a refusal"
    from winelab.tracking.store import environment

    ask = student_function(namespace, "ask", "A server of the model, and what we ask it")
    wines = {"index": [7], "columns": ["pH", "alcohol"], "data": [[3.25, 9.5]]}
    dry = {"index": [7], "columns": ["pH"], "data": [[3.25]]}
    # What is asked, and the right status and answer.
    questions = (
        (
            {"dataframe_split": wines, "params": {"round": True}},
            (200, {"predictions": [9.5]}),
        ),
        (
            {"dataframe_split": dry},
            (400, {"message": "Model is missing inputs ['alcohol']."}),
        ),
    )
    advice = 'Post to `f"{address}/invocations"`, and return `answer.status_code, answer.json()`.'
    for body, (status, answer) in questions:
        with _stand_in() as (address, sent), environment(no_proxy="127.0.0.1", NO_PROXY=""):
            said = f"A refusal is an answer too, so stop at none. {advice}"
            try:
                found = call(ask, address, body, on_error=said)
            except AssertionError:
                if not sent or body in sent:
                    raise
                found = None
        assert sent, f"ask sends nothing to the address that it is given. {advice}"
        assert body in sent, f"the server was sent {sent[0]}. {advice}"
        assert isinstance(found, tuple | list) and len(found) == 2, (
            f"ask gives back {kind(found)}, and should give two values. {advice}"
        )
        one, two = found
        assert not isinstance(one, dict), (
            f"ask returns the answer first: the status first. {advice}"
        )
        assert one == status, (
            f"ask returns {kind(one)} as the status, {short(one)}, and the server said {status}, a "
            f"number. {advice}"
        )
        assert two == answer, (
            f"ask returns {kind(two)} beside the status, not the server's whole answer, a "
            "dictionary: `answer.json()`."
        )


@catches("no server ever started: the answers were made from `predictions`", *QUICK)
@put("serve", NO_SERVER)
@hint("no server has been started yet")
@catches("the table was sent with its alcohol after all", *QUICK)
@swap("serve", 'X_test.drop(columns="alcohol")', "X_test")
@swap("show-service", 'refusal["message"].split("Error: ")[-1]', "refusal")
@hint("it answered 200, 200 and 200")
@catches("another column was dropped", *QUICK)
@swap("serve", 'columns="alcohol"', 'columns="pH"')
@hint("`refusal` doesn't speak of alcohol")
@catches("a model was trained after the server was asked", *QUICK)
@after("time.sleep(0.01)\nwith mlflow.start_run():\n    pass")
@hint("older than your newest run")
def test_a_server_was_asked_in_this_try(run, namespace):
    "a server was asked in this try: it answered twice, and refused the table without alcohol"
    said = _statuses(namespace, run)
    assert said.count("200") >= 2 and "400" in said, (
        f"the server was asked {plural(len(said), 'time')}"
        f"{f', and it answered {listed(said)}' if said else ''}: 200 is expected twice, for the "
        "test wines with and without the param, and 400 for the table without alcohol, "
        '`X_test.drop(columns="alcohol")`. Ask all three inside the `with`.'
    )
    refusal = namespace.get("refusal")
    # In a script it is a variable of main().
    assert "refusal" not in namespace or "alcohol" in str(refusal).split("missing")[-1], (
        f"`refusal` doesn't speak of alcohol, it is {kind(refusal)}: send the table without that "
        "column, and keep what the server says."
    )


@catches("the wines were sent without the key around them", *QUICK)
@swap("serve", '{"dataframe_split": wines})', "wines)")
@hint('Often the key "dataframe_split" around the table is missing')
@error("KeyError: 'predictions'")
@catches("service.json went to the newest run", *QUICK)
@swap("log-service", "champion.run_id", "newest.info.run_id")
@hint("which didn't make the champion")
@catches("an array was logged, which became a text", *QUICK)
@swap("log-service", 'answer["predictions"],', 'np.array(answer["predictions"]),')
@hint('"answers" in service.json is a text')
@catches("the difference was left out", *QUICK)
@swap("log-service", 'service["difference"] =', "difference =")
@swap("show-service", 'service["difference"]', "difference")
@hint('service.json has no number "difference"')
def test_service_json_is_on_the_champions_run(client, run, namespace):
    'service.json is on the champion\'s run, with "answers", "grades" and "difference"'
    service, _, _ = _service(client, run, namespace)
    found = service.get("difference")
    assert isinstance(found, int | float) and not isinstance(found, bool), (
        'service.json has no number "difference": '
        '`float(abs(predictions - service["answers"]).max())`.'
    )


@catches("a version number was served, and the champion is another version", *QUICK)
@swap("serve", "@champion", "/1")
@hint("away from what the champion predicts here")
@catches("the answers were rounded", *QUICK)
@swap("log-service", 'answer["predictions"]', '[round(x, 2) for x in answer["predictions"]]')
@hint("away from what the champion predicts here")
@catches("only five wines were asked", *QUICK)
@swap("serve", 'X_test.to_dict("split")', 'X_test.head().to_dict("split")')
@swap("log-service", "predictions - ", "predictions[:5] - ")
@hint('there are 5 "answers"')
@catches("the param is misspelt, and the server ignores it", *QUICK)
@swap("serve", '"round"', '"rounded"')
@hint('"grades" aren\'t whole numbers')
@catches("the difference is that of the grades", *QUICK)
@swap("log-service", 'service["answers"])', 'service["grades"])')
@hint("`predictions` and the answers")
def test_the_answers_are_the_champions(client, run, namespace):
    "answers, grades and difference are right, for every test wine"
    service, answers, grades = _service(client, run, namespace)
    import mlflow
    import numpy as np

    wines = _test_wines(namespace)
    here = np.ravel(mlflow.pyfunc.load_model(f"models:/{REGISTERED}@champion").predict(wines))
    for name, found in zip(LISTS, (answers, grades), strict=True):
        assert len(found) == len(here), (
            f'there are {len(found)} "{name}" in service.json, and {len(here)} test wines: send '
            'them all, `X_test.to_dict("split")`.'
        )
    far = abs(answers - here).max()
    assert far <= 1e-12, (
        f'the "answers" are up to {short(far)} away from what the champion predicts here: serve '
        '`f"models:/{registered_name}@champion"`, send `X_test` in its order, and round nothing.'
    )
    assert (grades == grades.round()).all(), (
        f'the "grades" aren\'t whole numbers: {short(grades[0])}, for the first wine. Send '
        '`"params": {"round": True}` beside "dataframe_split". A misspelt param is ignored.'
    )
    assert (grades == here.round()).all(), (
        'the "grades" are not the champion\'s whole grades: ask the same server, with '
        '`"params": {"round": True}`.'
    )
    difference = service.get("difference")
    assert isinstance(difference, int | float) and abs(difference - far) <= 1e-12, (
        f'"difference" is {short(difference)}, and the largest difference between `predictions` '
        "and the answers is "
        f'{short(far, difference)}: `float(abs(predictions - service["answers"]).max())`.'
    )


# A stand-in for a server, which ends by itself.
@catches("a server was started by hand, and nobody stopped it", *QUICK)
@after(
    "nap = [sys.executable, '-c', 'import time; time.sleep(20)', 'mlflow models serve']\n"
    "left = psutil.Popen(nap)"
)
@hint("start it with `with serving")
def test_no_server_is_left(run, namespace):
    "the server has been stopped, and no process of it is left"
    _statuses(namespace, run)
    import psutil

    left = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            words = " ".join(child.cmdline())
            if "models serve" in words or "mlflow.pyfunc.scoring_server" in words:
                left.append(str(child.pid))
    assert not left, (
        f"a server still runs (process {listed(left)}): start it with `with serving(...) as "
        "address:`, which stops it. Restart the kernel to end the one that was left."
    )


RIGHT_WAYS = (
    right(
        "the JSON is written by hand, in a session",
        *QUICK,
        swap("ask", POST, 'session.post(address + "/invocations", text, headers=header)'),
        swap(
            "ask",
            "answer = ",
            "import json\n"
            '    header, text = {"Content-Type": "application/json"}, json.dumps(body)\n'
            "    with requests.Session() as session:\n        answer = ",
        ),
    ),
    right(
        "the wines are sent as records, and one at a time too",
        *QUICK,
        put(
            "serve",
            'records, dry = X_test.to_dict("records"), X_test.drop(columns=["alcohol"])\n'
            'uri, log = "models:/wine-quality-elasticnet@champion", output / "service.log"\n'
            "with serving(uri, log) as at:\n"
            '    status, answer = ask(at, {"dataframe_records": records})\n'
            '    rounded = ask(at, {"dataframe_records": records, "params": {"round": True}})[1]\n'
            '    refused, refusal = ask(at, {"dataframe_split": dry.to_dict("split")})\n'
            '    ask(at, {"dataframe_records": records[:1]})',
        ),
    ),
    right(
        "the file is logged on the reopened run, and numpy takes the difference",
        *QUICK,
        swap(
            "log-service",
            "client.log_dict(champion.run_id, ",
            "with mlflow.start_run(run_id=champion.run_id):\n    mlflow.log_dict(",
        ),
        swap(
            "log-service",
            'float(abs(predictions - service["answers"]).max())',
            'np.max(np.abs(np.array(service["answers"]) - predictions))',
        ),
    ),
    right("the answers are kept in a cell of their own", split("serve", "service = ")),
)
