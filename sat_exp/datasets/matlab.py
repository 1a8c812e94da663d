"""Arrays of structures in Matlab files of version 5, such as the one in the devkit of ImageNet.

SciPy's reader crashes the process at some damaged files; this one checks every length first. Source: MathWorks,
*MAT-File Format*, version 5.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

HEADER = 128  # bytes before the elements of a file; the last two give the byte order of numbers
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
STRUCTURES, CHARACTERS = 2, 4  # the kinds of matrices that are read
Element = tuple[int, bytes]  # the type and the content of an element


class Reader:
    """Reads the elements of a file. order: "<" or ">", the byte order. most: bytes to unpack in all."""

    def __init__(self, order: str, most: int) -> None:
        self.order, self.left = order, most

    def elements(self, content: bytes) -> Iterator[Element]:
        """The elements in `content`, unpacked; ValueError where one is longer than the content."""
        at = 0
        while at + 8 <= len(content):
            kind, size = struct.unpack_from(f"{self.order}II", content, at)
            if kind >> 16:  # a small element: its size and type share four bytes
                kind, size, begin, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            else:
                begin, end = at + 8, at + 8 + size + (-size % 8) * (kind != COMPRESSED)
            if begin + size > len(content):
                raise ValueError("it is cut")
            inner = content[begin : begin + size]
            if kind == COMPRESSED:
                unpacked = zlib.decompressobj().decompress(inner, self.left + 1)
                self.left -= len(unpacked)
                if self.left < 0:
                    raise ValueError("it is larger than allowed")
                yield from self.elements(unpacked)
            else:
                yield kind, inner
            at = end

    def numbers(self, element: Element) -> np.ndarray:
        return np.frombuffer(element[1], f"{self.order}{NUMBERS[element[0]]}")

    def value(self, matrix: bytes) -> str | int | float:
        """The text in a matrix of characters, or the one number in another matrix."""
        flags, _, _, data = list(self.elements(matrix))[:4]
        if self.numbers(flags)[0] & 0xFF == CHARACTERS:
            wide = {"utf-16": "utf-16-le" if self.order == "<" else "utf-16-be"}
            return data[1].decode(wide.get(TEXTS[data[0]], TEXTS[data[0]]))
        (number,) = self.numbers(data)
        return number.item()

    def structures(self, matrix: bytes, wanted: Sequence[str]) -> list[tuple[str | int | float, ...]]:
        """The values of the fields `wanted` for each structure in a matrix of structures."""
        flags, _, _, length, names, *cells = self.elements(matrix)
        if self.numbers(flags)[0] & 0xFF != STRUCTURES:
            raise ValueError("it holds no structures")
        size = int(self.numbers(length)[0])
        parts = [names[1][at : at + size] for at in range(0, len(names[1]), size)]
        fields = [part.partition(b"\0")[0].decode("ascii") for part in parts]
        rows = [cells[at : at + len(fields)] for at in range(0, len(cells), len(fields))]
        places = [fields.index(name) for name in wanted]
        return [tuple(self.value(row[place][1]) for place in places) for row in rows]


def structures(content: bytes, name: str, fields: Sequence[str], most: int) -> list[tuple[str | int | float, ...]]:
    """The values of `fields`, texts and numbers, for each structure in the variable `name` of a file's `content`.

    ValueError or LookupError where the file is damaged, unpacks to more than `most` bytes, or lacks a field.
    """
    reader = Reader(">" if content[:HEADER].endswith(b"MI") else "<", most)
    for kind, matrix in reader.elements(content[HEADER:]):
        if kind == MATRIX and list(reader.elements(matrix))[2][1] == name.encode():
            return reader.structures(matrix, fields)
    raise KeyError(f"it has no {name}")
