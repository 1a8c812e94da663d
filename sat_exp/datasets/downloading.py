"""Data sets that are downloaded once into the user's cache folder, and nowhere else."""

import hashlib
import logging
import socket
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from torchvision.datasets.utils import download_url

from sat_exp.errors import UserError, one_line

TIMEOUT = 20  # seconds without an answer; the system's own patience lasts minutes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """A file that is downloaded, and unpacked where it is a tar: its address and its SHA-256, in hex. into: a folder of
    that name."""

    url: str
    sha256: str
    into: str = ""

    def fetch(self, folder: Path) -> None:
        """Have the file, or what is in it, in `folder`; RuntimeError where it is not the published one."""
        folder = folder / self.into
        folder.mkdir(exist_ok=True)
        file = folder / self.url.rpartition("/")[2]
        download_url(self.url, str(folder), file.name)
        with file.open("rb") as content:
            if (found := hashlib.file_digest(content, "sha256").hexdigest()) != self.sha256:
                raise RuntimeError(f"{self.url} is not the published file: its SHA-256 is {found}")
        if file.suffix in (".tgz", ".gz"):
            with tarfile.open(file) as archive:
                archive.extractall(folder, filter="data")
            file.unlink()


def downloaded(title: str, root: str | None, folder: str, files: Sequence[Published]) -> Path:
    """The folder that holds `folder`: `root`, its parent where `root` is `folder` itself, or else the user's cache
    folder, into which `files` are downloaded where it is absent there; complete or not there at all.
    """
    if root is not None:
        given = Path(root).expanduser()
        parent = given.parent if given.name == folder else given
        if not (parent / folder).is_dir():
            raise UserError(
                f"no {folder} in {parent}: give dataset.root=FOLDER with {folder} in it, or leave it out to download "
                f"{title} once"
            )
        return parent
    parent = platformdirs.user_cache_path("sat_exp", appauthor=False)
    target = parent / folder
    if target.is_dir():
        return parent
    patience = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".partial-") as partial:
            log.info("downloading %s into %s, once", title, parent)
            for file in files:
                file.fetch(Path(partial))
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
