# %% import-os (given)
import os

# %% start-server (given, notebook)
# In a project you'd start it in a terminal: the lesson shows the line.
import atexit
import socket
import subprocess
import sys
import time
import urllib.request


def start_server(database, artifacts, log):
    """Start a tracking server on a free port of this machine: its process and its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # port 0: the system picks a free one
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", artifacts.as_uri()]
    # Jobs are for language models; without them it is up in half the time.
    variables = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log.parent.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as words:
        server = subprocess.Popen(command, env=variables, stdout=words, stderr=words)
    atexit.register(stop_server, server)  # if an error comes before the cell that stops it
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
            return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.2)  # not up yet
    raise RuntimeError(f"the server ended before it answered; read {log}")


def stop_server(server):
    """Stop a server, and wait until it has gone; one that has gone already is fine."""
    if sys.platform == "win32":  # where ending a process leaves those that it started
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(server.pid)], capture_output=True)
    server.terminate()
    server.wait()


# %% server (given, notebook)
database = f"sqlite:///{(course / 'mlflow.db').as_posix()}"
log = course / "output" / "server.log"
server, address = start_server(database, course / "mlruns", log)
os.environ["MLFLOW_TRACKING_URI"] = address  # what a team's machines have in their settings

# %% store-file (given)
store = (course / "mlflow.db").as_posix()

# %% tracking-uri (given)
mlflow.set_tracking_uri(f"sqlite:///{store}")

# %% tracking-uri
#: take the address from the environment variable MLFLOW_TRACKING_URI;
#: where it isn't set, use the course's file as before.
#: hint: `os.environ.get` takes the name of a variable, and what to use without it.
#: hint: `mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))`
mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))

# %% experiment
#: use the experiment "wine-server", so that the server creates it.
#: hint: Only the name changes.
#: hint: `experiment = mlflow.set_experiment("wine-server")`
experiment = mlflow.set_experiment("wine-server")
print("Experiment", experiment.name, "keeps its files at", experiment.artifact_location)

# %% stop (given, notebook)
stop_server(server)
os.environ["MLFLOW_TRACKING_URI"] = database
mlflow.set_tracking_uri(database)
