"""Signals during difficult moments of a process: it ends with one line and the right exit code, within seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SIGNALS = {
    signal.SIGINT: "interrupted; the same command continues",
    signal.SIGTERM: "terminated; the same command continues",
}
BOTH = pytest.mark.parametrize("number", SIGNALS, ids=["Ctrl-C", "SIGTERM"])

DOING = {
    "waiting": "wait()",
    "handling another error": "try: 1 / 0\nexcept ZeroDivisionError: wait()",
    "in a destructor": "class Held:\n def __del__(self): wait()\nheld = Held()\ndel held\nwait()",
    "in C": "long()",
    "swallowing everything": "while True:\n try: wait()\n except BaseException: pass",
    "turning it into another error": "try: wait()\nexcept SystemExit: raise RuntimeError('mine')",
    "waiting for a thread": "thread = threading.Thread(target=wait)\nthread.start()\nthread.join()",
    "waiting for a process": "ready()\nsubprocess.run(['sleep', '60'])",
    "starting threads": "ready()\nwhile True: threading.Thread(target=int).start()",
    "at its exit": "atexit.register(wait)",
    "after a mark": "with stopping.marking(mark): pass\nwait()",
    "with a mark": "with stopping.marking(mark): wait()",
    "with a mark in C": "with stopping.marking(mark): long()",
    "with a mark that fails": "with stopping.marking(mark), stopping.marking(lambda: 1 / 0): wait()",
    "with a mark without end": "with stopping.marking(wait): wait()",
}


def program(body: str, worker: bool = False) -> str:
    """Does `body` under the handler, with an orderly end of at most half a second."""
    indented = body.replace("\n", "\n    ")
    return (
        "import atexit, hashlib, multiprocessing, os, signal, subprocess, sys, threading, time\n"
        "from sat_exp import stopping\n"
        "def ready(): open('ready', 'w').close()\n"
        "def wait(): ready(); time.sleep(60)\n"
        "def long(): ready(); hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
        "def mark(): print('marked', flush=True)\n"
        "stopping.ORDERLY = stopping.MARKING = 0.5\n"
        f"with stopping.handled(worker={worker}):\n    {indented}\n"
    )


def begin(folder: Path, code: str, ignored: bool = False) -> subprocess.Popen[str]:
    """Start Python with `code` in `folder`, as from a terminal: a shell's background jobs ignore Ctrl-C."""
    handler = signal.SIG_IGN if ignored else signal.SIG_DFL
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
        start_new_session=True,
    )
    wait_for(folder / "ready", process)
    return process


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    latest = time.monotonic() + 60
    while not file.exists():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < latest
        time.sleep(0.02)
    time.sleep(0.1)


def told(process: subprocess.Popen[str]) -> list[str]:
    """What it printed, once it has ended."""
    try:
        text, _ = process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return text.splitlines()


@BOTH
@pytest.mark.parametrize("doing", DOING)
def test_one_line_and_the_exit_code_of_the_signal(tmp_path: Path, number: signal.Signals, doing: str) -> None:
    process = begin(tmp_path, program(DOING[doing]))
    process.send_signal(number)
    marked = ["marked"] if "with a mark" in doing and "without end" not in doing else []
    assert told(process) == [SIGNALS[number], *marked]
    assert process.returncode == 128 + number


@BOTH
def test_a_second_signal_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    code = program(DOING["swallowing everything"]).replace("ORDERLY = stopping.MARKING = 0.5", "ORDERLY = 600")
    process = begin(tmp_path, code)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(number)
    assert told(process) == [SIGNALS[signal.SIGTERM]]
    assert process.returncode == 128 + signal.SIGTERM


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    process = begin(tmp_path, program("ready()\ntime.sleep(1)\nprint('done')"), ignored=True)
    process.send_signal(signal.SIGINT)
    assert told(process) == ["done"]
    assert process.returncode == 0


@BOTH
def test_a_worker_says_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = begin(tmp_path, program("wait()", worker=True) + "print('went on')")
    process.send_signal(number)
    assert told(process) == []
    assert process.returncode == 128 + number


@BOTH
def test_processes_of_a_launcher_end_too(tmp_path: Path, number: signal.Signals) -> None:
    body = "other = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,))\nother.start()\n"
    process = begin(tmp_path, program(body + "print(other.pid, flush=True)\nready()\nother.join()"))
    process.send_signal(number)
    (other, line) = told(process)
    assert line == SIGNALS[number]
    with pytest.raises(ProcessLookupError):
        os.kill(int(other), 0)


def test_a_forked_childs_signals_are_its_own(tmp_path: Path) -> None:
    body = (
        "child = os.fork()\nif not child:\n time.sleep(60)\n"
        "time.sleep(0.2)\nos.kill(child, signal.SIGTERM)\nprint(os.waitpid(child, 0)[1])\n"
    )
    process = begin(tmp_path, program("ready()\n" + body))
    assert told(process) == [str(int(signal.SIGTERM))]
    assert process.returncode == 0


@BOTH
@pytest.mark.parametrize("during", ["body", "finish"])
def test_a_run_that_is_stopped_says_so_although_its_server_is_silent(
    tmp_path: Path, number: signal.Signals, during: str
) -> None:
    """W&B's `finish` never returns: in the body of the run, and where the run had ended well."""
    body = f"""
from pathlib import Path
from types import SimpleNamespace
from sat_exp.tracking import Tracking, owner
def finish(exit_code):
    print(exit_code, client.tags, flush=True)
    wait()
settings = SimpleNamespace(sync_dir='.')
client = SimpleNamespace(id='x', url='', settings=settings, finish=finish, tags=('mine',))
owner.start = lambda *args, **options: owner.Run(client, 'online', Path.cwd())
with owner.run(Tracking(), name='n', job_type='t', directory=Path.cwd(), config={{}}):
    if {during == "body"}: wait()
"""
    process = begin(tmp_path, program(body).replace("ORDERLY = stopping.MARKING", "MARKING"))
    process.send_signal(number)
    lines = told(process)
    assert lines.pop(1 if during == "finish" else 0) == SIGNALS[number]
    expected = [f"{128 + number} ('mine', 'stopped')"] if during == "body" else ["0 ('mine',)"]
    assert lines[:1] == expected
    assert json.loads((tmp_path / "tracking.json").read_text())["state"] == "stopped"
    assert process.returncode == 128 + number


@BOTH
def test_while_the_command_line_is_imported(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "hydra.py").write_text("open('ready', 'w').close()\nimport time\ntime.sleep(60)\n")
    code = "import runpy, sys\nsys.path.insert(0, '')\nrunpy.run_module('sat_exp', run_name='__main__')"
    process = begin(tmp_path, code)
    process.send_signal(number)
    assert told(process) == [SIGNALS[number]]
    assert process.returncode == 128 + number


@pytest.mark.parametrize("arguments", ["--help", "--cfg job"])
def test_nobody_reads_the_output(tmp_path: Path, arguments: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "sat_exp", *arguments.split()]
    ended = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", ["--help", "--cfg job"])
def test_no_room_for_the_output(tmp_path: Path, arguments: str) -> None:
    command = [sys.executable, "-m", "sat_exp", *arguments.split()]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: the disk is full")
