"""task=train: train a pool's networks on a data set's training images."""

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from omegaconf import DictConfig, open_dict
from safetensors.torch import save_file
from torch import Tensor

from sat_exp import models, tracking
from sat_exp.modules.hardware import Hardware
from sat_exp.modules.training import Training
from sat_exp.store import key_of
from sat_exp.tasks import composing, describing

log = logging.getLogger(__name__)


FINISHING_RATE = 0.25
"""The learning rate of the finishing epochs, as a share of the main one's."""


class EpochLog(Callback):
    """Sends what the module logs to W&B, one row an epoch, under the model's name."""

    def __init__(self, run: tracking.Run, model: str) -> None:
        self.run, self.model = run, model

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {f"{self.model}/{key}": float(value) for key, value in trainer.callback_metrics.items()}
        self.run.log(metrics, step=trainer.current_epoch)


def run(config: DictConfig, *, name: str, directory: str, **recipe: Any) -> None:
    """Train every model that `directory` does not hold yet; a second process takes the next free one.

    `recipe`: epochs on augmented images, finishing_epochs on plain ones, batch_size, optimizer, learning_rate,
    weight_decay and seed, each of which a model's `training` may replace.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = composing.models(config)
    settings = instantiate(config.tracking)
    summary = describing.describe(config, f"Training of {len(chosen)} models")
    output = Path(HydraConfig.get().runtime.output_dir)
    with tracking.run(
        settings, name=describing.run_name(config, output), job_type=name, directory=output, config=summary
    ) as tracked:
        for model in chosen:
            own = recipe | dict(model.get("training", {}))
            train_one(model, own, folder, config, tracked)


def train_one(model: DictConfig, recipe: dict[str, Any], folder: Path, config: DictConfig, run: tracking.Run) -> None:
    record = folder / f"{model.name}.json"
    try:
        with FileLock(folder / f".{model.name}.lock", timeout=0):
            if record.is_file() and json.loads(record.read_text())["recipe"] == recipe:
                log.info("%s is trained already", model.name)
            else:
                fit(model, recipe, folder, config, run)
    except Timeout:
        log.info("%s is being trained by another process", model.name)


def fit(model: DictConfig, recipe: dict[str, Any], folder: Path, config: DictConfig, run: tracking.Run) -> None:
    """Train one model, from its last finished epoch where there is one; write its weights and a record of them."""
    with open_dict(model):
        model.pretrained, model.training = False, recipe
    seed_everything(recipe["seed"], verbose=False)
    data: LightningDataModule = instantiate(config.dataset, batch_size=recipe["batch_size"])
    hardware: Hardware = instantiate(config.hardware)
    classifier = models.load(model).classifier
    checkpoints = folder / "checkpoints" / f"{model.name}-{key_of(recipe)}"

    def train(phase: str, epochs: int, learning_rate: float, augmented: bool) -> Training:
        settings = {key: recipe[key] for key in ("optimizer", "weight_decay")}
        module = Training(
            classifier, classes=model.classes, learning_rate=learning_rate, augmented=augmented, **settings
        )
        last = checkpoints / f"{phase}.ckpt"
        reached = torch.load(last, map_location="cpu", weights_only=True) if last.is_file() else None
        if reached and reached["epoch"] + 1 >= epochs:
            module.load_state_dict(reached["state_dict"])
            return module
        trainer = hardware.trainer(
            max_epochs=epochs,
            limit_val_batches=0,
            enable_checkpointing=True,
            callbacks=[
                ModelCheckpoint(checkpoints, phase, enable_version_counter=False, save_on_train_epoch_end=True),
                EpochLog(run, f"{model.name}/{phase}"),
                RichProgressBar(),
            ],
        )
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if reached else None, weights_only=True)
        return module

    started = time.perf_counter()
    module = train("main", recipe["epochs"], recipe["learning_rate"], augmented=True)
    if recipe["finishing_epochs"]:
        module = train("finish", recipe["finishing_epochs"], recipe["learning_rate"] * FINISHING_RATE, augmented=False)
    seconds = time.perf_counter() - started
    state = {key: compact(tensor.detach().cpu()) for key, tensor in classifier.network.state_dict().items()}
    classifier.network.load_state_dict(state)
    (result,) = hardware.trainer(enable_progress_bar=False).validate(module, datamodule=data, verbose=False)
    weights = folder / f"{model.name}.safetensors"
    save_file(state, weights)
    weights.chmod(0o644)
    facts = {
        "model": model.name,
        "test_accuracy": round(result["test/accuracy"], 4),
        "parameters": sum(parameter.numel() for parameter in classifier.parameters()),
        "seconds": round(seconds),
        "recipe": recipe,
        "torch": torch.__version__,
    }
    (folder / f"{model.name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(checkpoints)
    run.log({f"{model.name}/test_accuracy": result["test/accuracy"], f"{model.name}/seconds": seconds})
    log.info("%s: test accuracy %.2f %% after %.0f s", model.name, 100 * result["test/accuracy"], seconds)


def compact(tensor: Tensor) -> Tensor:
    """Weight matrices and kernels in half precision; vectors, statistics and counters as they are."""
    return tensor.half() if tensor.is_floating_point() and tensor.ndim >= 2 else tensor
