"""Functions that damage a single file, and the outcome of a command that reads it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sat_exp.store import key_of

from .harness import Ended, Undisturbed, all_of, differences, digest, discard, left, one_line, run, seeded

DAMAGES = ("flipped", "cut", "emptied", "missing", "folder")


def harm(file: Path, how: str, random: np.random.Generator) -> None:
    """Damage a file: one bit of it is flipped, its end is cut off, all of it is, it is removed, or becomes a folder."""
    content = bytearray(file.read_bytes())
    if how == "flipped" and not content:
        content.append(1)
    elif how == "flipped":
        content[int(random.integers(len(content)))] ^= 1 << int(random.integers(8))
    elif how == "cut":
        content = content[: int(random.integers(1, max(2, len(content))))][: len(content) - 1]
    elif how == "emptied":
        content = bytearray()
    file.unlink()
    if how == "folder":
        file.mkdir()
    elif how != "missing":
        file.write_bytes(content)


def sound_files(folder: Path) -> dict[str, str]:
    """The digest of every chunk and row in the store."""
    files = [file for file in folder.glob("outputs/store/*/*/*") if file.is_file() and is_part(file)]
    return {str(file): digest(file) for file in files}


def is_part(file: Path) -> bool:
    return not file.name.endswith((".json", ".lock", ".partial", ".why"))


def lost(before: dict[str, str], folder: Path) -> list[str]:
    """What was sound and is neither in its place nor in the quarantine."""
    now = {digest(file) for file in folder.glob("outputs/store/**/*") if file.is_file()}
    return [name for name, known in before.items() if known not in now]


def judged(ended: Ended, name: str, unequal: Sequence[str]) -> tuple[str, str | None]:
    """What came of a damaged file, named by its path in the run's folder; and what is wrong, None where nothing is."""
    if ended.status == 0:
        named = name in ended.text
        if unequal:
            return "OTHER NUMBERS", f"in silence ({ended.status}): {', '.join(unequal[:6])}: {ended.text[-1200:]}"
        return ("named, then the same bytes" if named else "the same bytes"), None
    wrong = one_line(ended)
    if wrong is None and Path(name).name not in ended.last and str(Path(name).parent) not in ended.last:
        wrong = f"the error does not name {name}: {ended.text[-800:]}"
    return "one line", wrong


class Damaging:
    """Trials of one command: each damages one file in a copy of what it left, and gives the command again."""

    def __init__(self, known: Undisturbed, folder: Path, tally: Any, place: str) -> None:
        self.known, self.folder, self.tally, self.place = known, folder, tally, place

    def trial(self, name: str, how: str, *, silent: bool, read_by: str | None = None) -> str | None:
        """name: of the file, relative to the folder. silent: whether damage may go unnamed where it changes nothing.
        read_by: the run that only reads the file, and whose results alone count."""
        trial = self.known.copy(self.folder / key_of({"file": name, "damage": how}))
        file = trial / name
        harm(file, how, seeded("damage", name, how))
        before = {known: value for known, value in sound_files(trial).items() if known != str(file)}
        ended = run(trial, self.known.arguments)
        runs = read_by or "*"
        unequal = differences(left(trial, runs), left(self.known.folder, runs)) if ended.status == 0 else []
        if read_by is not None:
            unequal = [other for other in unequal if f"outputs/{other}" != name]
        outcome, wrong = judged(ended, name, unequal)
        if wrong is None and outcome == "the same bytes" and not silent and how not in ("missing", "folder"):
            wrong = f"nothing names {name}: {ended.text[-800:]}"
        if wrong is None and (gone := lost(before, trial)):
            wrong = f"sound and gone: {', '.join(gone[:4])}"
        self.tally(how, f"{self.place}: {kind(name)}", outcome if wrong is None else "WENT WRONG")
        if wrong is None:
            discard(trial)
        return wrong

    def all(self, names: Sequence[str], *, silent: bool = False, damages: Sequence[str] = DAMAGES) -> None:
        trials = [(name, how) for name in names for how in damages]
        wrong = all_of(trials, lambda trial: self.trial(*trial, silent=silent))
        assert not wrong, "\n".join(wrong)


def kind(name: str) -> str:
    """What sort of file one is: names of models, keys and numbers of chunks are left out."""
    name = re.sub(r"\boutputs/", "", name)
    name = re.sub(r"[0-9a-f]{24}(~[^/]*)?", lambda found: "ROW" if found[1] else "KEY", name)
    name = re.sub(r"/\d+(\.\d+)+$", "/CHUNK", name)
    name = re.sub(r"-[0-9a-f]{8,24}\b", "-KEY", name)
    name = re.sub(
        r"(?<=distilled/)fashion_(\w+?_seed0)?(_from)?\w*",
        lambda found: "".join(["STUDENT" if found[1] else "TEACHER", "_from_TEACHER" if found[2] else ""]),
        name,
    )
    name = re.sub(r"(tables|figures)/.*\.", r"\1/NAME.", name)
    return re.sub(r"examples/.*", "examples/NAME.png", name)


def each_kind(folder: Path, *patterns: str) -> list[str]:
    """One file of each kind among those that fit the patterns, relative to the folder."""
    files = sorted(
        str(path.relative_to(folder)) for pattern in patterns for path in folder.glob(pattern) if path.is_file()
    )
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(kind(file), []).append(file)
    return [str(seeded("kind", name).choice(group)) for name, group in groups.items()]
