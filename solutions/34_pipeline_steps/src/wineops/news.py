"""Receive what the registry's webhooks send, and keep what MLflow has signed.

WINEOPS_NEWS_SECRET=... python -m wineops.news [--port 8090]
"""

import argparse
import base64
import hashlib
import hmac
import os
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from wineops import settings

MAX_AGE = 300  # seconds


def sign(secret, content):
    """MLflow's signature of some bytes: a keyed hash that nobody can make without the secret."""
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def is_genuine(secret, delivery, sent, body, signature, now):
    """Whether MLflow has signed these news, at most MAX_AGE seconds ago."""
    expected = sign(secret, f"{delivery}.{sent}.".encode() + body)
    if not hmac.compare_digest(expected, signature):
        return False
    return abs(now - int(sent)) <= MAX_AGE


@contextmanager
def receiving(secret, file, port=0):
    """Append genuine news to a file for as long as the `with` lasts; yield the address."""
    seen = set()  # MLflow sends again what nobody has answered

    class Receiver(BaseHTTPRequestHandler):
        timeout = 5  # seconds, for a sender that says nothing

        def do_POST(self):
            """Answer 204 to what is genuine, 401 to all else."""
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 100_000))
            names = ("Delivery-Id", "Timestamp", "Signature")
            delivery, sent, signature = (self.headers.get(f"X-MLflow-{n}", "") for n in names)
            genuine = sent.isdecimal() and signature.isascii()
            genuine = genuine and is_genuine(secret, delivery, sent, body, signature, time.time())
            if genuine and delivery not in seen:
                with file.open("ab") as news:
                    news.write(body + b"\n")
                seen.add(delivery)
            self.send_response(204 if genuine else 401)
            self.end_headers()

        def log_message(self, *words):
            """Print nothing about each request."""

    server = HTTPServer(("127.0.0.1", port), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def main():
    """Receive news until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Receive the news of MLflow's registry.")
    parser.add_argument("--port", type=int, default=8090)
    port = parser.parse_args().port
    if not os.environ.get("WINEOPS_NEWS_SECRET"):
        raise SystemExit("Set WINEOPS_NEWS_SECRET to the secret that the webhook was created with.")
    settings.output.mkdir(exist_ok=True)
    with receiving(os.environ["WINEOPS_NEWS_SECRET"], settings.output / "news.jsonl", port) as url:
        print(f"News come in at {url} - Ctrl-C stops it")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
