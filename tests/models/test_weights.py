"""Weight files that are crafted, damaged or of another kind: each is refused with one line, and no code runs."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sat_exp.errors import UserError
from sat_exp.models.weights import check_record, digest, fitting, read_state


def load_weights(network: nn.Module, path: Path, **how: Any) -> None:
    network.load_state_dict(fitting(network.state_dict(), path, **how))


class Net(nn.Module):
    """A weight, a bias in half precision, a counter and a mask."""

    weight: Tensor
    bias: Tensor
    seen: Tensor
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, tensor in values().items():
            self.register_buffer(name, torch.zeros_like(tensor))


def values(**changes: Tensor) -> dict[str, Tensor]:
    plain = {
        "weight": torch.arange(6.0).reshape(2, 3),
        "bias": torch.ones(3, dtype=torch.float16),
        "seen": torch.tensor(5, dtype=torch.int32),
        "mask": torch.tensor([True, False]),
    }
    return plain | changes


def loaded(state: Any, path: Path) -> dict[str, Tensor]:
    """What becomes of `state` in a file at `path` and then in a network."""
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif not path.exists():
        torch.save(state, path)
    network = Net()
    load_weights(network, path)
    return network.state_dict()


def refusal(state: Any, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        loaded(state, path)
    message = str(caught.value)
    assert message.isprintable()
    assert str(path) in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_numbers_of_a_kind_become_those_of_the_network(tmp_path: Path, suffix: str) -> None:
    given = values(weight=torch.arange(6.0, dtype=torch.bfloat16).reshape(2, 3), seen=torch.tensor(7))
    found = loaded(given, tmp_path / f"w.{suffix}")
    assert {name: tensor.dtype for name, tensor in found.items()} == {name: t.dtype for name, t in values().items()}
    assert torch.equal(found["weight"], values()["weight"])
    assert found["seen"] == 7


WEIGHT = values()["weight"]
OTHER_KINDS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "complex": (lambda: {"weight": WEIGHT + 1j}, "weight is complex64, the network's is float32"),
    "whole": (lambda: {"weight": WEIGHT.long()}, "weight is int64, the network's is float32"),
    "true or false": (lambda: {"weight": WEIGHT.bool()}, "weight is bool"),
    "fractions for a counter": (lambda: {"seen": torch.tensor(5.0)}, "seen is float32, the network's is int32"),
    "numbers for a mask": (lambda: {"mask": torch.ones(2, dtype=torch.uint8)}, "mask is uint8, the network's is bool"),
    "eight bits": (lambda: {"weight": WEIGHT.to(torch.float8_e4m3fn)}, "weight is float8_e4m3fn"),
    "not a number": (lambda: {"weight": WEIGHT.clone().fill_(float("nan"))}, "weight is not finite"),
    "infinite": (lambda: {"weight": torch.cat([WEIGHT[:1], WEIGHT[1:] / 0])}, "weight is not finite"),
    "too large for half precision": (lambda: {"bias": torch.full((3,), 1e6)}, "bias is not finite as float16"),
    "too large a counter": (lambda: {"seen": torch.tensor(2**40)}, "seen has numbers too large for int32"),
    "sparse": (lambda: {"weight": WEIGHT.to_sparse()}, "weight is sparse"),
    "sparse rows": (lambda: {"weight": WEIGHT.to_sparse_csr()}, "weight is sparse"),
    "quantised": (lambda: {"weight": torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8)}, "weight is quantised"),
    "meta": (lambda: {"weight": WEIGHT.to("meta")}, "weight is without values"),
    "huge": (lambda: {"weight": torch.zeros(1).expand(10**12, 10**3)}, r"weight is (1000000000000, 1000) not (2, 3)"),
    "another name": (lambda: {"a\nb\x1b[31m" * 99: WEIGHT}, "1 unknown"),
    "not a tensor": (lambda: {"weight": 1.5}, "does not hold named tensors"),
    "numbered": (lambda: {1: WEIGHT}, "does not hold named tensors"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_what_a_network_cannot_hold_is_refused(tmp_path: Path, kind: str) -> None:
    changes, message = OTHER_KINDS[kind]
    assert message in refusal({**values(), **changes()}, tmp_path / "w.pth")


def test_the_networks_own_infinity_is_no_damage(tmp_path: Path) -> None:
    path, network = tmp_path / "w.pth", Net()
    network.weight.fill_(-float("inf"))
    torch.save(values(weight=network.weight), path)
    load_weights(network, path)
    assert (network.weight == -float("inf")).all()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_is_no_file_is_said_at_once(tmp_path: Path, name: str) -> None:
    places: dict[str, Callable[[Path], Any]] = {
        "absent": lambda path: None,
        "folder": Path.mkdir,
        "pipe": os.mkfifo,
        "loop": lambda path: path.symlink_to(path),
        "device": lambda path: path.symlink_to("/dev/zero"),
    }
    for kind, make in places.items():
        path = tmp_path / kind / name
        path.parent.mkdir()
        make(path)
        with pytest.raises(UserError, match=r"no weights at .*: give model.checkpoint=PATH"):
            load_weights(Net(), path)


def archive(path: Path, body: bytes, data: bytes = b"", compress: int = zipfile.ZIP_STORED) -> None:
    """A file such as PyTorch's, with the pickle `body` and one storage."""
    with zipfile.ZipFile(path, "w", compress) as parts:
        for name, content in {"data.pkl": body, "version": b"3\n", "byteorder": b"little", "data/0": data}.items():
            parts.writestr(f"archive/{name}", content)


