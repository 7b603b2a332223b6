"""A real server of the champion was asked, answered right, and has been stopped."""

import json
import re
from argparse import ArgumentParser
from contextlib import contextmanager, suppress
from pathlib import Path

from winelab.checks.authoring import after, catches, error, hint, put, right, skip, split, swap
from winelab.checks.comparing import as_column, kind, listed, short
from winelab.checks.looking import REGISTERED, artifact_paths, champion_of, output_file
from winelab.checks.scratch import call, student_function
from winelab.core.console import shortened
from winelab.core.paths import TABLE

CELL = '"7. Serve the champion, and ask it"'
LISTS = ("answers", "grades")
LARGEST = '`float(abs(predictions - service["answers"]).max())`'


def _statuses(namespace, run):
    """The status of each answer of this try's server: what an earlier one left proves nothing."""
    missing = f"no server has been started. Use `serving` in the cell {CELL}."
    old = f"your newest run: run the cell {CELL} again, below the training."
    log = output_file(namespace, "service.log", run.info.start_time, missing=missing, old=old)
    said = log.read_text(encoding="utf-8", errors="replace")
    return re.findall(r'"POST /invocations HTTP/[\d.]+" (\d+)', said)


def _service(client, run, namespace):
    """What is in service.json on the champion's run: the difference, and its lists as columns."""
    import mlflow

    said, maker = _statuses(namespace, run), client.get_run(champion_of(client).run_id)
    why = ""
    if "service.json" in artifact_paths(client, run):
        why = " (it is on your newest run, which didn't make the champion)"
    elif said.count("400") > 1:
        why = f' (the server answered {listed(said)}: often the key "dataframe_split" is missing)'
    assert "service.json" in artifact_paths(client, maker), (
        f"service.json isn't on the champion's run{why}. Below the `with`, call "
        '`client.log_dict(champion.run_id, service, "service.json")`.'
    )
    service = None  # a folder, or a file that is no JSON
    with suppress(OSError, ValueError, mlflow.MlflowException):
        service = mlflow.artifacts.load_dict(f"runs:/{maker.info.run_id}/service.json")
    assert isinstance(service, dict), (
        "service.json on the champion's run is no dictionary in JSON: client.log_dict writes one."
    )
    for name in LISTS:
        assert isinstance(service.get(name), list), (
            f'"{name}" in service.json is {kind(service.get(name))}, not a list: log the server\'s '
            '"predictions" as they came. `log_dict` writes what JSON doesn\'t know as a text.'
        )
    far = service.get("difference")
    assert isinstance(far, int | float), f'"difference" in service.json is {kind(far)}: {LARGEST}.'
    return far, *(as_column(service[name], f'"{name}" in service.json') for name in LISTS)


def _test_wines(namespace):
    """The measurements of the test wines."""
    tables = namespace.get("tables")
    if "tables" not in namespace:
        # In a script it is a variable of main(): read again, from the file that it was given.
        parser = ArgumentParser()
        parser.add_argument("--data", default=TABLE)
        file = Path(parser.parse_known_args()[0].data).resolve()
        read = student_function(namespace, "read_wine", "2. The wine table")
        tables = call(read, file, on_error="It takes the path of the table.")
    wines = tables[1] if isinstance(tables, tuple | list) and len(tables) > 1 else tables
    assert hasattr(wines, "columns"), f"the second of `tables` is {kind(wines)}, not a table."
    return wines


@contextmanager
def _stand_in(right_one, status, answer):
    """Yield the address of a server that knows one body, and what is wrong with each request."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    sent = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent.append(_wrong(self, body, right_one))
            self.send_response(404 if sent[-1] else status)
            self.end_headers()
            self.wfile.write(json.dumps({} if sent[-1] else answer).encode())

        do_GET = do_POST

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", sent
        finally:
            server.shutdown()


def _wrong(request, body, right_one):
    """What is wrong with a request, in words; "" where nothing is."""
    with suppress(ValueError):
        body = json.loads(body)
    content = request.headers.get("Content-Type", "")
    if request.command != "POST":
        return f"a {request.command}: use `requests.post`"
    if request.path != "/invocations":
        return f"a request for {request.path}: the page is /invocations"
    if not content.startswith("application/json"):
        return "no JSON: give `requests.post` the body with `json=`"
    return "" if body == right_one else "another body: give `json=` the body itself, unchanged"


# A server of their own is all that these need.
ALONE = (skip("prepare", "choice", "training", "champion", "serve"),)
# Two versions, of which the second is the champion, and a run after them, in seconds.
CHAMPION = """\
client = mlflow.MlflowClient()
for alpha in (1.0, 0.01):
    with mlflow.start_run():
        joblib.dump(make_model(alpha, 0.3).fit(tables[0], tables[2]), output / "pipeline.joblib")
        signature = infer_signature(tables[0], tables[2], params={"round": False})
        files, code = {"pipeline": str(output / "pipeline.joblib")}, output / "wine_model.py"
        logged = {"artifacts": files, "signature": signature, "conda_env": conda_env}
        logged["registered_model_name"] = registered_name
        mlflow.pyfunc.log_model(name="model", python_model=code, **logged)
