"""SIGTERM ends a process that runs Lightning's loops, as it ends any other."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import sys, time
import torch
from sat_exp.modules.hardware import Hardware
from lightning import LightningModule
from torch.utils.data import DataLoader

class Waiting(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def predict_step(self, *batch):
        open("ready", "w").close()
        time.sleep(60)

    training_step = predict_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())

trainer = Hardware("cpu", "32-true", 1, threads=1, workers=1).trainer(enable_progress_bar=False)
getattr(trainer, sys.argv[1])(Waiting(), DataLoader(range(1), batch_size=None))
"""


@pytest.mark.parametrize("loop", ["predict", "fit"])
def test_a_script_can_be_terminated(loop: str, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, loop], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    latest = time.monotonic() + 60
    while not (tmp_path / "ready").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < latest
        time.sleep(0.05)
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM
    assert "Received SIGTERM" not in process.communicate()[1]
