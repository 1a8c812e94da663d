"""The storage of a store: named objects of bytes in a bucket of S3, Google Cloud Storage or Azure, through obstore."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sat_exp.errors import UserError, one_line
from sat_exp.store.storage import Entry, Listing, Unwritable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

GONE = b""
"""The bytes of an object that was moved away. Its name is free: no object of a store is empty."""

SECONDS = 60.0
"""How long a request that fails is tried again."""

SECRET = re.compile("KEY|SECRET|TOKEN|CREDENTIAL|PASSWORD|CONNECTION_STRING|SAS", re.IGNORECASE)
SERVICES = ("AWS_", "AZURE_", "GOOGLE_", "GCS_")
HIDDEN = "[hidden]"


@dataclass(frozen=True)
class Objects:
    """Objects under names such as `logits/ab12/zarr.json`, as objects below the prefix `url`, such as s3://bucket/study.

    The credentials are those in the environment. An object is created only if it is absent. There are no locks: what
    two processes do at the same time is done twice, and the first result stays. obstore works in threads, so that a
    process must not be forked after it used this.
    """

    url: str

    def __reduce__(self) -> tuple[Any, ...]:
        return Objects, (self.url,)

    @cached_property
    def client(self) -> "ObjectStore":
        try:
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise UserError(f"store={self.url} needs obstore: pip install 'sat_exp[cloud]'") from error
        with self.errors("open", ""):
            return from_url(self.url, retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=SECONDS)})

    def read(self, name: str) -> bytes | None:
        return self.version(name)[0]

    def version(self, name: str) -> tuple[bytes | None, Any]:
        """The bytes of an object, None where it is absent, and the mode of a `put` that replaces just this version."""
        with self.errors("read", name):
            try:
                found = self.client.get(name)
                data = bytes(found.bytes())
            except FileNotFoundError:
                return None, "create"
        kept = {part: found.meta[part] for part in ("e_tag", "version") if found.meta[part] is not None}
        return None if data == GONE else data, kept

    def put(self, name: str, data: bytes, mode: Any) -> bool:
        """Write an object; False, and nothing changes, where `mode` says another version than there is."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self.errors("write to", name):
            try:
                self.client.put(name, data, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def create(self, name: str, data: bytes) -> bool:
        if self.put(name, data, "create"):
            return True
        found, mode = self.version(name)
        return found is None and self.put(name, data, mode)

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        while True:
            data, mode = self.version(name)
            if self.put(name, change(data), mode):
                return

    def move(self, name: str, to: str, data: bytes) -> None:
        found, mode = self.version(name)
        if found == data:
            self.put(to, data, "create")
            self.put(name, GONE, mode)

    def remove(self, name: str) -> None:
        with self.errors("remove", name):
            self.client.delete(name)

    def remove_folder(self, name: str) -> None:
        """Remove the free names in a folder without objects."""
        found = self.below(name)
        if not found["common_prefixes"] and all(entry["size"] == len(GONE) for entry in found["objects"]):
            for entry in found["objects"]:
                self.remove(f"{name}/{entry['path'].rpartition('/')[2]}")

    def below(self, name: str) -> Any:
        with self.errors("list", name):
            return self.client.list_with_delimiter(f"{name}/" if name else None)

    def list(self, name: str) -> Listing:
        found = self.below(name)
        folders = [folder.rstrip("/").rpartition("/")[2] for folder in found["common_prefixes"]]
        objects = {
            entry["path"].rpartition("/")[2]: Entry(entry["size"], entry["last_modified"].timestamp())
            for entry in found["objects"]
            if entry["size"] > len(GONE)
        }
        return Listing(sorted(folders), objects)

    def locate(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{name}" if name else self.url

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Excludes nobody."""
        return nullcontext()

    def shared(self, name: str) -> AbstractContextManager[None]:
        """Excludes nobody."""
        return nullcontext()

    def sole(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Excludes nobody."""
        return nullcontext()

    def in_use(self) -> AbstractContextManager[None]:
        """Excludes nobody."""
        return nullcontext()

    def alone(self) -> AbstractContextManager[None]:
        """Excludes nobody."""
        return nullcontext()

    @contextmanager
    def errors(self, verb: str, name: str) -> Iterator[None]:
        """Turn an error of the service into an Unwritable with advice, without secrets."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError:
            raise Unwritable(f"cannot {verb} {self.locate(name)}: there is no such bucket; make it first") from None
        except (BaseError, ValueError, OSError) as error:
            advice = "check the bucket, and the credentials in the environment, then run the same command again"
            reason = one_line(Exception(without_secrets(str(error).partition("Debug source")[0])))
            raise Unwritable(f"cannot {verb} {self.locate(name)} ({reason}): {advice}") from None


def without_secrets(text: str) -> str:
    """`text` without the values of secrets in the environment."""
    for name, value in os.environ.items():
        if name.upper().startswith(SERVICES) and SECRET.search(name) and value:
            text = text.replace(value, HIDDEN)
    return text
