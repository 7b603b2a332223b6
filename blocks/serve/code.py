# %% import-socket (as in server, given)

# %% import-subprocess (as in server, given)

# %% import-sys (as in server, given)

# %% import-time (as in server, given)

# %% import-json (given)
import json

# %% import-contextlib (given)
from contextlib import contextmanager, suppress

# %% import-psutil (given)
import psutil

# %% import-requests (given)
import requests

# %% serving (given)
@contextmanager
def serving(command, log):
    """Run a server on a free port, for as long as the `with` lasts, whatever happens inside."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # 0: the system picks a free one
        port = probe.getsockname()[1]
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    os.environ["no_proxy"] = f"127.0.0.1,{spared}"  # a proxy leads out of here, not back
    beside = f"{Path(sys.executable).parent}{os.pathsep}"  # the server calls programs there
    env = {**os.environ, "PATH": beside + os.environ["PATH"]}
    with log.open("w", encoding="utf-8") as out:
        server = psutil.Popen([*command, "--port", str(port)], env=env, stdout=out, stderr=out)
    try:
        while server.poll() is None:
            with suppress(requests.RequestException):  # not up yet
                if requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).ok:
                    break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"the server ended before it answered; read why in {log}")
        yield f"http://127.0.0.1:{port}"
    finally:
        family = [*server.children(recursive=True), server] if server.is_running() else []
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)

# %% interview
#: write interview(address, wines). It asks the model's server for all
#: wines, once by Python and once by curl, and then sends it two wrong
#: bodies: one that is no JSON, and a table without the column alcohol.
#: It returns a dictionary: the predictions as "python" and as "curl",
#: and as "malformed" and "no alcohol" a list each: status and message.
#: hint: The server listens at `address` + "/invocations", and wants a JSON object with the one key
#: "dataframe_split", whose value `wines.to_dict("split")` makes. It answers with JSON too:
#: "predictions", or a "message". `requests.post` takes the address, the body, `headers=` and
#: `timeout=`. curl reads the body from `input=` where it is told `--data @-`.
#: hint: `body = json.dumps({"dataframe_split": wines.to_dict("split")})`, and for Python
#: `requests.post(url, body, headers={"Content-Type": "application/json"}, timeout=60)`, which has
#: `.json()["predictions"]` and `.status_code`. For curl `subprocess.run(["curl", "--silent",
#: "--header", "Content-Type: application/json", "--data", "@-", url], input=body,
#: capture_output=True, text=True, check=True).stdout`, which `json.loads` reads.
def interview(address, wines):
    """Ask a served model by Python and by curl, and send it two wrong bodies."""
    url, header = f"{address}/invocations", {"Content-Type": "application/json"}
    body = json.dumps({"dataframe_split": wines.to_dict("split")})
    dry = json.dumps({"dataframe_split": wines.drop(columns="alcohol").to_dict("split")})
    curl = ["curl", "--silent", "--header", "Content-Type: application/json", "--data", "@-", url]
    said = subprocess.run(curl, input=body, capture_output=True, text=True, check=True).stdout
    answers = {"curl": json.loads(said)["predictions"]}
    answers["python"] = requests.post(url, body, headers=header, timeout=60).json()["predictions"]
    for name, wrong in (("malformed", "wine"), ("no alcohol", dry)):
        refusal = requests.post(url, wrong, headers=header, timeout=60)
        answers[name] = [refusal.status_code, refusal.json()["message"]]
    return answers

# %% serve
#: serve the champion with `mlflow models serve`: by its alias, in the
#: local environment, on 127.0.0.1. Let your function ask it for the test
#: wines, as `answers`. Add three things: the largest "difference" to the
#: predictions made here, the true qualities as the list "judged", and
#: time.time() as "asked". Log all on the champion's run: service.json.
#: hint: `serving` takes the command, as a list of words, and a file for what the server says. In a
#: `with` line it gives the address, and the server stops where the `with` ends. The test wines are
#: `tables[1]`, their qualities `tables[3]`. `client.log_dict` takes a run's id, a dictionary and a
#: file's name.
#: hint: `command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local",
#: "--host", "127.0.0.1", "--model-uri", f"models:/{registered_name}@champion"]`, then `with
#: serving(command, output / "service.log") as address:` and below it `answers = interview(address,
#: tables[1])`. Then `tables[3].to_list()`, because `log_dict` writes a column as one text, and
#: `float(abs(predictions - answers["python"]).max())`.
command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
command += ["--host", "127.0.0.1", "--model-uri", f"models:/{registered_name}@champion"]
with serving(command, output / "service.log") as address:
    answers = interview(address, tables[1])
answers |= {"judged": tables[3].to_list(), "asked": time.time()}
answers["difference"] = float(abs(predictions - answers["python"]).max())
client.log_dict(champion.run_id, answers, "service.json")

# %% show-service
#: print how many answers there are and the difference, and for each
#: wrong body the status and what the message says in the end.
#: hint: `.split("Error: ")` cuts a text in pieces, and `[-1]` is the last one.
#: hint: `print(f"{len(answers['python'])} answers, {answers['difference']:.12f} from those made
#: here")`, then for both names `print(f"{name}: {answers[name][0]}", answers[name][1].split("Error:
#: ")[-1][:60])`
print(f"{len(answers['python'])} answers, {answers['difference']:.12f} from those made here")
for name in ("malformed", "no alcohol"):
    print(f"{name}: {answers[name][0]}", answers[name][1].split("Error: ")[-1][:60])
