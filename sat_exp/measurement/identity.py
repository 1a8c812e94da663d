"""What identifies a model: its fingerprint, the number of its weights, its components. The store remembers it, so that
a run over a full store loads no network and imports no library of networks.

It is remembered for networks whose code is that of `PACKAGES` and whose weights are a file or random. The key has all
that determines it: the configuration, the SHA-256 of the file, versions, and sizes and times of the files of the code.
A network of other code, or from a hub, is loaded and probed each time. So is any network once its package is imported,
because the code may have been changed in memory.
"""

import hashlib
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sat_exp.errors import UserError
from sat_exp.models import Candidate, Configured
from sat_exp.models.weights import digest
from sat_exp.modules.hardware import Placed
from sat_exp.settings.targets import named_by, within
from sat_exp.store import Damaged, Store, StoredArray, key_of
from sat_exp.store.encoding import Unsound

PACKAGES = ("timm", "torchvision", "torch.nn", "sat_exp.models")
"""The packages of networks that are remembered."""

READ = ("timm", "torchvision")
"""Those whose files are looked at and whose import ends trust; with torch, its version counts."""

LIBRARIES = ("torch", "torchvision", "timm", "safetensors", "numpy", "hydra-core")
STARTED = time.time_ns()
log = logging.getLogger(__name__)

BYTES = 32  # of a SHA-256


@dataclass(frozen=True)
class Identity:
    """fingerprint: as of a `Model`. parameters: the number of weights. components: the 13; where they cannot be derived
    only those that are stated, and a warning."""

    fingerprint: str
    parameters: int
    components: dict[str, Any]
    warnings: tuple[str, ...] = ()


def identity(candidate: Candidate, store: Store, load: Callable[[], Placed]) -> Identity:
    """The identity of a model: what `store` remembers, else that of the model as `load` gives it, which the store then
    remembers."""
    if (found := remembered(candidate, store)) is not None:
        return found
    facts = determining(candidate)
    model = load().model
    warnings: tuple[str, ...] = ()
    try:
        components = candidate.components(model.classifier.network)
    except UserError as error:
        components, warnings = candidate.stated_components, (str(error),)
    made = Identity(model.fingerprint, model.parameters, components, warnings)
    unchanged = facts is not None and facts == determining(candidate) and newest() < STARTED
    if unchanged and not warnings and all(known(type(part)) for part in model.classifier.network.modules()):
        array = entry(facts or {}, store)
        array.begin({"name": candidate.name, "parameters": made.parameters, "components": made.components})
        for reason in array.damaged():
            log.warning("%s: it is written again", reason)
        array.write(0, np.frombuffer(bytes.fromhex(made.fingerprint), np.uint8))
    return made


def verified(placed: Placed, candidate: Candidate, fingerprint: str, store: Store) -> Placed:
    """`placed`, the loaded model. Damaged where its fingerprint is another than the store remembered, for example
    because its weights were replaced since: the entry goes to the quarantine, and the same work is then right."""
    if placed.model.fingerprint == fingerprint or (facts := determining(candidate)) is None:
        return placed

    def outdated(_: bytes) -> None:
        raise Unsound("the model has another fingerprint")

    array = entry(facts, store)
    store.quarantine(array.named(0), outdated)
    place = store.backend.locate(array.path)
    raise Damaged(f"{place} is outdated, the weights or the code of {candidate.name} changed")


def remembered(candidate: Candidate, store: Store) -> Identity | None:
    """What the store remembers of a model; None where that is nothing, is damaged, or cannot be relied on. Nothing is
    written, except that damaged files go to the quarantine."""
    if imported() or (facts := determining(candidate)) is None:
        return None
    array = entry(facts, store)
    notes = array.notes
    if array.missing() or not {"parameters", "components"} <= notes.keys():
        return None
    try:
        return Identity(array.read_all().tobytes().hex(), notes["parameters"], notes["components"])
    except Damaged as damage:
        log.warning("%s: it is written again", damage.reason)
        return None


def entry(facts: dict[str, Any], store: Store) -> StoredArray:
    """The array of the fingerprint, uint8 [32], that `facts` determine, which may not be there. It is not among those
    that a run lists: it is no result."""
    return StoredArray(store, f"identities/{key_of(facts)}", facts, (BYTES,), "uint8", BYTES)


def determining(candidate: Candidate) -> dict[str, Any] | None:
    """All that determines the identity of a model, without loading it; None where that cannot be told."""
    if not isinstance(candidate, Configured):
        return None
    facts, code = candidate.facts, state()
    named = [name for _, name in named_by(facts["network"], "network")]
    if code is None or facts.get("checkpoint_reader") or not all(within(str(name), PACKAGES) for name in named):
        return None
    weights = None
    if facts["pretrained"]:
        if facts["checkpoint"] is None:  # the hub's copy may be replaced by a newer one
            return None
        path = Path(facts["checkpoint"])
        record = path.with_suffix(".json")
        try:
            weights = [digest(path), digest(record) if record.is_file() else None]
        except OSError:
            return None
    versions = {library: version(library) for library in LIBRARIES} | {"python": platform.python_version()}
    return {"model": facts, "weights": weights, "versions": versions, "code": code}


def imported() -> bool:
    """Whether this process has imported networks, whose code may have been changed since."""
    return any(package in sys.modules for package in READ)


def known(kind: type) -> bool:
    """Whether a class is of a package whose code `state` or a version identifies."""
    return within(kind.__module__, (*READ, "torch", "sat_exp.models"))


@cache
def state() -> str | None:
    """SHA-256 over names, sizes and times of the files of the code; None where a package is not found."""
    content = hashlib.sha256()
    for folder in folders():
        if folder is None:
            return None
        for path, facts in sources(folder):
            content.update(f"{path.relative_to(folder)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return content.hexdigest()


@cache
def newest() -> int:
    """The time of the last change of a file of the code, in nanoseconds since 1970."""
    return max(facts.st_ctime_ns for folder in folders() if folder for _, facts in sources(folder))


def folders() -> list[Path | None]:
    """The folders of the packages of networks, found without importing them; None for one that is not found."""
    specs = [PathFinder.find_spec(package) for package in READ]
    found = [Path(spec.origin).parent if spec is not None and spec.origin else None for spec in specs]
    return [Path(__file__).parents[1] / "models", *found]


def sources(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The Python files below a folder, in the order of their names."""
    for place, inner, names in os.walk(folder):
        inner.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                path = Path(place, name)
                yield path, path.stat()
