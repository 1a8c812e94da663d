"""Faulty servers for W&B."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..tracking.conftest import Server

Address = Iterator[int]
ONLINE = ("tracking=online", "tracking.connect_seconds=3", "tracking.upload_seconds=3")


@contextmanager
def refusing() -> Address:
    """A port at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def hanging() -> Address:
    """Connections are taken and nothing is ever said."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Address:
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    running.asked, running.views, running.runs = [], {}, []  # type: ignore[attr-defined]
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield running.server_port
    finally:
        running.shutdown()
        running.server_close()


class Saying(BaseHTTPRequestHandler):
    """Answers everything with one status and one content."""

    status, content = 500, b"broken"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    do_POST = do_PUT = do_GET = do_HEAD = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


def saying(status: int, content: bytes) -> Callable[[], Any]:
    return lambda: serving(type("Says", (Saying,), {"status": status, "content": content}))


def dying(requests: int, then: str) -> Callable[[], Any]:
    """A server that answers so many requests, and from then on closes connections, hangs, or is broken."""

    class Dying(Server):  # type: ignore[misc, valid-type]
        count = 0
        lock = threading.Lock()

        def reply(self, content: bytes) -> None:
            with Dying.lock:
                Dying.count += 1
                dead = Dying.count > requests
            if not dead:
                super().reply(content)
            elif then == "closes":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif then == "hangs":
                time.sleep(60)
            else:
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()

    return lambda: serving(Dying)


SERVERS = {
    "refuses": refusing,
    "hangs": hanging,
    "says 500": saying(500, b"broken"),
    "says 401": saying(401, b"{}"),
    "says 404": saying(404, b"not here"),
    "says nonsense": saying(200, b"<html>"),
    "says null": saying(200, b"null"),
    "closes from the first request": dying(0, "closes"),
} | {f"{then} after {requests} requests": dying(requests, then)
     for then in ("closes", "hangs", "breaks") for requests in (2, 4, 7, 12)}  # fmt: skip


def settings(port: int) -> dict[str, str]:
    """The environment of a run that W&B takes to a local server, with a key that is none."""
    return {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": "0" * 40}
