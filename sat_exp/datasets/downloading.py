"""Data sets that are downloaded once into the user's cache folder."""

import logging
import socket
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from sat_exp.errors import UserError, one_line

TIMEOUT = 20  # seconds without an answer; the system's own patience lasts minutes

log = logging.getLogger(__name__)


def downloaded(title: str, root: str | None, folder: str, fetch: Callable[[str], object]) -> Path:
    """The folder that holds `folder`, downloaded first where it is absent; complete or not there at all.

    That is `root` (default: the user's cache folder), or its parent where `root` is `folder` itself. `fetch` downloads
    into the folder that it is given.
    """
    cache = platformdirs.user_cache_path("sat_exp", appauthor=False)
    given = Path(str(root)).expanduser() if root is not None else cache
    parent = given.parent if given.name == folder else given
    target = parent / folder
    if target.is_dir():
        return parent
    patience = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".partial-") as partial:
            log.info("downloading %s into %s, once", title, parent)
            fetch(partial)
            if not target.is_dir():
                (Path(partial) / folder).replace(target)
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        if target.is_dir():  # another process was first
            return parent
        raise UserError(
            f"{title} could not be downloaded into {parent} ({one_line(error)}): connect to the internet, or give "
            f"dataset.root=FOLDER with {folder} in it, or try experiment=quickstart, which needs no download"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
    return parent
