"""Follows every link within a built site, also to headings. Served, because linkchecker cannot read private folders as
root."""

import subprocess
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def copyfile(self, *files: Any) -> None:
        with suppress(BrokenPipeError):  # linkchecker reads only the head of a picture
            super().copyfile(*files)


def main(folder: str) -> int:
    """The exit status of linkchecker, which prints the broken links."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        program = Path(sys.executable).with_name("linkchecker")
        settings = Path(__file__).with_name("linkchecker.ini")
        command = [program, "--config", settings, f"http://127.0.0.1:{server.server_port}/index.html"]
        ended = subprocess.run(command, capture_output=True, text=True)
        server.shutdown()
    if ended.returncode:
        print(ended.stdout, ended.stderr, sep="\n")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