client.set_registered_model_alias(registered_name, "champion", 2)
champion = client.get_model_version(registered_name, 2)
with mlflow.start_run() as newest:
    X_test = tables[1]
predictions = mlflow.pyfunc.load_model("models:/wine-quality-elasticnet/2").predict(X_test)
"""
QUICK = (skip("choice", "training", "champion"), put("client", CHAMPION))
RETURN = "return answer.status_code, answer.json()"
NO_SERVER = """\
answer, rounded = ({"predictions": list(made)} for made in (predictions, predictions.round()))
status, refused, refusal = 200, 400, {"message": "Error: Model is missing inputs ['alcohol']."}
"""


@catches("the page was fetched with a GET", *ALONE)
@swap("ask", "requests.post(", "requests.get(")
@hint("was sent a GET: use `requests.post`")
@catches("the body was sent as a form", *ALONE)
@swap("ask", "json=body", "data=body")
@hint("was sent no JSON: give `requests.post` the body with `json=`")
@catches("a fixed address stands in the function", *ALONE)
@swap("ask", 'f"{address}/invocations"', '"http://127.0.0.1:9/invocations"')
@hint('Post to `f"{address}/invocations"`')
@catches("only the answer is returned", *ALONE)
@swap("ask", RETURN, "return answer.json()")
@hint("not two values")
@catches("answer and status changed places", *ALONE)
@swap("ask", RETURN, "return answer.json(), answer.status_code")
@hint("and it was 200")
@catches("a refusal was turned into an error", *ALONE)
@swap("ask", RETURN, f"answer.raise_for_status()\n    {RETURN}")
@hint("A refusal is an answer too")
def test_ask_works_with_any_server(namespace):
    "ask(address, body) returns status and answer, of any server and also of a refusal"
    from winelab.tracking.store import environment

    ask = student_function(namespace, "ask", "A server of the model, and what we ask it")
    advice = 'Post to `f"{address}/invocations"`, and return `answer.status_code, answer.json()`.'
    wines = {"dataframe_split": {"columns": ["pH"], "data": [[3.25]]}}
    for question in (
        (wines | {"params": {"round": True}}, 200, {"predictions": [6.0]}),
        (wines, 400, {"message": "Model is missing inputs ['alcohol']."}),
    ):
        body, status, answer = question
        with _stand_in(*question) as (address, sent), environment(no_proxy="127.0.0.1"):
            try:
                found = call(ask, address, body, on_error=f"A refusal is an answer too. {advice}")
            except AssertionError:
                if not sent or "" in sent:
                    raise
        assert sent, f"ask sends nothing to the address that it is given. {advice}"
        assert "" in sent, f"the server was sent {sent[0]}. {advice}"
        two = isinstance(found, tuple | list) and len(found) == 2
        assert two, f"ask gives back {kind(found)}, not two values. {advice}"
        first, second = short(found[0]), kind(found[1])
        assert found[0] == status, f"ask returns the status {first}, and it was {status}. {advice}"
        assert found[1] == answer, f"ask returns {second} beside the status. {advice}"


@catches("no server ever started: the answers were made from `predictions`", *QUICK)
@put("serve", NO_SERVER)
@hint("no server has been started.")
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
    "a server has answered twice since your newest run, and refused the table without alcohol"
    said = _statuses(namespace, run)
    assert said.count("200") >= 2 and "400" in said, (
        f"the server was asked, and it answered {listed(said)}. Ask three times inside the `with`: "
        'with and without the param (200), and `X_test.drop(columns="alcohol")` (400).'
    )
    # In a script it is a variable of main().
    refusal = str(namespace.get("refusal", "alcohol"))
    assert "alcohol" in refusal.split("missing")[-1], (
        f"`refusal` doesn't speak of alcohol: {shortened(refusal)}. Leave out that column."
    )


@catches("the wines were sent without the key around them", *QUICK)
@swap("serve", '{"dataframe_split": wines})', "wines)")
@hint('often the key "dataframe_split" is missing')
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
@hint('"difference" in service.json is nothing (None)')
def test_service_json_is_on_the_champions_run(client, run, namespace):
    'service.json is on the champion\'s run, with "answers", "grades" and "difference"'
    _service(client, run, namespace)


@catches("a version number was served, and the champion is another version", *QUICK)
@swap("serve", "@champion", "/1")
@hint("away from what the champion predicts here")
@catches("only five wines were asked", *QUICK)
@swap("serve", 'X_test.to_dict("split")', 'X_test.head().to_dict("split")')
@swap("log-service", "predictions - ", "predictions[:5] - ")
@hint('there are 5 "answers"')
@catches("the param is misspelt, and the server ignores it", *QUICK)
@swap("serve", '"round"', '"rounded"')
@hint("A misspelt param is ignored")
@catches("the difference is that of the grades", *QUICK)
@swap("log-service", 'service["answers"])', 'service["grades"])')
@hint("`predictions` and the answers")
def test_the_answers_are_the_champions(client, run, namespace):
    "answers, grades and difference are right, for every test wine"
    difference, answers, grades = _service(client, run, namespace)
    import mlflow
    import numpy as np

    champion = mlflow.pyfunc.load_model(f"models:/{REGISTERED}@champion")
    here = np.ravel(champion.predict(_test_wines(namespace)))
    for name, found in {"answers": answers, "grades": grades}.items():
        wrong = f'there are {len(found)} "{name}" in service.json, and {len(here)} test wines'
        assert len(found) == len(here), f'{wrong}: send them all, `X_test.to_dict("split")`.'
    far = abs(answers - here).max()
    assert far <= 1e-12, (
        f'the "answers" are up to {short(far)} away from what the champion predicts here: serve '
        '`f"models:/{registered_name}@champion"`, send `X_test` in its order, and round nothing.'
    )
    wrong = grades != here.round()
    assert not wrong.any(), (
        f'the "grades" hold {short(grades[wrong][0])} in place of {short(here[wrong][0].round())}: '
        'send `"params": {"round": True}` beside "dataframe_split". A misspelt param is ignored.'
    )
    assert abs(difference - far) <= 1e-12, (
        f'"difference" is {short(difference, far)}, and the largest between `predictions` and the '
        f"answers is {short(far, difference)}: {LARGEST}."
    )


@catches("a server was started by hand, and nobody stopped it", *QUICK)
@after("psutil.Popen([sys.executable, '-c', 'import time; time.sleep(20)', 'mlflow models serve'])")
@hint("the next with `with serving")
def test_no_server_is_left(run, namespace):
    "the server has been stopped, and no process of it is left"
    _statuses(namespace, run)
    import psutil

    left = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if re.search(r"models serve|mlflow\.pyfunc\.scoring_server", " ".join(child.cmdline())):
                left.append(str(child.pid))
    assert not left, (
        f"a server still runs (process {listed(left)}): restart the kernel to end it, and start "
        "the next with `with serving(...) as address:`, which stops it."
    )


SESSION = """\
def ask(address, body):
    import json
    header = {"Content-Type": "application/json"}
    with requests.Session() as session:
        answer = session.post(address + "/invocations", json.dumps(body), headers=header)
    return answer.status_code, answer.json()
"""
RECORDS = """\
records, dry = X_test.to_dict("records"), X_test.drop(columns=["alcohol"])
uri, log = "models:/wine-quality-elasticnet@champion", output / "service.log"
with serving(uri, log) as at:
    status, answer = ask(at, {"dataframe_records": records})
    rounded = ask(at, {"dataframe_records": records, "params": {"round": True}})[1]
    refused, refusal = ask(at, {"dataframe_split": dry.to_dict("split")})
    ask(at, {"dataframe_records": records[:1]})
"""
REOPENED = """\
service = {"answers": answer["predictions"], "grades": rounded["predictions"]}
service["difference"] = np.max(np.abs(np.array(service["answers"]) - predictions))
with mlflow.start_run(run_id=champion.run_id):
    mlflow.log_dict(service, "service.json")
"""
RIGHT_WAYS = (
    right("the JSON is written by hand, in a session", *QUICK, put("ask", SESSION)),
    right("the wines are sent as records, one at a time too", *QUICK, put("serve", RECORDS)),
    right("logged on the reopened run, measured by numpy", *QUICK, put("log-service", REOPENED)),
    right("the answers are kept in a cell of their own", split("serve", "service = ")),
)
