"""SIGTERM while Lightning runs."""

import signal
import threading
from typing import Any

from lightning import Callback


class OwnSigterm(Callback):
    """Keeps this process's reaction to SIGTERM. Lightning replaces the default one, the end of the process, by a
    message, so that a script that measures could not be terminated."""

    reaction: Any

    def setup(self, *_: Any, **__: Any) -> None:
        """Note the reaction, before Lightning sets its own."""
        self.reaction = signal.getsignal(signal.SIGTERM)

    def restore(self) -> None:
        if self.reaction is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.reaction)

    def on_train_start(self, *_: Any) -> None:
        self.restore()

    def on_validation_start(self, *_: Any) -> None:
        self.restore()

    def on_predict_start(self, *_: Any) -> None:
        self.restore()
