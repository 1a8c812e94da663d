"""Weights from timm's registry, or from files that other people may have made.

No code in a file is run, and every mismatch is one line. A network's configuration may come from another person too:
all other ways in which timm and torchvision read or download weights are refused, so that `model.pretrained` and
`model.checkpoint` alone decide.
"""

import hashlib
import mmap
import zipfile
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file
from torch import Tensor

from sat_exp import pickles, strict_json
from sat_exp.errors import UserError, explained, nearest, one_line
from sat_exp.settings.targets import TARGET, walked

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

HUB_TARGET = "timm.create_model"

BARRED = (
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "weights",
    "weights_backbone",
)  # fmt: skip
"""Arguments with which builders of timm and torchvision read or download weights."""

ARGUMENTS = "_args_"

ON_RECORD = "weights_sha256"  # the field of a record with the SHA-256 of its weights
ZIP = b"PK\x03\x04"  # the first bytes of a file in PyTorch's present format
OLD_PICKLES = 5  # the number of pickles at the start of a file in PyTorch's old format
LEAST_BITS = 16  # bits of a weight; narrower ones are quantised and need scales
Reader = Callable[[Path], Mapping[str, Tensor]]


def check_file(path: Path) -> None:
    """UserError where there is no regular file at `path`."""
    if not path.is_file():
        raise UserError(f"no weights at {path}: give model.checkpoint=PATH to a .safetensors, .pth or .pt file")


