"""Start the service, ask it for one wine, for many and for an impossible one, and stop it.

python -m wineops.ask
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import requests

from wineops import settings
from wineops.schema import EXAMPLE
from wineops.wines import read_table

WINDOWS = os.name == "nt"


@contextmanager
def running():
    """Start the service on a free port; yield its address and process, and leave none behind."""
    service = subprocess.Popen(
        [sys.executable, "-m", "wineops.service", "--port", "0"],
        cwd=settings.home,
        env={**os.environ, "PYTHONPATH": str(settings.home / "src")},
        stdout=subprocess.PIPE,
        text=True,
        creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if WINDOWS else 0,
    )
    with service:
        try:
            address = service.stdout.readline().strip()
            if not address:
                raise SystemExit("The service didn't start: read why above.")
            yield address, service
        finally:
            service.kill()


def stop(service):
    """Ask the service to end, as a terminal or a server's manager does; return its exit code."""
    service.send_signal(signal.CTRL_BREAK_EVENT if WINDOWS else signal.SIGTERM)
    return service.wait(timeout=60)


def wait_until_ready(client, address, seconds=30):
    """Wait until /health answers 200, and return what it says."""
    end = time.monotonic() + seconds
    while True:
        answer = client.get(f"{address}/health", timeout=60)
        if answer.status_code == 200:
            return answer.json()
        if answer.status_code != 503:
            raise SystemExit(f"GET /health answered {answer.status_code}: is it in the service?")
        if time.monotonic() > end:
            raise SystemExit(f"There is no model after {seconds} s. {answer.json()['problem']}")
        time.sleep(0.1)


def main():
    """Ask for one wine, for 600, and for one that can't be; keep and print the answers."""
    wines = read_table("new-red-wines.csv").drop(columns="quality").to_dict("records")
    questions = {
        "one": [EXAMPLE],
        "many": wines,
        "wrong": [EXAMPLE, {**EXAMPLE, "alcohol": 94.0}],
    }
    asked = {}
    with running() as (address, service), requests.Session() as client:
        client.trust_env = False  # no proxy leads to this machine
        asked["health"] = wait_until_ready(client, address)
        for name, question in questions.items():
            answer = client.post(f"{address}/predict", json={"wines": question}, timeout=60)
            asked[name] = {"status": answer.status_code, "answer": answer.json()}
        asked["exit code"] = stop(service)
    settings.output.mkdir(exist_ok=True)
    (settings.output / "asked.json").write_text(json.dumps(asked, indent=1), encoding="utf-8")

    print("The alias", asked["health"]["alias"], "is on version", asked["health"]["version"])
    for name in ("one", "many"):
        predictions = asked[name]["answer"].get("predictions", [])
        print(name, asked[name]["status"], len(predictions), "predictions:", predictions[:3])
    for error in asked["wrong"]["answer"].get("detail", []):
        print("wrong", asked["wrong"]["status"], error["loc"], error["msg"])
    print("The service ended with exit code", asked["exit code"])


if __name__ == "__main__":
    main()
