"""Batches that do not fit into memory, and hardware settings that the machine cannot satisfy."""

from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from sat_exp.attacks import PGD
from sat_exp.errors import UserError
from sat_exp.models import Classifier
from sat_exp.modules.hardware import Fitting, Hardware, Precision


class Memory:
    """A step that doubles its batch, on a device that holds `room` images."""

    def __init__(self, room: int) -> None:
        self.room, self.sizes = room, []  # type: ignore[var-annotated]

    def __call__(self, images: Tensor, labels: list[int]) -> Tensor:
        assert len(images) == len(labels)
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return 2 * images + torch.tensor(labels)


@pytest.mark.parametrize("size", [1, 2, 7, 16])
@pytest.mark.parametrize("room", [1, 3, 100])
def test_halves_give_what_the_whole_batch_gives_in_its_order(size: int, room: int) -> None:
    memory = Memory(room)
    images, labels = torch.arange(size), list(range(size))
    assert Fitting()(memory, images, labels).tolist() == [3 * index for index in range(size)]
    assert sum(part for part in memory.sizes if part <= room) == size


def test_one_image_that_does_not_fit_is_the_end() -> None:
    with pytest.raises(UserError, match="memory does not hold one image"):
        Fitting()(Memory(0), torch.arange(4), [0, 1, 2, 3])


def test_other_errors_are_not_retried() -> None:
    calls = []

    def broken(images: Tensor) -> Tensor:
        calls.append(len(images))
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        Fitting()(broken, torch.arange(4))
    assert calls == [4]


def test_an_attack_in_halves_starts_from_the_same_random_images() -> None:
    """Memory may run out after the random starts have been drawn."""
    classifier = Classifier(Narrow(room=3), size=4, mean=[0.0], std=[1.0], interpolation="bilinear").freeze()
    batch: dict[str, Any] = {
        "images": torch.full((8, 1, 4, 4), 100, dtype=torch.uint8),
        "labels": torch.zeros(8, dtype=torch.long),
        "seeds": torch.arange(8),
    }
    attack = PGD(epsilon=8, step_size=1, steps=2, random_start=True)
    halves = Fitting()(partial(attack, classifier), *batch.values())
    classifier.network.room = 100  # type: ignore[assignment]
    assert torch.equal(halves, attack(classifier, batch["images"], batch["labels"], batch["seeds"]))


class Narrow(nn.Module):
    """Two logits, on a device that holds `room` images."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def forward(self, pixels: Tensor) -> Tensor:
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        weights = torch.linspace(-1, 1, 16)
        return torch.stack([pixels.flatten(1) @ weights, (pixels.flatten(1) ** 2).sum(1)], dim=1)


SOUND: dict[str, Any] = {
    "accelerator": "cpu", "precision": "32-true", "batch_size": 8, "threads": None, "workers": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [("batch_size", 0), ("batch_size", 1.5), ("batch_size", "many"), ("threads", 0), ("workers", 0)],
)
def test_counts_are_whole_numbers_of_1_or_more(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"hardware.{field}='?{value}'?: give a (whole number|value of 1 or more)"):
        Hardware(**SOUND | {field: value})


def test_hardware_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"hardware.accelerator=mps.* cannot be used here \([^\n]+$"):
        Hardware(**SOUND | {"accelerator": "mps"}).trainer()


@pytest.mark.parametrize("precision", ["17-true", "16-mixed", "16-true", 16])
def test_fp16_and_unknown_precisions_are_refused(precision: Any) -> None:
    with pytest.raises(UserError, match=rf"hardware.precision={precision}: give one of .*32-true"):
        Hardware(**SOUND | {"precision": precision})


@pytest.mark.parametrize("precision", get_args(Precision))
def test_what_a_key_says_of_precision_is_in_effect(precision: str) -> None:
    """Lightning takes another precision in silence where a device lacks one; TF32 is a GPU's."""
    hardware = Hardware(**SOUND | {"precision": precision, "tf32": True, "channels_last": True})
    assert hardware.trainer().precision == precision
    assert hardware.in_effect == f"{precision} channels_last"


def test_a_precision_that_lightning_replaces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = Hardware(**SOUND)
    object.__setattr__(hardware, "precision", "16-mixed")
    with pytest.raises(UserError, match="cannot be used here: Lightning computes in bf16-mixed; give that"):
        hardware.trainer()


class WithPositions(nn.Module):
    """A network with weights of four and of five dimensions, such as those of attention in blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.positions = nn.Conv2d(1, 8, 3), nn.Parameter(torch.zeros(1, 2, 3, 4, 5))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.weight(pixels).mean((2, 3)) + self.positions.sum()


def test_the_memory_format_is_that_of_convolutions_alone() -> None:
    classifier = Classifier(WithPositions(), size=8, mean=[0.0], std=[1.0], interpolation="bilinear").freeze()
    placed = Hardware("cpu", "32-true", 4, threads=1, workers=1, channels_last=True).place(classifier)
    network: Any = placed.network
    assert network.weight.weight.is_contiguous(memory_format=torch.channels_last)
    assert network.positions.is_contiguous()
    assert placed(torch.zeros(2, 1, 8, 8)).shape == (2, 8)