def check_record(path: Path) -> None:
    """UserError where the record next to the weights at `path`, NAME.json, states another SHA-256."""
    record = path.with_suffix(".json")
    content = record.read_bytes() if record.is_file() and path.is_file() else b""
    if ON_RECORD.encode() not in content:
        return
    try:
        stated = strict_json.loads(content)[ON_RECORD]
    except (ValueError, LookupError, TypeError, RecursionError):
        stated = None
    if stated != digest(path):
        advice = "one of the two is damaged; install, fetch or train them again"
        raise UserError(f"{path} is not the file that {record.name} describes (its SHA-256 differs): {advice}")


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file or a PyTorch file of plain tensors (never unpickles code)."""
    check_file(path)
    with explained(f"{path} is not a readable weights file", "give another model.checkpoint="):
        if path.suffix == ".safetensors":
            return load_file(path)
        state = read_torch(path)
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    return state


def read_torch(path: Path) -> Any:
    """The tensors and plain values in PyTorch's file at `path`, on the CPU; any exception for damage or code."""
    check_archive(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def check_archive(path: Path) -> None:
    """ValueError for a file of PyTorch's with a failed checksum, which PyTorch ignores, or with contents that are much
    larger than the file."""
    with path.open("rb") as file:
        if file.read(len(ZIP)) == ZIP:
            with zipfile.ZipFile(file) as archive:
                check_parts(archive, path.stat().st_size)
        elif path.stat().st_size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for _ in range(OLD_PICKLES):
                    pickles.check_size(content)


def check_parts(archive: zipfile.ZipFile, length: int) -> None:
    """ValueError where a part of an archive of `length` bytes is damaged, or is not in the form that PyTorch writes."""
    parts = archive.infolist()
    if len({part.filename for part in parts}) < len(parts):
        raise ValueError("two of its parts have one name")
    stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
    if not stored or sum(part.file_size for part in parts) > length:
        raise ValueError("it is compressed; save it with torch.save")
    if (damaged := archive.testzip()) is not None:
        raise ValueError(f"it is damaged, the checksum of {damaged} fails")
    for part in parts:
        if part.filename.endswith(".pkl"):
            with archive.open(part) as content:
                pickles.check_size(content)


def fitting(
    expected: Mapping[str, Tensor], path: Path, *, in_order: bool = False, reader: Reader = read_state
) -> dict[str, Tensor]:
    """The weights at `path` in the data types of `expected`, a network's state dict, which may be on the meta device.
    Tensors are matched by name, or by position where `in_order`.

    UserError where the SHA-256 of the file is not the one on record, and where a tensor is missing, unknown, of another
    shape or kind (complex, quantised, whole numbers for fractions), or not finite.
    """
    check_record(path)
    state = reader(path)
    pairs = state.items() if isinstance(state, Mapping) else [(None, state)]
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in pairs):
        raise UserError(f"{path} does not hold named tensors: save the network's state_dict()")
    if in_order:
        if len(state) != len(expected):
            raise UserError(f"{path} has {len(state)} tensors, the network {len(expected)}: they cannot match in order")
        state = dict(zip(expected, state.values(), strict=True))
    wrong = [
        f"{name} is {tuple(state[name].shape)} not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    missing, extra = expected.keys() - state.keys(), state.keys() - expected.keys()
    if wrong or missing or extra:
        absent = (f"{name} is missing" for name in sorted(missing))
        unknown = (f"{name[:100]} is unknown" for name in extra)
        counts = f"{len(missing)} tensors missing, {len(extra)} unknown, {len(wrong)} of another shape"
        raise UserError(f"{path} does not fit the network: {counts} (first: {next(chain(wrong, absent, unknown))})")
    return {name: fitted(name, state[name], own, path) for name, own in expected.items()}


def fitted(name: str, found: Tensor, own: Tensor, path: Path) -> Tensor:
    """`found` in the data type of `own`, the network's tensor of that name; UserError where values would change."""
    if (kind := unlike(found, own)) is not None:
        raise UserError(f"{path}: {name} is {kind}, the network's is {named(own)}: save the network's state_dict()")
    values = found.to(own.dtype)
    if values.is_floating_point():
        if not torch.isfinite(values).all() and (own.is_meta or torch.isfinite(own).all()):
            raise UserError(f"{path}: {name} is not finite as {named(own)}: give other weights")
    elif not torch.equal(values.to(found.dtype), found):
        raise UserError(f"{path}: {name} has numbers too large for {named(own)}: give other weights")
    return values


def unlike(found: Tensor, own: Tensor) -> str | None:
    """The kind of `found` in words, where the network's tensor `own` cannot be of that kind; else None."""
    if found.is_quantized:
        return "quantised"
    if found.is_meta:
        return "without values"
    if found.is_nested or found.layout is not torch.strided:
        return "sparse"
    if found.is_floating_point() and torch.finfo(found.dtype).bits < LEAST_BITS:
        return named(found)
    kinds = [(t.is_floating_point(), t.is_complex(), t.dtype is torch.bool) for t in (found, own)]
    return None if kinds[0] == kinds[1] else named(found)


def named(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def check_sources(config: DictConfig) -> None:
    """UserError where the network of `config` names weights itself, has a name that timm lacks, or needs published
    weights that do not exist."""
    network = OmegaConf.to_container(config.network, resolve=True)
    check_arguments(network, config.name)
    target = config.network.get(TARGET)
    advice = "give model.checkpoint=PATH, or model.pretrained=false for random weights"
    facts = timm_facts(config) if target == HUB_TARGET else None
    if config.pretrained and config.checkpoint is None:
        if facts is None:
            raise UserError(f"model {config.name}: {target} has no published weights; {advice}")
        if not facts.has_weights:
            raise UserError(f"model {config.name}: timm publishes no weights of {timm_name(config)}: {advice}")


def check_arguments(node: Any, name: str) -> None:
    """UserError for an argument in `node`, or in any part of it, that names weights, by keyword or by position."""
    for _, key, part in walked(node):
        if key in BARRED and part not in (None, False):
            advice = "leave it out, and give model.checkpoint=PATH or model.pretrained=true"
            raise UserError(f"model {name}: network.{key}={part} would read weights: {advice}")
        if isinstance(part, Mapping):
            target, positional = str(part.get(TARGET, "")), part.get(ARGUMENTS) or ()
            package, _, last = target.rpartition(".")
            function = package.split(".")[0] in ("timm", "torchvision") and last[:1].islower()
            if function and len(positional) > (target == HUB_TARGET):  # the second argument chooses weights
                raise UserError(f"model {name}: give {target} its arguments by name, not in {ARGUMENTS}")


def timm_name(config: DictConfig) -> str:
    """The name of the network of `config` in timm."""
    return str(config.network.get("model_name") or next(iter(config.network.get(ARGUMENTS) or ()), ""))


def timm_facts(config: DictConfig) -> "PretrainedCfg":
    """timm's record of the network of `config`; UserError, with the nearest names, where there is none.

    The prefixes hf-hub: and local-dir: are refused. With them another person's file would choose the architecture.
    """
    name = timm_name(config)
    architecture = name.partition(".")[0]
    if ":" in name or "/" in name:
        advice = "give the name of its architecture, and model.checkpoint=PATH of its weights"
        raise UserError(f"model {config.name}: {name} is no name in timm's registry, the only one read: {advice}")
    import timm
    from timm.models import PretrainedCfg

    if not timm.is_model(architecture):
        near = nearest(name, [*timm.list_models(), *timm.list_pretrained()])
        advice = " or ".join(near) or "one of timm.list_models()"
        raise UserError(f"model {config.name}: timm has no such model: give model.id={advice}")
    try:
        facts = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        known = timm.list_pretrained(f"{architecture}.*")
        near = nearest(name, known) or known or [architecture]
        raise UserError(f"model {config.name}: {one_line(error).rstrip('.')}; choose {', '.join(near)}") from error
    return facts if facts is not None else PretrainedCfg()
