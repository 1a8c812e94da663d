"""Ctrl-C and SIGTERM: one line, then an orderly end, within ten seconds at the latest.

The first signal raises `Stopped` in the main thread. That can fail: an exception raised within `__del__` is swallowed,
and while the main thread is in C no handler runs. So a thread waits for signals too. It ends the process with
`os._exit` at a second signal, or when `ORDERLY` seconds have passed. Before any of these ends what `marking` was given
is called, so that an open run is marked as stopped. A hard end harms nothing: files of the store and of a run's folder
are written whole or not at all.

Only small modules of the standard library are imported, so that `--help` stays cheap.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

ORDERLY = 7.0
"""Seconds for an orderly end."""
MARKING = 1.0
"""Seconds for marking what is open before a hard end."""
CHILDREN = 2.0
"""Seconds for processes of a launcher or of a training to end, before they are killed."""
AGAIN = 0.02
"""Seconds after which an exception that was swallowed is raised again."""

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(SystemExit):
    """Raised in the main thread by a signal; `code` is 128 and the signal's number."""


class Stopping:
    """How a signal ends this process.

    number: the first signal that came, or SIGPIPE. worker: the process is a launcher's, whose parent says the line.
    inside: it is in the body of `handled`. raised: the exception has been. ending: it has arrived. over: the work was
    done without any. marks: what to call before the end.

    The handler starts no thread and takes no lock that it might wait for: the main thread may be holding it.
    """

    def __init__(self, worker: bool) -> None:
        self.worker = worker
        self.number: int | None = None
        self.inside = self.raised = self.ending = self.over = False
        self.marks: list[Callable[[], None]] = []
        self.noting = threading.Lock()
        self.hard, self.marked = threading.Event(), threading.Event()
        self.printed = sys.unraisablehook
        self.before = {number: signal.getsignal(number) for number in WORDS}

    def install(self) -> None:
        """Take over the signals, but for one that whoever started this process ignores."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        for work, arguments in ((self.watch, (reading,)), (self.mark_for_hard_end, ())):
            threading.Thread(target=work, args=arguments, daemon=True).start()
        for number, handler in self.before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self.interrupt)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        sys.unraisablehook = self.swallowed
        os.register_at_fork(after_in_child=self.release)

    def release(self) -> None:
        """In a forked child: give back the signals, and let none be written to the parent's pipe."""
        global state
        state = None
        signal.set_wakeup_fd(-1)
        for number, handler in self.before.items():
            if signal.getsignal(number) == self.interrupt:
                signal.signal(number, handler)

    def note(self, number: int) -> None:
        """Say the line, once."""
        if self.noting.acquire(blocking=False):
            self.number = number
            if not self.worker:
                say(f"{WORDS[signal.Signals(number)]}; the same command continues\n")

    def watch(self, reading: int) -> None:
        """Wait for a signal, then for the second or for the time to be up; end the process."""
        came, latest = 0, float("inf")
        while came < 2 and not (came and self.over):
            left = None if not came else max(0.0, latest - time.monotonic())
            if not select.select([reading], [], [], left)[0]:
                break
            for number in os.read(reading, 1):
                if number in WORDS:
                    self.note(number)
                    came, latest = came + 1, min(latest, time.monotonic() + ORDERLY)
        self.hard.set()
        self.marked.wait(MARKING)
        end_children(patience=0.0)
        self.exit()

    def mark_for_hard_end(self) -> None:
        self.hard.wait()
        self.mark()
        self.marked.set()

    def mark(self) -> None:
        """Call what is registered, each once, whatever it raises."""
        while self.marks:
            with suppress(Exception):
                self.marks.pop()()

    def exit(self) -> None:
        if sys.stderr.isatty():
            say("\x1b[?25h")  # progress bars hide the cursor
        os._exit(128 + (self.number or 0))

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler, run in the main thread."""
        self.note(number)
        if self.over:
            self.exit()
        if "logging" in sys.modules:
            sys.modules["logging"].disable()  # all has been said
        if not self.raised and not self.ending:
            self.raised = True
            end_children(CHILDREN)
            self.interrupt_again()

    def interrupt_again(self, *_: Any) -> None:
        if self.number is not None and not self.ending:
            raise Stopped(128 + self.number)

    def swallowed(self, unraisable: Any) -> None:
        """Have `Stopped` raised again, soon, where it was raised in a place that raises nothing."""
        if isinstance(unraisable.exc_value, Stopped):
            signal.signal(signal.SIGALRM, self.interrupt_again)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            self.printed(unraisable)


state: Stopping | None = None


def begin(worker: bool = False) -> Stopping:
    """Take over the signals, once; `handled` does so itself, where nothing that takes long comes before it."""
    global state
    if state is None:
        state = Stopping(worker)
        state.install()
    return state


@contextmanager
def handled(worker: bool = False) -> Iterator[None]:
    """The whole of a program, or a job of it in a launcher's `worker`; a signal in the body ends this process.

    Within another one, and outside the main thread, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread() or (state is not None and state.inside):
        yield
        return
    this = begin(worker)
    this.inside, this.over = True, False
    try:
        yield
    except BaseException as error:
        note_lost_output(error)
        if this.number is None:
            raise
    finally:
        this.inside = False
        this.over, this.ending = this.number is None, this.number is not None
    if this.number is not None:
        this.mark()
        if worker:
            this.exit()  # it would wait for its next job
        sys.exit(128 + this.number)


@contextmanager
def marking(mark: Callable[[], None]) -> Iterator[None]:
    """Have `mark` called, once and from any thread, where a signal ends the process before the body's end."""
    if state is None:
        yield
        return
    state.marks.append(mark)
    try:
        yield
    finally:
        if state.number is None and mark in state.marks:
            state.marks.remove(mark)


def stopped_by() -> int | None:
    """The signal that is ending this process."""
    return None if state is None else state.number


def note_lost_output(error: BaseException) -> None:
    """End silently, as by SIGPIPE, where `error` says that the reader of standard output has gone."""
    rich = isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    if state is not None and state.number is None and (rich or (isinstance(error, BrokenPipeError) and unread())):
        state.number = signal.SIGPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or what is left to write would be tried again at exit


def unread() -> bool:
    """Whether standard output is a pipe whose reader has gone."""
    polled = select.poll()
    polled.register(1, 0)
    return any(event & select.POLLERR for _, event in polled.poll(0))


def say(text: str) -> None:
    """Write to standard error, in a handler: what print uses may be in the middle of its work."""
    with suppress(OSError):
        os.write(2, text.encode())


def end_children(patience: float) -> None:
    """End the processes that multiprocessing started: launchers' workers and those that share a training."""
    if "multiprocessing.process" not in sys.modules:
        return
    from multiprocessing import active_children

    for child in active_children() if patience else []:
        child.terminate()
    latest = time.monotonic() + patience
    while active_children() and time.monotonic() < latest:
        time.sleep(0.02)
    for child in active_children():
        child.kill()
