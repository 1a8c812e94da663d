"""Buckets of a server on loopback, and what a store in one holds."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat_exp.store import Store, inventory
from sat_exp.store.store import NOT_KINDS

SECRET = "wJalrXUtnFEMI/K7MDENG"
SERVER = Path(__file__).with_name("s3_server.py")


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """A server with a bucket `study`; the environment in which its clients find it."""
    process = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        assert port, "the server did not start"
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def chunks(url: str) -> dict[str, str]:
    """The SHA-256 of every chunk and row of a store; without what it remembers of models, see `small_study.parts`."""
    store = Store.at(url)
    folders = [folder for folder in store.backend.list("").folders if folder not in (*NOT_KINDS, "identities")]
    names = [name for folder in folders for name, _ in inventory.everything_below(store, folder)]
    return {
        name: hashlib.sha256(store.backend.read(name) or b"").hexdigest()
        for name in names
        if not name.endswith(".json")
    }
