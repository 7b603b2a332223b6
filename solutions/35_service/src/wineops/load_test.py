"""Measure the service beside `mlflow models serve`, in one run.

python -m wineops.load_test --seconds 5
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import psutil
import requests

from wineops import settings
from wineops.ask import running, wait_until_ready
from wineops.schema import ALIAS
from wineops.wines import read_table


def processor_seconds(server):
    """The processor time that a server has used, with all that it has started."""
    family = [server, *server.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in family)


def measure(address, path, body, connections, seconds, server):
    """Send a request again and again over several connections; return what it took.

    Returns the requests a second, the 50th and 99th percentile of their times in ms, the server's
    processor time for one in ms, how many failed, and how busy this program was (1.0: it was the
    bottleneck itself).
    """
    host = address.removeprefix("http://")
    times, failed = [], []
    end = time.perf_counter() + seconds

    def send():
        connection = http.client.HTTPConnection(host, timeout=60)
        while time.perf_counter() < end:
            begin = time.perf_counter()
            try:
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                (times if answer.status == 200 else failed).append(time.perf_counter() - begin)
            except (OSError, http.client.HTTPException):
                failed.append(time.perf_counter() - begin)
                connection.close()
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(connections)]
    begin, busy, used = time.perf_counter(), time.process_time(), processor_seconds(server)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, busy = time.perf_counter() - begin, time.process_time() - busy
    p50, p99 = np.quantile(times, [0.5, 0.99]) * 1000 if times else (np.nan, np.nan)
    return {
        "requests/s": len(times) / took,
        "p50 ms": p50,
        "p99 ms": p99,
        "processor ms": (processor_seconds(server) - used) / max(len(times), 1) * 1000,
        "failed": len(failed),
        "client busy": busy / took,
    }


@contextmanager
def mlflow_serving(client):
    """Run `mlflow models serve`; yield its address and process, and leave none behind."""
    settings.open_store()
    with socket.create_server(("127.0.0.1", 0)) as probe:  # port 0: the system picks a free one
        port = probe.getsockname()[1]
    uri = f"models:/{settings.registered_name}@{ALIAS}"
    options = f"--model-uri {uri} --env-manager local --host 127.0.0.1 --port {port}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uvicorn is there
    server = psutil.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", *options.split()],
        env={**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while server.poll() is None:
            try:
                client.get(f"{address}/ping", timeout=5)
                break
            except requests.RequestException:  # not up yet
                time.sleep(0.2)
        yield address, server
    finally:
        for process in [*server.children(recursive=True), server]:
            process.kill()
        server.wait()


def main():
    """Measure both in turn, round after round, and print the medians."""
    parser = argparse.ArgumentParser(description="Measure the service beside MLflow's server.")
    parser.add_argument("--wines", type=int, nargs="+", default=[1, 100], help="in each request")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=5, help="each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = read_table("new-red-wines.csv").drop(columns="quality")

    rows = []
    with requests.Session() as client:
        client.trust_env = False  # no proxy leads to this machine
        with running() as (ours, service), mlflow_serving(client) as (theirs, mlflow_server):
            processes = {"service": psutil.Process(service.pid), "mlflow": mlflow_server}
            if not wait_until_ready(client, ours).ok:
                raise SystemExit("The service has no model: ask its /health why.")
            for _ in range(arguments.rounds):
                for wines in arguments.wines:
                    some = table.head(wines)
                    bodies = {
                        "service": (ours, "/predict", {"wines": some.to_dict("records")}),
                        "mlflow": (
                            theirs,
                            "/invocations",
                            {"dataframe_split": some.to_dict("split", index=False)},
                        ),
                    }
                    for connections in arguments.connections:
                        for server, (address, path, body) in bodies.items():
                            text = json.dumps(body)
                            sent = (address, path, text, connections)
                            measure(*sent, 0.5, processes[server])  # warm up
                            took = measure(*sent, arguments.seconds, processes[server])
                            case = {"wines": wines, "connections": connections, "server": server}
                            rows.append(case | took)
    medians = pd.DataFrame(rows).groupby(["wines", "connections", "server"], sort=False).median()
    print(medians.round(2).to_string())


if __name__ == "__main__":
    main()
