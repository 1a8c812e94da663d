"""A table of what settings mean, written by hand: wrong values that the type allows, and valid values that look wrong.

The table does not read the schema. A bound that is missing from a signature is therefore found.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from .values import EMPTY, HUGE, LETTERS, NESTED, PATHS, RANGE, TYPE, UNPRINTABLE, Wrong

SEED = (-1, 2**32)
COUNT = (0, -1)
WHOLE = (-1,)
SHARE = (-0.1, 1.1)
NONE_OF_THEM = ("no_such_name", "")
FILE_NAMES = (
    "../escaped", "../../../../escaped", "/escaped", "a/b", "a\\b", "..", ".", "a:b", "a?b", "a*b", "CON", "a\0b",
    ".hidden", "-dash", "~", "a/../../b", "trailing.", "a|b", "<a>",
)  # fmt: skip
RUN_NAMES = (
    "../../x", "../../../../escaped", "/escaped", "a//b", "a/../b", "a/", "store", "store/x", "x/store", "wandb",
    "x/tables", "figures", "a\\b", "..", ".", "a:b", "a\0b", ".hidden", "a/.hidden", "CON/x", "a/-b", "~/x",
)  # fmt: skip
PATHS_OF_FILES = ("a\0b", "a" * 300)
NO_FOLDER = ("no_such_folder", "../no_such_folder", "/no/such/folder", "{given}/text.txt/below", *PATHS_OF_FILES)
NOT_READABLE = ("no_such_file", "/no/such/file", "{given}", "{given}/text.txt", "/dev/null/x", *PATHS_OF_FILES)
NOT_WRITABLE = ("/dev/null", "/dev/null/x", "{given}/text.txt", "{given}/text.txt/below", "/proc/x", *PATHS_OF_FILES)

MEANINGS: dict[str, dict[str, tuple[Any, ...]]] = {
    "name": {PATHS: RUN_NAMES, LETTERS: UNPRINTABLE, HUGE: ("a/" * 200,)},
    "output_dir": {PATHS: NOT_WRITABLE},
    "seed": {RANGE: SEED},
    "*.seed": {RANGE: SEED},
    "score.floor": {RANGE: (0, -0.01, 100.5, 101)},
    "score.resamples": {RANGE: (1, 0, -1)},
    "score.confidence": {RANGE: (0, 1, 0.0, 1.0, -1, 1.5, 95)},
    "sweep.models": {RANGE: (["no_such_model"],)},
    "sweep.targets": {RANGE: (["no_such_model"],)},
    "measure": {RANGE: (["no_such_measure"], ["agreement", "no_such_measure"])},
    "measure.*.of": {RANGE: NONE_OF_THEM},
    "measure.*.compare": {RANGE: NONE_OF_THEM},
    "measure.*.floor": {RANGE: (0, -0.01, 100.5)},
    "measure.*.images": {RANGE: COUNT},
    "measure.*.classes": {RANGE: COUNT},
    "measure.*.neighbours": {RANGE: COUNT},
    "measure.*.planes": {RANGE: COUNT},
    "measure.*.side": {RANGE: (1, 0, -1, 1001)},
    "task.image_resamples": {RANGE: COUNT},
    "allow": {RANGE: (["../escaped"], ["a b"]), EMPTY: ([""],)},
    "pool.models": {RANGE: (["no_such_model"], ["no_such_*"], ["fashion_vit", "no_such_model"]), EMPTY: ([],)},
    "pool.name": {PATHS: FILE_NAMES, LETTERS: UNPRINTABLE},
    "*.models": {TYPE: ([5.5], [None])},
    "model.name": {PATHS: FILE_NAMES, LETTERS: UNPRINTABLE},
    "target.name": {PATHS: FILE_NAMES},
    "model.family": {LETTERS: UNPRINTABLE},
    "model.label_space": {LETTERS: UNPRINTABLE},
    "model.paper_name": {LETTERS: UNPRINTABLE},
    "model.classes": {RANGE: (0, -1, 9, 11, 10**9)},
    "model.checkpoint": {PATHS: NOT_READABLE},
    "model.parameters": {RANGE: (-1,)},
    "model.input.size": {RANGE: (0, -1, 100_000)},
    "model.input.mean": {RANGE: ([], [0.1] * 5, [0.1, 0.2], [1e30])},
    "model.input.std": {RANGE: ([], [0.0], [-0.1], [0.1] * 5, [0.3, 0.3])},
    "model.input.crop": {RANGE: (0, -0.5, 1.01)},
    "model.network": {NESTED: ({"path": "os.system"}, {"layers": {"_target_": "os.getcwd"}})},
    "model.checkpoint_reader": {NESTED: ("os.system", "sat_exp.models.load", "nowhere.x", "x", "sat_exp.models.")},
    "model.checkpoint_keys": {},
    "model.group.architecture": {PATHS: FILE_NAMES[:4], LETTERS: UNPRINTABLE},
    "attack.epsilon": {RANGE: (-1, 256)},
    "attack.step_size": {RANGE: (0, -1, 255.5)},
    "attack.steps": {RANGE: COUNT},
    "attack.decay": {RANGE: (-0.1,)},
    "attack.copies": {RANGE: (*COUNT, 256)},
    "attack.mixed": {RANGE: (*COUNT, 256)},
    "attack.scales": {RANGE: (*COUNT, 256)},
    "attack.radius": {RANGE: (-0.1,)},
    "attack.reach": {RANGE: (-0.1,)},
    "attack.noise": {RANGE: (-0.1,)},
    "attack.shrink": {RANGE: (0, -0.1, 1.1)},
    "attack.balance": {RANGE: SHARE},
    "attack.inner_decay": {RANGE: SHARE},
    "attack.portion": {RANGE: SHARE},
    "attack.probability": {RANGE: SHARE},
    "attack.rho": {RANGE: SHARE},
    "attack.share": {RANGE: SHARE},
    "attack.rate": {RANGE: (-0.1,)},
    "di/attack.rate": {RANGE: (0.9, 4.1)},
    "attack.kernel": {RANGE: (*COUNT, 102)},
    "attack.blocks": {RANGE: (*COUNT, 9)},
    "attack.degrees": {RANGE: (-1, 181)},
    "attack.operations": {RANGE: (*COUNT, 5)},
    "attack.layer": {LETTERS: UNPRINTABLE},
    "attack.name": {LETTERS: UNPRINTABLE},
    "dataset.size": {RANGE: (0, -1, 10**12)},
    "dataset.resize": {RANGE: (0, -1, 1_000_000)},
    "dataset.crop": {RANGE: (0, -1, 100_000, 257)},
    "dataset.root": {PATHS: NO_FOLDER},
    "dataset.ids": {PATHS: NOT_READABLE},
    "dataset.mode": {RANGE: ("CMYK", "rgb")},
    "dataset.split": {LETTERS: UNPRINTABLE},
    "dataset.label_space": {LETTERS: UNPRINTABLE},
    "dataset.training_size": {RANGE: (0, -1)},
    "dataset.batch_size": {RANGE: COUNT},
    "hardware.accelerator": {RANGE: ("abc", "tpu", "CPU")},
    "hardware.precision": {RANGE: ("16-mixed", "16-true", "fp16", "32")},
    "hardware.batch_size": {RANGE: (0, -1, 10**9)},
    "hardware.threads": {RANGE: (0, -1, 1_000_000)},
    "hardware.workers": {RANGE: (0, -1, 1_000_000)},
    "engine.workers": {RANGE: (0, -1, 10**6)},
    "engine.seconds": {RANGE: (0, -1)},
    "engine.gpus": {RANGE: (-1, 17)},
    "engine.cpus": {RANGE: (0, -1)},
    "engine.address": {LETTERS: UNPRINTABLE},
    "engine.folder": {PATHS: NOT_WRITABLE},
    "tracking.mode": {RANGE: ("abc", "ONLINE")},
    "tracking.project": {LETTERS: UNPRINTABLE, PATHS: ("a/b", "../x", "a#b", "a?b", "a%b", "a:b")},
    "tracking.entity": {LETTERS: UNPRINTABLE, PATHS: ("a/b", "../x")},
    "tracking.group": {LETTERS: UNPRINTABLE},
    "tracking.tags": {EMPTY: ([""],), RANGE: (["a" * 65],)},
    "tracking.*_seconds": {RANGE: (-1, -0.5)},
    "task.name": {PATHS: FILE_NAMES, LETTERS: UNPRINTABLE},
    "task.run": {PATHS: NO_FOLDER},
    "task.control": {PATHS: NO_FOLDER},
    "task.components": {PATHS: NOT_READABLE},
    "task.picker": {PATHS: NO_FOLDER},
    "task.training_root": {PATHS: NO_FOLDER},
    "task.directory": {PATHS: NOT_WRITABLE},
    "reference": {PATHS: NOT_READABLE},
    "reference_images": {RANGE: COUNT},
    "task.reference_images": {RANGE: COUNT},
    "task.clusters": {RANGE: (0, -1)},
    "task.runs": {RANGE: (-1,)},
    "report/task.runs": {PATHS: (["/no/such/run", "/no/such/other"],)},
    "benchmark/task.runs": {PATHS: (["/no/such/run"],), EMPTY: ([],)},
    "task.groups": {PATHS: NOT_READABLE},
    "task.refits": {RANGE: (-1,)},
    "task.width": {RANGE: (0, -0.1)},
    "task.workers": {RANGE: (0, -1, 10**6)},
    "task.sizes": {RANGE: ([0], [1], [8], [-1], [2, 99]), EMPTY: ([],)},
    "ensemble/task.average": {RANGE: ("abc", "Votes")},
    "task.most": {RANGE: COUNT},
    "task.splits": {RANGE: (-1,)},
    "task.candidates": {RANGE: COUNT},
    "task.least_accuracy": {RANGE: SHARE},
    "task.most_parameters": {RANGE: (-1,)},
    "task.most_flops": {RANGE: (-1,)},
    "task.most_latency": {RANGE: (-1, 0)},
    "task.size": {RANGE: (1, 8)},
    "task.resamples": {RANGE: COUNT},
    "task.permutations": {RANGE: (-1,)},
    "task.prune": {LETTERS: (*UNPRINTABLE, "a\0b")},
    "task.title": {LETTERS: UNPRINTABLE},
    "task.changes": {RANGE: (["attack=no_such"], ["attack.epsilon=-1"], ["dataset.size=3"], [" "]), EMPTY: ([],)},
    "task.students": {RANGE: (["no_such_model"], ["no_such_*"]), EMPTY: ([],)},
    "task.teachers": {RANGE: (["no_such_model"], ["no_such_*"]), EMPTY: ([],)},
    "task.seeds": {RANGE: ([-1], [2**32], [0, 0]), EMPTY: ([],)},
    "task.recipes": {
        RANGE: ({"a": {"no_such_setting": 1}}, {"a": {"epochs": 0}}), TYPE: ({"a": 5}, {"a": [1]}),
        PATHS: ({"../escaped": {}},),
    },
    "task.ways": {
        RANGE: ({"a": {"no_such_setting": 1}}, {"a": {"epochs": -1}}, {"a": {"epochs": 0}}),
        TYPE: ({"a": 5}, {"a": [1]}), PATHS: ({"../escaped": {}},),
    },
    "task.only": {RANGE: (["no_such_way"],), EMPTY: ([],)},
    "derive/task.prune": {RANGE: (-0.1, 1.0, 1.5)},
    "task.bits": {RANGE: (1, 0, -1, 9)},
    "task.interpolate": {RANGE: SHARE},
    "task.weight": {RANGE: SHARE},
    "task.temperature": {RANGE: (0, -1)},
    "task.best": {RANGE: COUNT},
    "task.epochs": {RANGE: COUNT},
    "task.finishing_epochs": {RANGE: WHOLE},
    "task.batch_size": {RANGE: COUNT},
    "task.accumulate": {RANGE: COUNT},
    "task.optimizer": {RANGE: NONE_OF_THEM},
    "task.schedule": {RANGE: NONE_OF_THEM},
    "task.learning_rate": {RANGE: (-0.1, 0)},
    "task.weight_decay": {RANGE: (-0.1,)},
    "task.warmup_epochs": {RANGE: WHOLE},
    "task.clip": {RANGE: (-0.1,)},
    "task.shift": {RANGE: WHOLE},
    "task.transform": {RANGE: ({"no_such_argument": 1},)},
    "task.mixup": {RANGE: (-0.1,)},
    "task.cutmix": {RANGE: (-0.1,)},
    "task.label_smoothing": {RANGE: (-0.1, 1.0, 1.5)},
    "task.label_noise": {RANGE: SHARE},
    "task.shortcut": {RANGE: SHARE},
    "train/task.average": {RANGE: (-0.1, 1.0, 1.5)},
    "distill/task.average": {RANGE: (-0.1, 1.0, 1.5)},
    "derive/task.average": {RANGE: (-0.1, 1.0, 1.5)},
    "task.devices": {RANGE: COUNT},
}  # fmt: skip
"""Setting → kind of wrongness → values; a setting is GROUP.NAME, whatever is chosen in the group."""

FREE = {
    "attack.options": "its settings are those of an attack of another library, which refuses unknown ones",
    "model.network": "its settings are those of a network of any library; wrong ones are in the table",
    "model.training": "what `task=train` takes is checked there, by name",
    "task.transform": "its settings are those of timm's transforms",
}
"""Settings that take any names, with the reason."""

RIGHT: tuple[tuple[str, str, Any, str], ...] = (
    ("derive/task.epochs", RANGE, 0, "no training: the weights of the parent are pruned or rounded"),
    ("model.training", NESTED, {"_target_": "os.getcwd"}, "tasks that train nothing do not read it, and it is data"),
    ("target.training", NESTED, {"_target_": "os.getcwd"}, "tasks that train nothing do not read it, and it is data"),
)
"""Setting, kind, value, None for all, and why that is right although values of its type are wrong elsewhere."""


def of(setting: str, choice: str) -> Iterator[Wrong]:
    """What is wrong for a setting by what it means; choice: in its group."""
    for pattern, kinds in MEANINGS.items():
        if fits(pattern, setting, choice):
            for kind, values in kinds.items():
                yield from ((kind, value) for value in values)


def known(setting: str, choice: str) -> bool:
    return any(fits(pattern, setting, choice) for pattern in MEANINGS)


def right(setting: str, choice: str, kind: str, value: Any) -> bool:
    """Whether a rule says that the value is right."""
    return any(
        fits(pattern, setting, choice) and kind == of_kind and (which is None or repr(which) == repr(value))
        for pattern, of_kind, which, _ in RIGHT
    )


def fits(pattern: str, setting: str, choice: str) -> bool:
    return fnmatchcase(setting, pattern) or fnmatchcase(f"{choice}/{setting}", pattern)
