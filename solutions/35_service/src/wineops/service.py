"""Serve the champion: GET /health, and POST /predict for one wine or many.

python -m wineops.service --port 8000
"""

import argparse
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError

from wineops.live_model import LiveModel
from wineops.schema import Health, Predictions, Problem, Wines, table_of

live = LiveModel()


@asynccontextmanager
async def lifespan(app):
    """Watch the registry for as long as the service runs."""
    live.start()
    yield
    live.stop()


app = FastAPI(title="Wine quality", version="1", lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def refuse(request, error):
    """Name each wrong field. What was sent isn't repeated: it may be long, or no JSON."""
    detail = [{"loc": one["loc"], "msg": one["msg"], "type": one["type"]} for one in error.errors()]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")


@app.get("/health", responses={503: {"model": Health}})
async def health(response: Response) -> Health:
    """The version in use, and since when; 503 while there is none."""
    loaded = live.loaded
    if loaded is None:
        response.status_code = 503
        return Health(problem=live.problem)
    return Health(version=loaded.version, since=loaded.since, problem=live.problem)


@app.post("/predict", responses={400: {"model": Problem}, 503: {"model": Problem}})
async def predict(body: Wines) -> Predictions:
    """A quality for each wine, in their order; 503 while there is no model."""
    # async: the prediction takes a millisecond, a thread for it half of one.
    loaded = live.loaded
    if loaded is None:
        raise HTTPException(503, live.problem)
    qualities = loaded.predict(table_of(body.wines))
    return Predictions(version=loaded.version, predictions=qualities.tolist())


def listen(port):
    """Take a port of this machine; 0 takes a free one."""
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise SystemExit(f"Port {port} can't be taken: {error}. Name another.") from error
    # Send each answer at once, as asyncio does on sockets of its own.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def main():
    """Serve until a signal comes, then answer the requests that are running, and end."""
    parser = argparse.ArgumentParser(description="Serve the champion.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    arguments = parser.parse_args()

    # 1. Don't wait minutes for a registry that is away: the next look comes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

    # 2. After it has stopped, uvicorn sends itself the signal again: end well
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # SIGBREAK is on Windows alone
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(0))

    # 3. Serve
    listener = listen(arguments.port)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=20
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