def test_a_zip_bomb_is_refused_unread(tmp_path: Path) -> None:
    archive(tmp_path / "w.pth", b"\x80\x02}.", bytes(1 << 26), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "w.pth").stat().st_size < 1 << 17
    assert "it is compressed; save it with torch.save" in refusal(None, tmp_path / "w.pth")


def test_two_parts_of_one_name_are_refused(tmp_path: Path) -> None:
    archive(tmp_path / "w.pth", b"\x80\x02}.")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "w.pth", "a") as parts:
        parts.writestr("archive/data.pkl", b"\x80\x02}.")
    assert "two of its parts have one name" in refusal(None, tmp_path / "w.pth")


def test_a_key_whose_hash_would_never_end(tmp_path: Path) -> None:
    body = b"\x80\x02}K\x01" + b"".join(b"q%ch%c\x86" % (level, level) for level in range(60)) + b"K\x01s."
    archive(tmp_path / "w.pth", body)
    assert "has more than" in refusal(None, tmp_path / "w.pth")
    (tmp_path / "old.pth").write_bytes(body)
    assert "has more than" in refusal(None, tmp_path / "old.pth")


class Canary:
    """Unpickled by the ordinary reader, this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("place", ["a value", "the whole", "a key", "beside"])
def test_code_in_a_file_is_not_run(tmp_path: Path, new: bool, place: str) -> None:
    canary = Canary(tmp_path / "made")
    state = {
        "a value": values(weight=canary),  # type: ignore[arg-type]
        "the whole": canary,
        "a key": {canary: 1},
        "beside": {"state_dict": values(), "optimizer": canary},
    }[place]
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    assert "is not a readable weights file" in refusal(None, tmp_path / "w.pth")
    assert not (tmp_path / "made").exists()
    torch.load(tmp_path / "w.pth", weights_only=False)  # which would have run it
    assert (tmp_path / "made").exists()


def test_a_module_saved_whole_is_not_run(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    assert "is not a readable weights file" in refusal(None, tmp_path / "w.pth")
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    assert "is not a readable weights file" in refusal(None, tmp_path / "script.pt")


@pytest.mark.parametrize("new", [True, False])
def test_an_old_file_is_read_as_well(tmp_path: Path, new: bool) -> None:
    torch.save(values(), tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    assert read_state(tmp_path / "w.pth").keys() == values().keys()


def test_any_flipped_byte_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    torch.save(values(), tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    for position in range(0, len(content), 17):
        (tmp_path / "w.pth").write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        try:
            found = read_state(tmp_path / "w.pth")
        except UserError:
            continue
        assert all(torch.equal(found[name], tensor) for name, tensor in values().items()), position


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("new", [True, False])
def test_a_cut_file(tmp_path: Path, share: float, new: bool) -> None:
    torch.save(values(), tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    content = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[: int(share * len(content))])
    assert "is not a readable weights file" in refusal(None, tmp_path / "w.pth")


@pytest.mark.parametrize(
    "header",
    [
        {"weight": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}},
        {"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 8]}},
        {"weight": {"dtype": "NONE", "shape": [2, 3], "data_offsets": [0, 24]}},
        {"weight": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}},
        [],
    ],
)
def test_a_header_of_safetensors_that_lies(tmp_path: Path, header: Any) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(UserError, match="is not a readable weights file"):
        load_weights(Net(), tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", 2**62) + text)
    with pytest.raises(UserError, match="is not a readable weights file"):
        load_weights(Net(), tmp_path / "w.safetensors")


def test_weights_are_those_on_their_record(tmp_path: Path) -> None:
    path, record = tmp_path / "w.safetensors", tmp_path / "w.json"
    save_file(values(), path)
    record.write_text(json.dumps({"model": "net", "weights_sha256": digest(path)}))
    load_weights(Net(), path)
    save_file(values(weight=WEIGHT + 1), path)
    for content in (record.read_text(), '{"weights_sha256": ', '{"weights_sha256": null}', '["weights_sha256"]'):
        record.write_text(content)
        with pytest.raises(UserError, match=r"w\.safetensors is not the file that w\.json describes") as caught:
            load_weights(Net(), path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"learning_rate": NaN}'])
def test_another_file_of_that_name_is_no_record(tmp_path: Path, content: bytes) -> None:
    save_file(values(), tmp_path / "w.safetensors")
    (tmp_path / "w.json").write_bytes(content)
    load_weights(Net(), tmp_path / "w.safetensors")


def test_a_reader_that_gives_something_else(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(pickle.dumps(1))
    for given in (None, [1], {"weight": 1}, {1: WEIGHT}):
        with pytest.raises(UserError, match="does not hold named tensors"):
            load_weights(Net(), tmp_path / "w", reader=lambda _, given=given: given)  # type: ignore[misc]


def test_a_record_without_weights_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text('{"weights_sha256": "0"}')
    check_record(tmp_path / "w.safetensors")
