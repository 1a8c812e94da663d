"""The command line in a process that is forked from one with everything imported, with one fault injected.

runpy runs this file with `settings`, the fields of `harness.Start`. A write event is a file that is opened for writing,
renamed, linked or removed, or a folder that is made or removed, below the working folder. Python's audit hooks count
these events from 0, so that the same number stops the same command at the same place.
"""

import atexit
import json
import os
import resource
import runpy
import signal
import sys
import threading
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename": 1, "os.link": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0, "os.truncate": 0}
"""Audit events that change a folder, and which of their arguments is the path that changes."""


def written(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an audit event is about to write, None for other events."""
    if event == "open":
        path, _, flags = arguments
        if not flags & WRITING:
            return None
    elif event in CHANGES:
        path = arguments[CHANGES[event]]
    else:
        return None
    return None if isinstance(path, int) else os.path.abspath(os.fsdecode(path))  # noqa: PTH100


class Events:
    """Counts write events below `folder`; before event number `at` it sends this process `number`, once."""

    def __init__(self, folder: str, log: str | None, at: int | None, number: int) -> None:
        self.folder, self.at, self.number = folder + os.sep, at, number
        self.lines = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.count = 0
        self.lock = threading.RLock()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" and event not in CHANGES:
            return
        path = written(event, arguments)
        if path is None or not path.startswith(self.folder):
            return
        with self.lock:
            mine, self.count = self.count, self.count + 1
            if self.lines is not None:
                os.write(self.lines, f"{event}\t{path.removeprefix(self.folder)}\n".encode())
        if mine == self.at:
            os.kill(os.getpid(), self.number)


def tear_files(limit: int) -> None:
    """Have the system end this process as soon as a file grows beyond `limit` bytes: the file keeps that many."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def redirect(output: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)


def become(settings: dict[str, Any]) -> None:
    """Be `python -m sat_exp ARGUMENTS`, in its folder and environment."""
    redirect(settings["output"])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have their background jobs ignore it
    os.chdir(settings["folder"])
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    os.environ.update(settings["environment"])
    sys.path[:0] = settings["modules"]
    sys.argv = ["sat_exp", *settings["arguments"]]
    sys.addaudithook(Events(settings["folder"], settings["log"], settings["at"], settings["number"]))
    if settings["limit"] is not None:
        tear_files(settings["limit"])
    try:
        runpy.run_module("sat_exp", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a process of multiprocessing ends without
        if settings["peak"] is not None:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            Path(settings["peak"]).write_text(json.dumps({"kibibytes": peak}))


if __name__ == "__main__":
    become(settings)  # type: ignore[name-defined]  # noqa: F821
