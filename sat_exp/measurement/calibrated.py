"""The techniques that each model computes with: none with exact numerics, else those of a calibration, which the store
keeps, so that all processes and all later runs use the same ones."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sat_exp.measurement.subjects import Techniques
from sat_exp.modules.hardware import Hardware, Placed
from sat_exp.store import Store, StoredArray, key_of

BYTES = 8192
"""Of a calibration in the store: JSON, filled up with spaces."""

IMAGES = 64


def techniques(
    fingerprint: str,
    name: str,
    pixels: StoredArray,
    gradients: int,
    store: Store,
    hardware: Hardware,
    load: Callable[[], Placed],
) -> Techniques:
    """The techniques of a model. pixels: the images that are attacked with this many gradients each. Where the store
    has no calibration of this model on this device for this much work yet, `load` gives the model."""
    if hardware.numerics == "exact":
        return Techniques()
    versions = {key: value for key, value in hardware.versions.items() if key in ("torch", "device")}
    passes = pixels.rows * max(1, gradients)
    facts = {"model": fingerprint, "shape": list(pixels.shape[1:]), "passes": passes, **versions}
    array = store.open("calibrations", facts, shape=(BYTES,), dtype="uint8", chunk=BYTES, name=name)
    with store.lock("calibration", key_of(facts)):
        if array.missing():
            array.write(0, encoded(calibration(load(), pixels, passes, hardware)))
    stored = json.loads(array.read_all().tobytes())
    return Techniques(tuple(stored["attack"]), tuple(stored["evaluation"]), tuple(stored["notes"]))


def calibration(placed: Placed, pixels: StoredArray, passes: int, hardware: Hardware) -> dict[str, Any]:
    """The plain values of a `Choice` for a model, on the first images and the classes that it predicts for them."""
    from sat_exp.numerics import calibrate  # imports timm, which a full store does not need

    images = torch.from_numpy(pixels.gather(np.arange(min(IMAGES, pixels.rows))))
    classifier = placed.model.classifier
    with torch.no_grad():
        labels = torch.cat(
            [classifier(few.to(hardware.device).float() / 255).argmax(dim=1) for few in images.split(16)]
        )
    return vars(calibrate(classifier, images, labels.cpu(), hardware.device, passes_ahead=passes))


def encoded(choice: dict[str, Any]) -> np.ndarray:
    """JSON as uint8 [BYTES]; the last notes are left out where all are too long."""
    notes = [*choice["notes"]]
    while len(data := json.dumps({**choice, "notes": notes}).encode()) > BYTES:
        notes.pop()
    return np.frombuffer(data.ljust(BYTES), np.uint8)
