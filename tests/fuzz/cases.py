"""Wrong settings for every field of the schema, in every group, in the form in which they are typed."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sat_exp.modules.derivation import Way
from sat_exp.modules.training import Recipe
from sat_exp.names import CONF, files_of
from sat_exp.settings.configuration import GROUPS, Components, Configuration, Group, Input, Model, Pool, Score, Sweep
from sat_exp.settings.schema import of_signature
from sat_exp.settings.targets import TARGET, resolve

from . import meanings, values
from .harness import Case
from .values import EMPTY, FINITE, MISSING, NULL, PATHS, TYPE, UNKNOWN, Wrong

TRAINING = ("dataset.root={given}/fashion", "dataset.size=60")
NEEDED: dict[str, tuple[str, ...]] = {
    "transfer": ("model@target=fashion_vit",),
    "matrix": ("pool=any", "pool.models=[fashion_convnext,fashion_nfnet]"),
    "benchmark": ("task.runs=[{given}/run]", "task.groups={given}/groups.csv"),
    "compare": ("reference={given}/sat.csv", "task.run={given}/sat.csv"),
    "analyze": ("task.run={given}/sat.csv",),
    "distill": ("task.students=[fashion_vit]", "task.teachers=[fashion_convnext]", *TRAINING),
    "train": ("model.name=mine", *TRAINING),
    "derive": TRAINING,
}
"""What a task needs to be given."""

CHECKPOINT = CONF.parent / "sat_exp" / "models" / "bundled" / "fashion_resnet.safetensors"

RECIPES = {"train": Recipe, "distill": Recipe, "derive": Way}
"""Tasks that take all settings of a class."""


@dataclass(frozen=True)
class Setting:
    """A setting as the schema has it. group: in the table of what was tried. choice: of its group. base: what else is
    typed. name: as it is typed. hint: its annotation. required: whether it must be there."""

    group: str
    choice: str
    base: tuple[str, ...]
    name: str
    hint: Any
    required: bool


def settings() -> list[Setting]:
    """Every setting of the schema: of each group and choice, of the model, of what is common to all runs."""
    found: list[Setting] = []
    for group in GROUPS:
        seen = set()
        for choice in files_of(group):
            target = resolve(target_of(group, choice), group, group)
            if (target, group) in seen:
                continue
            seen.add((target, group))
            base = (f"{group}={choice}", *NEEDED.get(choice, ()))
            own = of(of_signature(target), group, choice, base, group)
            if choice in RECIPES:  # of the recipe a signature states no setting as required
                signature = of_signature(RECIPES[choice])
                recipe = {setting.name: setting for setting in of(signature, group, choice, base, group)}
                own = [recipe.get(setting.name, setting) for setting in own]
            found += own
    for setting in of(Configuration, "common", "", (), ""):
        compared = NEEDED["compare"] if setting.name.startswith("reference") else ()
        found.append(replace(setting, base=(*(("task=compare",) if compared else ()), *compared)))
    parts: list[tuple[Any, str, tuple[str, ...]]] = [
        (Score, "score", ()), (Sweep, "sweep", ()), (Model, "model", ()), (Input, "model.input", ()),
        (Components, "model.components", ()), (Group, "model.group", ()),
        (Pool, "pool", ("task=matrix", "pool=any", "pool.models=[fashion_convnext,fashion_nfnet]")),
        (Model, "target", ("task=transfer", "model@target=fashion_vit")),
    ]  # fmt: skip
    for kind, prefix, base in parts:
        found += of(kind, prefix.split(".")[0], "", base, prefix)
    return found


def target_of(group: str, choice: str) -> str:
    """The class that a choice names, or the choice that it extends."""
    config: Any = OmegaConf.load(CONF / group / f"{choice}.yaml")
    config = config.get(group, config)  # a file of the global package has a section of the group
    return str(config[TARGET]) if TARGET in config else target_of(group, config.defaults[0])


def of(kind: Any, group: str, choice: str, base: tuple[str, ...], prefix: str) -> list[Setting]:
    """The settings of a TypedDict."""
    required = kind.__required_keys__
    return [
        Setting(group, choice, base, f"{prefix}.{name}" if prefix else name, hint, name in required)
        for name, hint in kind.__annotations__.items()
    ]


def wrong_values(setting: Setting) -> Iterator[Wrong]:
    """Wrong values of a setting, each once, without those that a rule says are right."""
    seen = set()
    for kind, value in [*values.of(setting.hint), *meanings.of(setting.name, setting.choice)]:
        if repr(value) not in seen and not meanings.right(setting.name, setting.choice, kind, value):
            seen.add(repr(value))
            yield kind, value


def cases_of(setting: Setting) -> Iterator[Case]:
    """Everything wrong that is tried with a setting."""
    if setting.name in (*GROUPS, "model", "target", "pool"):
        yield from cases_of_group(setting)
        return
    named = "name" if setting.name == "task.name" else setting.name  # a run's name is made of its task's
    for kind, value in wrong_values(setting):
        typed = f"++{setting.name}={values.typed(value)}"
        yield Case(setting.group, kind, (*setting.base, typed), named)
    for typed in (f"{setting.name}z=1", f"+{setting.name}z=1", f"++{setting.name}z.deep=1"):
        if not free(f"{setting.name}z"):
            yield Case(setting.group, UNKNOWN, (*setting.base, typed), f"{setting.name}z")
    if setting.required and "." in setting.name:
        yield Case(setting.group, MISSING, (*setting.base, f"~{setting.name}"), setting.name)


def cases_of_group(setting: Setting) -> Iterator[Case]:
    """Wrong choices in a group."""
    typed = "model@target" if setting.name == "target" else setting.name
    chosen: list[Wrong] = [
        (TYPE, 5), (TYPE, True), (TYPE, 1.5), (TYPE, {"a": 1}), (TYPE, ["a"]), (TYPE, "abc"), (EMPTY, ""), (EMPTY, []),
        (FINITE, float("nan")), (PATHS, "../x"), (PATHS, "/etc/passwd"), (PATHS, "a\0b"), (values.HUGE, values.LONG),
        *((values.LETTERS, text) for text in values.UNPRINTABLE),
        *((values.REFERENCE, text) for text in values.REFERENCES),
    ]  # fmt: skip
    if setting.name not in ("target", "pool"):
        chosen.append((NULL, None))
        yield Case("common", MISSING, (f"~{typed}",), setting.name)
    for kind, value in chosen:
        yield Case("common", kind, (f"{typed}={values.typed(value)}",), setting.name)


def free(name: str) -> bool:
    return any(name.startswith(f"{known}") and name != known for known in meanings.FREE)


def every() -> list[Case]:
    """All cases, each once."""
    return list(dict.fromkeys(case for setting in settings() for case in cases_of(setting)))


def sampled(cases: Iterable[Case], each: int, seed: int, by: Callable[[Case], Any]) -> list[Case]:
    """Up to `each` cases of every value of `by`, drawn by `seed`."""
    parts: dict[Any, list[Case]] = {}
    for case in cases:
        parts.setdefault(by(case), []).append(case)
    draw = random.Random(seed)
    return [case for part in parts.values() for case in draw.sample(part, min(each, len(part)))]


def setting_and_kind(case: Case) -> tuple[str, str]:
    return case.names, case.kind


def group_and_kind(case: Case) -> tuple[str, str]:
    return case.group, case.kind


def given(folder: Path) -> Path:
    """Make the files that cases name: a text, a published matrix, a complex checkpoint, a folder of images."""
    import gzip

    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    from sat_exp.datasets.fashion_mnist import BUNDLED, read_idx

    from ..studies.benchmark.made import made, written

    made(folder / "run")
    written(folder)
    (folder / "text.txt").write_text("no image\n")
    models = ["fashion_vit", "fashion_convnext", "fashion_nfnet", "fashion_mixer", "a", "b", "c", "d"]
    rows = [f"{name},{','.join(f'{4.5 - 0.3 * abs(i - j):g}' for j in range(8))}" for i, name in enumerate(models)]
    (folder / "sat.csv").write_text("\n".join([f",{','.join(models)}", *rows]) + "\n")
    (folder / "images").mkdir()
    for index in range(4):
        Image.new("RGB", (40, 40), (60 * index, 0, 0)).save(folder / "images" / f"{index}.png")
    (folder / "fashion").mkdir()
    for what in ("images-idx3", "labels-idx1"):
        found = read_idx(BUNDLED / f"t10k-{what}-ubyte.gz")[:60]
        header = bytes([0, 0, 8, found.ndim]) + np.array(found.shape, ">u4").tobytes()
        for part in ("train", "t10k"):
            (folder / "fashion" / f"{part}-{what}-ubyte.gz").write_bytes(gzip.compress(header + found.tobytes()))
    state = load_file(CHECKPOINT)
    torch.save({name: tensor.to(torch.complex64) for name, tensor in state.items()}, folder / "complex.pt")
    return folder
