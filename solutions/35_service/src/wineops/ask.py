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

import numpy as np
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


def wait_until_ready(client, address, seconds=60):
    """Ask /health until it no longer answers 503; return its last answer."""
    end = time.monotonic() + seconds
    while True:
        answer = client.get(f"{address}/health", timeout=60)
        if answer.status_code != 503 or time.monotonic() > end:
            return answer
        time.sleep(0.1)


def content(answer):
    """What an answer holds; one about an error inside of the service is no JSON."""
    is_json = answer.headers["content-type"] == "application/json"
    return answer.json() if is_json else {"detail": answer.text}


def main():
    """Ask for one wine, for 600, and for one that can't be; keep and print the answers."""
    kept = settings.output / "asked.json"
    kept.unlink(missing_ok=True)
    wines = read_table("new-red-wines.csv").drop(columns="quality").to_dict("records")
    questions = {
        "one": [EXAMPLE],
        "many": wines,
        "wrong": [EXAMPLE, {**EXAMPLE, "alcohol": 94.0}],
    }

    # 1. Start it, ask it, stop it
    asked = {}
    with running() as (address, service), requests.Session() as client:
        client.trust_env = False  # no proxy leads to this machine
        ready = wait_until_ready(client, address)
        for name in questions if ready.ok else ():
            body = {"wines": questions[name]}
            answer = client.post(f"{address}/predict", json=body, timeout=60)
            asked[name] = {"status": answer.status_code, "answer": content(answer)}
        asked["exit code"] = stop(service)

    # 2. Keep the answers, and print them
    if not ready.ok:
        print("GET /health answers", ready.status_code, ready.text)
        return
    asked["health"] = ready.json()
    settings.output.mkdir(exist_ok=True)
    kept.write_text(json.dumps(asked, indent=1), encoding="utf-8")
    print("The alias", asked["health"]["alias"], "is on version", asked["health"]["version"])
    for name in ("one", "many"):
        predictions = np.round(asked[name]["answer"].get("predictions", []), 3)
        print(name, asked[name]["status"], len(predictions), "predictions:", predictions[:3])
    print("wrong", asked["wrong"]["status"], asked["wrong"]["answer"])
    print("The service ended with exit code", asked["exit code"])


if __name__ == "__main__":
    main()
