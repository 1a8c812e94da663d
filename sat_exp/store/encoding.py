"""The bytes of arrays and documents, and the checks that detect damage.

An array is stored in the format of zarr 3 with the codecs `bytes` and `crc32c`: the values of a chunk in C order,
little endian, followed by their CRC-32C. Documents are JSON with a checksum among their attributes.
"""

import hashlib
import json
from collections.abc import Mapping
from math import prod
from typing import Any

import google_crc32c
import numpy as np

CRC_BYTES = 4


class Unsound(Exception):
    """Bytes that differ from what was written: a failed checksum, a wrong length, or an unreadable document."""


def key_of(facts: Mapping[str, Any]) -> str:
    """The first 24 hexadecimal digits of the SHA-256 of `facts` as canonical JSON."""
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:24]


def encode(values: np.ndarray, place: str = "") -> bytes:
    """The bytes of an array. place: a name that the checksum covers, so that the bytes are unsound elsewhere."""
    payload = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    return payload + checksum(payload, place).to_bytes(CRC_BYTES, "little")


def decode(data: bytes, dtype: str, shape: tuple[int, ...], place: str = "") -> np.ndarray:
    """The encoded array of `shape`, as a read-only view of `data`; Unsound for other bytes."""
    dtype_ = np.dtype(dtype).newbyteorder("<")
    expected = prod(shape) * dtype_.itemsize + CRC_BYTES
    if len(data) != expected:
        raise Unsound(f"{len(data)} bytes instead of {expected}")
    payload = np.frombuffer(data, np.uint8, len(data) - CRC_BYTES)
    if checksum(payload, place) != stored_checksum(data):
        raise Unsound("its checksum fails")
    return payload.view(dtype_).reshape(shape)


def checksum(payload: Any, place: str = "") -> int:
    """The CRC-32C of `place` followed by `payload`, a read-only buffer."""
    return google_crc32c.extend(google_crc32c.value(place.encode()), payload)


def stored_checksum(data: bytes) -> int:
    return int.from_bytes(data[-CRC_BYTES:], "little")


def sign(document: Mapping[str, Any]) -> bytes:
    """The bytes of a document, with a checksum of all the rest among its attributes."""
    attributes = dict(document["attributes"]) | {"checksum": key_of(document)}
    return json.dumps({**document, "attributes": attributes}, indent=1, allow_nan=False).encode()


def verify(data: bytes) -> dict[str, Any]:
    """The signed document, without its checksum; Unsound for other bytes."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unsound("it is not a document") from error
    attributes = document.get("attributes") if isinstance(document, dict) else None
    if not isinstance(attributes, dict) or "checksum" not in attributes:
        raise Unsound("it has no checksum")
    claimed = attributes.pop("checksum")
    try:
        actual = key_of(document)
    except ValueError as error:
        raise Unsound("it has numbers that are not finite") from error
    if claimed != actual:
        raise Unsound("its checksum fails")
    return document


def zarr_metadata(facts: Mapping[str, Any], shape: tuple[int, ...], dtype: str, chunk: int) -> dict[str, Any]:
    """The metadata of an array, by the core specification of zarr 3, with `facts` as an attribute."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk, *shape[1:]]}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "attributes": {"facts": dict(facts)},
    }
