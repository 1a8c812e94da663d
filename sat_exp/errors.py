"""Errors that the user can fix, each as one line."""

import difflib
import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

SHOWN = 60  # characters of a long name that an error repeats
CREDENTIALS = re.compile(r"(?<=://)[^\s@]+(?=@)|(?<=\?)[^\s\"')?]*=[^\s\"')]*")
"""The user, the password and the query of a URL."""

FULL = (errno.ENOSPC, errno.EDQUOT)


class UserError(Exception):
    """Wrong input or a missing resource. The message is one line: what was wrong and what to do. Names in it may come
    from other people's files, so characters that cannot be printed on one line are replaced."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """`text` on one line, with spaces for line breaks and tabs and � for other characters that cannot be printed. The
    credentials in a URL are hidden."""
    text = CREDENTIALS.sub("[hidden]", text)
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "�" for letter in text)


def one_line(error: BaseException) -> str:
    """The message of `error`, or of its cause, as one line of at most 200 characters; its type if empty."""
    root = error.__cause__ or error
    return printable(" ".join(str(root).split()))[:200] or type(root).__name__


def reason(error: Exception) -> str:
    """Why something failed, in one line."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"


@contextmanager
def explained(failure: str, advice: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn exceptions of `kinds`, by default all, into the UserError "FAILURE (reason): ADVICE", except a UserError."""
    caught = kinds or (Exception,)
    try:
        yield
    except UserError:
        raise
    except caught as error:
        raise UserError(f"{failure} ({one_line(error)}): {advice}") from error


def nearest(value: Any, known: Iterable[Any], *, most: int = 3, cutoff: float = 0.6) -> list[str]:
    """At most `most` of the `known` names, the most similar to `value` first; empty where none is similar. cutoff: the
    least similarity, from 0 to 1, as `difflib.SequenceMatcher.ratio` measures it."""
    return difflib.get_close_matches(str(value)[:SHOWN], [str(name) for name in known], n=most, cutoff=cutoff)


def user_error(error: BaseException | None) -> UserError | None:
    """The UserError that caused `error`, or one for a wrong configuration, a full disk or a long name; else None."""
    while error is not None and not isinstance(error, UserError):
        if isinstance(error, OSError) and error.errno in FULL:
            place = f" at {error.filename}" if error.filename else ""
            return UserError(f"the disk is full{place}: free some space and run the same command again")
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return UserError(f"{str(error.filename)[-SHOWN:]} is too long for a name: give a shorter one")
        if isinstance(error, OmegaConfBaseException) and error.__cause__ is None:
            return of_omegaconf(error)
        error = error.__cause__ or error.__context__
    return error


def of_hydra(error: BaseException) -> str:
    """Hydra's message about the typed arguments, without its links, and advice."""
    message = re.split(r"See https|Config search path", one_line(error))[0].strip().rstrip(".:")
    return f"{message}: give settings as NAME=VALUE, and quote a value that is not plain, NAME='VALUE'; see --help"


def of_omegaconf(error: OmegaConfBaseException) -> UserError:
    """An error of a configuration as a UserError, with the nearest names where a name is unknown."""
    if isinstance(error, MissingMandatoryValue):
        return UserError(f"{error.full_key} has no value: give {error.full_key}=")
    if error.parent_node is not None and OmegaConf.is_dict(error.parent_node) and isinstance(error.key, str):
        known = [str(key) for key in error.parent_node if not str(key).startswith("_")]
        if error.key not in known:
            near = nearest(error.key, known) or known
            advice = f"; near it: {', '.join(near)}" if near else ""
            return UserError(f"there is no setting {error.full_key}{advice}")
    message = str(error).splitlines()[0].rstrip(".")
    return UserError(f"{error.full_key}: {message}; give a value" if error.full_key else of_hydra(error))
