"""The function `sat_exp.measure`.

>>> import torch
>>> from torch import nn
>>> import sat_exp
>>> grey = {"size": 8, "mean": [0.5], "std": [0.5]}
>>> def network(seed):
...     with torch.random.fork_rng(devices=[]):
...         torch.manual_seed(seed)
...         return sat_exp.Model(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), grey, pretrained=False)
>>> images = torch.arange(4 * 64, dtype=torch.uint8).reshape(4, 1, 8, 8)
>>> result = sat_exp.measure({"a": network(0), "b": network(1)}, images, compare="own")
>>> list(result.sat.columns)
['a', 'b']
>>> float(result.transfer_rates.loc["b", "a"])  # the fraction of the adversarial images of b that fools a
0.25
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import torch
from numpy.typing import ArrayLike
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.utils.data import Dataset
from typing_extensions import TypedDict

from sat_exp.attacks import PGD, Attack
from sat_exp.datasets import ImageSet
from sat_exp.errors import UserError
from sat_exp.library.images import Images, image_set
from sat_exp.library.result import Result
from sat_exp.library.wrapping import Model, candidates
from sat_exp.measurement import Measurement, Scoring, with_examples
from sat_exp.models import Candidate
from sat_exp.modules.hardware import Accelerator, Hardware
from sat_exp.names import files_of, suggest
from sat_exp.settings import build, checked
from sat_exp.settings.configuration import Labels, Protocol
from sat_exp.settings.types import Confidence, Seed
from sat_exp.similarity.measures import Measure, Outputs
from sat_exp.store import Store


class Choices(TypedDict):
    """The types of the arguments that no other class checks."""

    compare: Labels
    protocol: Protocol
    seed: Seed
    confidence: Confidence


AnyModel = nn.Module | Model | str  # also a pipeline of transformers, which is not imported for its type


def measure(
    models: Sequence[AnyModel] | Mapping[str, AnyModel] | AnyModel,
    images: Tensor | ArrayLike | Dataset[Any] | ImageSet | str | os.PathLike[str] | Any,
    labels: Tensor | ArrayLike | None = None,
    *,
    attack: Attack | None = None,
    store: str | os.PathLike[str] = "outputs/store",
    compare: Labels = "truth",
    protocol: Protocol = "canvas",
    seed: int = 0,
    device: Accelerator = "auto",
    batch_size: int = 64,
    threads: int | None = None,
    measures: Collection[str] | Mapping[str, Measure] = (),
    confidence: float = 0.95,
) -> Result:
    """Attack every model, evaluate every model on the adversarial images, and score all pairs.

    A repeated call reads everything from the store; with one more model it computes that model's part only. Models that
    fail are in `failures` of the result. UserError if something does not fit, or if no pair could be measured.

    Args:
        models: a list, or a dictionary from names to models: modules of timm or transformers, which state their
            preprocessing; `sat_exp.Model(module, preprocessing)`; image-classification pipelines of transformers; names
            of models in conf/model, such as "fashion_resnet". Modules are copied and stay as they are.
        images: squares [N, C, H, W], uint8 or float in [0, 1], as tensor or array; a torch Dataset of images or of
            (image, label); a folder, read as by `dataset=folder`; or a data set of `sat_exp.datasets`, with exactly the
            images of the command line. They are not normalised. Random starts depend on the file or array that an image
            is decoded from: the same pixels in another form have others.
        labels: class indices, int [N]; by default those of the Dataset, the folder or the data set.
        attack: `sat_exp.PGD(epsilon=8)` by default.
        store: the folder or the URL of the store; by default that of the command line, in the current folder.
        compare: the images on which a pair is compared: `truth`, those that both classify as labelled; `consensus`,
            those on which both agree; `own`, all.
        protocol: `canvas`, all models are attacked on the same pixels; `native`, each on its own resize and crop.
        batch_size: images computed at once. threads: of the CPU, all cores by default.
        measures: further measures of similarity: names of files in conf/measure, such as "agreement", or a dictionary
            {NAME: sat_exp.similarity.measures.Measure(...)}.
    """
    checked(Choices, {"compare": compare, "protocol": protocol, "seed": seed, "confidence": confidence})
    scoring = Scoring(compare, confidence=confidence, measures=chosen(measures, compare))
    outputs = frozenset(one.needs for one in scoring.measures.values() if isinstance(one.needs, Outputs))
    with torch_restored():
        hardware = Hardware(device, "32-true", batch_size, threads, workers=2)
        found = image_set(images, labels)
        listed = candidates(models, found.images.label_space if found.fixed else None)
        used = with_classes(found, listed, compare)
        attack = PGD(epsilon=8) if attack is None else attack
        measurement = Measurement(used, attack, Store.at(store), hardware, seed, compare, protocol, outputs=outputs)
        measured, examples = with_examples(measurement, listed, None)
    measured = replace(measured, warnings=[*found.notes, *measured.warnings])
    return Result(measured, measurement, scoring, examples, settings(measurement, scoring))


def chosen(measures: Collection[str] | Mapping[str, Measure], compare: str) -> dict[str, Measure]:
    """The measures by name; UserError for a name that does not exist, and for one that needs more attacks."""
    if isinstance(measures, Mapping):
        found = dict(measures)
    else:
        files = files_of("measure")
        for name in measures:
            if name not in files:
                raise UserError(f"measures: no measure called {name!r}; {suggest(name, files)}")
        loaded: dict[str, Any] = {name: OmegaConf.load(files[name]) for name in measures}
        found = {name: build(own, "measure", f"measure.{name}") for name, own in loaded.items()}
    for name, measure in found.items():
        if not isinstance(measure, Measure):
            raise UserError(f"measures: {name} is no sat_exp.similarity.measures.Measure: give one")
        if measure.all_images and compare == "truth":
            raise UserError(f"the measure {name} needs attacks on all images: give compare='consensus' or 'own'")
    return found


@contextmanager
def torch_restored() -> Iterator[None]:
    """Restore what a measurement changes in the process: random state, threads, TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    threads, tf32 = torch.get_num_threads(), (matmul.allow_tf32, cudnn.allow_tf32)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        torch.set_num_threads(threads)
        matmul.allow_tf32, cudnn.allow_tf32 = tf32


def with_classes(found: Images, listed: Sequence[Candidate], compare: str) -> ImageSet:
    """The images with the classes of the models, unless a data set of this package states its own. UserError for labels
    beyond these classes, and if `compare` needs labels and there are none."""
    images, first = found.images, listed[0]
    if compare == "truth" and images.labels is None:
        raise UserError("the images have no labels: give labels=, or compare='consensus'")
    if images.labels is None or found.fixed:
        return images
    names = images.class_names or tuple(str(index) for index in range(first.classes))
    if len(images.labels) and (largest := int(images.labels.max())) >= first.classes:
        raise UserError(
            f"labels go up to {largest}, but model {first.name} has {first.classes} classes, 0 to {first.classes - 1}: "
            "give the class indices that the models predict"
        )
    return replace(images, label_space=first.label_space, class_names=names)


def settings(measurement: Measurement, scoring: Scoring) -> dict[str, Any]:
    """The settings of a measurement as a run of the command line states them."""
    return {
        "seed": measurement.seed,
        "labels": measurement.labels,
        "protocol": measurement.protocol,
        "score": {"floor": scoring.floor, "confidence": scoring.confidence},
        "measure": {name: {"title": measure.title} for name, measure in scoring.measures.items()},
        "attack": vars(measurement.attack),
        "dataset": {"name": measurement.images.name, "size": len(measurement.images)},
        "hardware": asdict(measurement.hardware),
        "task": {"name": "matrix"},
    }
