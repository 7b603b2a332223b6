# %% import-atexit (given)
import atexit

# %% import-os (given)
import os

# %% import-socket (given)
import socket

# %% import-subprocess (given)
import subprocess

# %% import-sys (given)
import sys

# %% import-time (given)
import time

# %% import-urllib (given)
import urllib.request

# %% start-server (given)
def start_server(database, artifacts, log):
    """Start a tracking server on a free port of this machine: its process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # port 0: the system picks a free one
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", artifacts.as_uri()]
    # Jobs are for language models; without them it is up in half the time.
    variables = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log.parent.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as words:
        server = subprocess.Popen(command, env=variables, stdout=words, stderr=words)
    atexit.register(stop_server, server)  # should an error come before the last cell
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
            return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.2)  # not up yet
    raise RuntimeError(f"the server ended before it answered; read {log}")

# %% stop-server (given)
def stop_server(server):
    """Stop a server, and wait until it has gone; one that has gone already is fine."""
    if sys.platform == "win32":  # where ending a process leaves those that it started
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(server.pid)], capture_output=True)
    server.terminate()
    server.wait()

# %% store-file (given)
store = (course / "mlflow.db").as_posix()

# %% tracking-uri (given)
mlflow.set_tracking_uri(f"sqlite:///{store}")

# %% server
#: take the address from the environment variable MLFLOW_TRACKING_URI,
#: or else the course's file, as `database`. If that is no server's,
#: start one on it: artifacts in the course's folder mlruns, the log in
#: output/server.log.
#: hint: `os.environ.get` takes the name of a variable and what to use without it. An address of a
#: server starts with "http". `start_server` stands in a cell of its own above.
#: hint: `database = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}")`, then `server,
#: address = None, database`, then `if not database.startswith("http"):` and below it `server,
#: address = start_server(database, course / "mlruns", course / "output" / "server.log")`
database = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
server, address = None, database  # one that runs elsewhere
if not database.startswith("http"):
    log = course / "output" / "server.log"
    server, address = start_server(database, course / "mlruns", log)

# %% tracking-uri
#: make that address MLflow's, in place of the file.
#: hint: The call is the one of block [[tracking_uri]].
#: hint: `mlflow.set_tracking_uri(address)`
mlflow.set_tracking_uri(address)

# %% experiment
#: use the experiment "wine-server": one that a server has made.
#: hint: Only the name changes.
#: hint: `experiment = mlflow.set_experiment("wine-server")`
experiment = mlflow.set_experiment("wine-server")
print("Experiment", experiment.name, "keeps its files at", experiment.artifact_location)

# %% stop
#: if you started a server, stop it, and let MLflow look at its database
#: again.
#: hint: `server` is None where another one was used: that one must go on.
#: hint: `if server is not None:` and below it `stop_server(server)` and
#: `mlflow.set_tracking_uri(database)`
if server is not None:
    stop_server(server)
    mlflow.set_tracking_uri(database)
