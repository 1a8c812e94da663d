"""Ctrl-C and SIGTERM: one line, then an orderly end within ten seconds.

The first signal raises `Stopped` in the main thread. This can fail: an exception within `__del__` is swallowed, and no
handler runs while the main thread is in C code. A thread therefore waits for signals too. It ends the process with
`os._exit` at a second signal, or after `ORDERLY` seconds. In all cases the functions registered by `marking` are called
first, so that an open run is marked as stopped. A hard end loses nothing, because files of the store and of a run's
folder are written atomically.

Only small modules of the standard library are imported, so that `--help` is fast.
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

ORDERLY = 7.0  # seconds for an orderly end
MARKING = 1.0  # seconds for marking open runs before a hard end
CHILDREN = 2.0  # seconds for child processes of a launcher or of a training to end before they are killed
AGAIN = 0.02  # seconds after which a swallowed exception is raised again
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(SystemExit):
    """Raised in the main thread by a signal; `code` is 128 plus the signal's number."""


class Stopping:
    """The state of stopping this process.

    number: the first signal received, or SIGPIPE. worker: the process is a launcher's; its parent prints the line.
    inside: in the body of `handled`. raised: `Stopped` was raised. ending: it left the body. over: the body ended
    without a signal. marks: functions to call before the end.

    The handler starts no thread and waits for no lock, which the main thread may be holding.
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
        """Take over the signals, except one that the parent process set to be ignored."""
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
        """In a forked child: restore the handlers, and write no signals to the parent's pipe."""
        global state
        state = None
        signal.set_wakeup_fd(-1)
        for number, handler in self.before.items():
            if signal.getsignal(number) == self.interrupt:
                signal.signal(number, handler)

    def note(self, number: int) -> None:
        """Record the first signal and print one line."""
        if self.noting.acquire(blocking=False):
            self.number = number
            if not self.worker:
                write(f"{WORDS[signal.Signals(number)]}; the same command continues\n")

    def watch(self, reading: int) -> None:
        """Wait for a signal, then for a second one or the end of `ORDERLY` seconds; end the process."""
        received, deadline = 0, float("inf")
        while received < 2 and not (received and self.over):
            timeout = None if not received else max(0.0, deadline - time.monotonic())
            if not select.select([reading], [], [], timeout)[0]:
                break
            for number in os.read(reading, 1):
                if number in WORDS:
                    self.note(number)
                    received, deadline = received + 1, min(deadline, time.monotonic() + ORDERLY)
        self.hard.set()
        self.marked.wait(MARKING)
        end_children(patience=0.0)
        self.exit()

    def mark_for_hard_end(self) -> None:
        self.hard.wait()
        self.mark()
        self.marked.set()

    def mark(self) -> None:
        """Call each registered function once, and ignore exceptions."""
        while self.marks:
            with suppress(Exception):
                self.marks.pop()()

    def exit(self) -> None:
        if sys.stderr.isatty():
            write("\x1b[?25h")  # show the cursor, which progress bars hide
        os._exit(128 + (self.number or 0))

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler, run in the main thread."""
        self.note(number)
        if self.over:
            self.exit()
        if "logging" in sys.modules:
            sys.modules["logging"].disable()  # no lines after the one about the signal
        if not self.raised and not self.ending:
            self.raised = True
            end_children(CHILDREN)
            self.interrupt_again()

    def interrupt_again(self, *_: Any) -> None:
        if self.number is not None and not self.ending:
            raise Stopped(128 + self.number)

    def swallowed(self, unraisable: Any) -> None:
        """Raise `Stopped` again after a moment, where Python swallowed it."""
        if isinstance(unraisable.exc_value, Stopped):
            signal.signal(signal.SIGALRM, self.interrupt_again)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            self.printed(unraisable)


state: Stopping | None = None


def begin(worker: bool = False) -> Stopping:
    """Take over the signals, once. `handled` calls this itself; call it earlier where imports take long."""
    global state
    if state is None:
        state = Stopping(worker)
        state.install()
    return state


@contextmanager
def handled(worker: bool = False) -> Iterator[None]:
    """Run a program as the body, or a job in a launcher's `worker`; a signal in the body ends this process. Nested, or
    outside the main thread, it has no effect."""
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
            this.exit()  # a worker would wait for its next job
        sys.exit(128 + this.number)


@contextmanager
def marking(mark: Callable[[], None]) -> Iterator[None]:
    """Have `mark` called, once and from any thread, if a signal ends the process before the body does."""
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
    """The signal that is ending this process, if any."""
    return None if state is None else state.number


def note_lost_output(error: BaseException) -> None:
    """End silently, as by SIGPIPE, if `error` means that the reader of standard output has gone."""
    rich = isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    if state is not None and state.number is None and (rich or (isinstance(error, BrokenPipeError) and unread())):
        state.number = signal.SIGPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes buffered output at exit


def unread() -> bool:
    """Whether standard output is a pipe whose reader has gone."""
    polled = select.poll()
    polled.register(1, 0)
    return any(event & select.POLLERR for _, event in polled.poll(0))


def write(text: str) -> None:
    """Write to standard error from a signal handler, in which print is not safe."""
    with suppress(OSError):
        os.write(2, text.encode())


def end_children(patience: float) -> None:
    """End the child processes of multiprocessing: launchers' workers and processes that share a training."""
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
