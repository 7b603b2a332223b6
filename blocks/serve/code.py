# %% import-contextlib (given)
from contextlib import contextmanager, suppress

# %% import-subprocess (given)
import socket
import sys
import time

# %% import-psutil (given)
import psutil

# %% import-requests
#: import requests.
#: hint: The package talks to web servers, and was installed with MLflow.
#: hint: `import requests`
import requests

# %% serving (given)
@contextmanager
def serving(model_uri, log):
    """Serve a model on a free port for as long as the `with` lasts, whatever happens inside."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # port 0: the system picks a free one
        port = probe.getsockname()[1]
    options = f"--model-uri {model_uri} --env-manager local --host 127.0.0.1 --port {port}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options.split()]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uvicorn is there
    os.environ["no_proxy"] = f"127.0.0.1,{requests.utils.getproxies().get('no', '')}"
    with log.open("wb") as out:
        server = psutil.Popen(command, env={**os.environ, "PATH": path}, stdout=out, stderr=out)
    try:
        while server.poll() is None:
            with suppress(requests.RequestException):  # not up yet
                requests.get(f"http://127.0.0.1:{port}/ping", timeout=5)
                break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"the server ended before it answered; read why in {log}")
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            for process in [*server.children(recursive=True), server]:
                process.kill()
        server.wait()

# %% ask
#: write ask(address, body). It posts the body, as JSON, to the page
#: /invocations at this address. It returns two values: the status, and
#: the answer, read from its JSON.
#: hint: `requests.post` takes the page's whole address, `json=` and `timeout=` (in seconds). What it
#: returns has `status_code` and `json()`.
#: hint: `answer = requests.post(f"{address}/invocations", json=body, timeout=60)`, then
#: `return answer.status_code, answer.json()`
def ask(address, body):
    """Send a body to the service; return the status, and what it answers."""
    answer = requests.post(f"{address}/invocations", json=body, timeout=60)
    return answer.status_code, answer.json()

# %% serve
#: serve the champion by its alias; the server's log is service.log, in
#: the folder `output`. Ask three things with your function: the quality
#: of the test wines, as `status` and `answer`; the same as whole grades,
#: as `_` and `rounded`; and a table without the column alcohol, as
#: `refused` and `refusal`.
#: hint: `serving` takes a model's URI and the log's path, and gives the server's address in a `with`
#: line. A body is a dictionary: "dataframe_split" with what `X_test.to_dict("split")` makes,
#: and "params" with a dictionary of params.
#: hint: `with serving(f"models:/{registered_name}@champion", output / "service.log") as address:`
#: and below it `status, answer = ask(address, {"dataframe_split": X_test.to_dict("split")})`, the
#: same with `"params": {"round": True}`, and the same with `X_test.drop(columns="alcohol")`.
wines = X_test.to_dict("split")
dry = X_test.drop(columns="alcohol").to_dict("split")
with serving(f"models:/{registered_name}@champion", output / "service.log") as address:
    status, answer = ask(address, {"dataframe_split": wines})
    _, rounded = ask(address, {"dataframe_split": wines, "params": {"round": True}})
    refused, refusal = ask(address, {"dataframe_split": dry})

# %% log-service
#: log service.json on the champion's run: a dictionary with the "answers"
#: and the "grades", two lists of numbers, and the largest "difference"
#: between the answers and `predictions`.
#: hint: `client.log_dict` takes a run's id, a dictionary and a file's name. The server answers with
#: a dictionary, in which "predictions" is a list.
#: hint: `service = {"answers": answer["predictions"], "grades": rounded["predictions"]}`, then
#: `service["difference"] = float(abs(predictions - service["answers"]).max())`, then
#: `client.log_dict(champion.run_id, service, "service.json")`
service = {"answers": answer["predictions"], "grades": rounded["predictions"]}
service["difference"] = float(abs(predictions - service["answers"]).max())
client.log_dict(champion.run_id, service, "service.json")

# %% show-service
#: print both statuses, the first five grades, the difference, and what
#: the server said about the table without alcohol.
#: hint: The refusal has a long "message"; `.split("Error: ")[-1]` gives its last part.
#: hint: `print(status, "grades:", service["grades"][:5], "off by", service["difference"])`, then
#: `print(refused, refusal["message"].split("Error: ")[-1])`
print(status, "grades:", service["grades"][:5], "off by", service["difference"])
print(refused, refusal["message"].split("Error: ")[-1])
