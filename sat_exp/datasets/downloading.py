"""Downloads of data sets, once, into the user's cache folder."""

import hashlib
import logging
import socket
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from sat_exp.errors import UserError, one_line

TIMEOUT = 20  # seconds without an answer; the system's default is minutes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """A file to download, and to unpack if it is a tar. into: the subfolder to put it in."""

    url: str
    sha256: str
    into: str = ""

    def fetch(self, folder: Path) -> None:
        """Download the file, or its contents, into `folder`; RuntimeError where it is not the published one."""
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


def download_url(url: str, folder: str, name: str) -> None:
    """Download a file, by torchvision, which takes a second to import."""
    from torchvision.datasets.utils import download_url

    download_url(url, folder, name)


def downloaded(title: str, root: str | None, folder: str, files: Sequence[Published]) -> Path:
    """The parent of the folder called `folder`; UserError where there is none and it cannot be downloaded.

    root: `folder` itself or its parent; None for the user's cache folder, into which `files` are downloaded once. A
    download is moved there when it is complete.
    """
    if root is not None:
        place = Path(root).expanduser()
        parent = place.parent if place.name == folder else place
        if not (parent / folder).is_dir():
            advice = f"give dataset.root=FOLDER with {folder} in it, or leave it out to download {title} once"
            raise UserError(f"no {folder} in {parent}: {advice}")
        return parent
    parent = platformdirs.user_cache_path("sat_exp", appauthor=False)
    target = parent / folder
    if target.is_dir():
        return parent
    timeout = socket.getdefaulttimeout()
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
        failure = f"{title} could not be downloaded into {parent} ({one_line(error)}): connect to the internet, or give"
        advice = f"dataset.root=FOLDER with {folder} in it, or try experiment=quickstart, which needs no download"
        raise UserError(f"{failure} {advice}") from error
    finally:
        socket.setdefaulttimeout(timeout)
    return parent
