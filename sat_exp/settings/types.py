"""Types of settings, for the signatures of configured classes and functions."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pathvalidate import ValidationError, validate_filename
from pydantic import AfterValidator, BeforeValidator, Field

from sat_exp.errors import nearest
from sat_exp.files import is_url

LONGEST = 200  # the most characters of a text; file names allow more
LONGEST_PART = 255  # the most bytes of a name in a path
BUCKETS = ("s3", "gs", "az")  # schemes of the URLs of object storage
RESERVED = frozenset({"store", "wandb", "tables", "figures", "examples"})
"""Names of folders in which no runs are searched, so that no run may have them."""


def as_text(value: Any) -> Any:
    """`value`, as a text if it is a whole number, as in name=2024."""
    return str(value) if type(value) is int else value


def one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("printable characters on one line")
    return text


def file_name(text: str) -> str:
    """`text`; ValueError unless it is a valid file name on every file system."""
    try:
        validate_filename(text, platform="universal", max_len=LONGEST)
    except ValidationError as error:
        raise ValueError(f"a plain file name ({error.reason.name.lower().replace('_', ' ')})") from error
    if text.startswith((".", "-", "~", " ")):
        raise ValueError(f"a file name that does not begin with {text[0]!r}")
    return text


def run_name(text: str) -> str:
    """`text`; ValueError unless it consists of file names, joined by slashes, none of them reserved."""
    for part in text.split("/"):
        file_name(part)
        if part in RESERVED:
            raise ValueError(f"another name, {part} is the name of a folder of results")
    return text


def project(name: str) -> str:
    """`name`; ValueError unless W&B accepts it as the name of a project."""
    if set(name) & set("/\\#?%:"):
        raise ValueError("a name without / \\ # ? % :")
    return name


def path(text: str) -> str:
    if "\0" in text:
        raise ValueError("a path without a null character")
    if any(len(part.encode(errors="replace")) > LONGEST_PART for part in text.split("/")):
        raise ValueError(f"a path whose names have at most {LONGEST_PART} bytes")
    return text


def folder(text: str) -> str:
    """`text`; ValueError if it is the path of a file, or of something below a file."""
    if is_url(text):
        raise ValueError("a folder of this machine; only store= may be the URL of a bucket")
    place = Path(text).absolute()
    with suppress(PermissionError):
        if files := [above for above in (place, *place.parents) if above.exists() and not above.is_dir()]:
            raise ValueError(f"the path of a folder, {files[0]} is none")
    return text


def store_place(text: str) -> str:
    """`text`; ValueError unless it is the path of a folder or the URL of a bucket, without credentials."""
    if not is_url(text):
        return folder(text)
    url = urlsplit(text)
    if any(sign in text for sign in "@?#") or ":" in url.netloc:
        raise ValueError("a URL without credentials, which belong in the environment")
    if url.scheme not in BUCKETS or not url.netloc:
        raise ValueError(f"a folder, or a URL such as s3://BUCKET/NAME; its scheme is one of {', '.join(BUCKETS)}")
    return text


def there(text: str) -> str:
    """`text`; ValueError if it is the path of nothing. A folder that cannot be searched is left to who reads it."""
    place = Path(text)
    with suppress(PermissionError):
        if not place.exists():
            others = [path.name for path in place.parent.iterdir()] if place.parent.is_dir() else []
            near = [str(place.with_name(name)) for name in nearest(place.name, others, most=1)]
            raise ValueError(", such as ".join(["the path of a folder or a file that exists", *near]))
    return text


Text = Annotated[str, Field(min_length=1, max_length=LONGEST), BeforeValidator(as_text), AfterValidator(one_line)]
FileName = Annotated[Text, AfterValidator(file_name)]  # a text that can be the name of a file
RunName = Annotated[Text, AfterValidator(run_name)]  # the folder of a run, below output_dir
Project = Annotated[Text, Field(max_length=128), AfterValidator(project)]  # of W&B
FilePath = Annotated[str, Field(min_length=1, max_length=4096), BeforeValidator(as_text), AfterValidator(path)]
StorePlace = Annotated[FilePath, AfterValidator(store_place)]  # a folder, or a URL of object storage
FolderPath = Annotated[FilePath, AfterValidator(folder)]  # of a folder that there is, or that can be made
Existing = Annotated[FilePath, AfterValidator(there)]  # a finished run, or a file
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Whole = Annotated[int, Field(ge=0, le=1_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Images = Annotated[int, Field(ge=1, le=1_000_000_000)]  # a number of images
Repeats = Annotated[int, Field(ge=1, le=100_000)]  # a number of repetitions
Draws = Annotated[int, Field(ge=2, le=100_000)]  # a number of bootstrap resamples for an interval
Side = Annotated[int, Field(ge=1, le=4096)]  # the side of an image, in pixels
NonNegative = Annotated[float, Field(ge=0, le=1e12)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e6)]
Grid = Annotated[int, Field(ge=0, le=255)]  # a whole number of units of 1/255, the distance of pixel values
StepSize = Annotated[float, Field(gt=0, le=255)]  # in units of 1/255; with a whole number every iterate is 8-bit
Confidence = Annotated[float, Field(gt=0, lt=1)]  # the probability that an interval covers the value, such as 0.95
