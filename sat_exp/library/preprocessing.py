"""Preprocessing as timm, torchvision and transformers state it, in one form."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from sat_exp.errors import UserError, one_line
from sat_exp.models import Preprocessing
from sat_exp.models.checking import check_input
from sat_exp.models.loading import without_retries

ADVICE = (
    "give sat_exp.Model(module, preprocessing), such as {'size': 224, 'mean': [0.5, 0.5, 0.5], 'std': [0.5, 0.5, 0.5]}"
)


def preprocessing_of(module: nn.Module, stated: Any, name: str) -> Preprocessing:
    """The preprocessing that `stated` describes, or the one that `module` itself carries where that is None. stated:
    see `sat_exp.Model`. UserError where there is none, or where the classifier cannot reproduce it."""
    source = own(module) if stated is None else stated
    if source is None:
        raise UserError(f"model {name} states no preprocessing: {ADVICE}")
    try:
        found = converted(source)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"model {name}: its preprocessing, a {type(source).__name__}, is incomplete ({one_line(error)}): {ADVICE}"
        ) from error
    except ValueError as error:
        raise UserError(f"model {name}: its preprocessing {one_line(error)}; {ADVICE}") from error
    check_input(name, found)
    return found


def own(module: Any) -> Any:
    """The preprocessing that a module carries: timm's configuration, or the image processor of a transformers model."""
    for attribute in ("pretrained_cfg", "default_cfg"):
        if facts := getattr(module, attribute, None):
            return facts
    place = getattr(module, "name_or_path", "")
    if not (place and hasattr(module, "config")):
        return None
    from transformers import AutoImageProcessor

    try:
        with without_retries():
            return AutoImageProcessor.from_pretrained(place)
    except Exception:  # whatever a folder or the hub does not have; `preprocessing_of` tells what to give
        return None


def converted(source: Any) -> Preprocessing:
    """One form of preprocessing from any that `sat_exp.Model` takes; ValueError for what it does not take."""
    if isinstance(source, Preprocessing):
        return source
    if hasattr(source, "image_mean"):
        return of_transformers(source)
    if hasattr(source, "meta") and callable(getattr(source, "transforms", None)):
        source = source.transforms()
    if hasattr(source, "crop_size") and hasattr(source, "resize_size"):
        return Preprocessing(
            size=one(source.crop_size),
            mean=list(source.mean),
            std=list(source.std),
            interpolation=source.interpolation.value,
            crop=one(source.crop_size) / one(source.resize_size),
        )
    if not isinstance(source, Mapping):
        source = source.to_dict()
    if "input_size" in source:
        return Preprocessing.of_timm(source)
    lists = {key: [float(value) for value in source[key]] for key in ("mean", "std")}
    return Preprocessing(**(dict(source) | lists))


def of_transformers(processor: Any) -> Preprocessing:
    """That of an image processor of transformers."""
    channels = len(processor.image_mean)
    normalised = getattr(processor, "do_normalize", True)
    if abs(255 * getattr(processor, "rescale_factor", 1 / 255) - 1) > 1e-6 or getattr(processor, "rescale_offset", 0):
        raise ValueError("scales pixels to another range than 0 to 1")
    size, crop_size, crop = processor.size, getattr(processor, "crop_size", None), 1.0
    side = size.get("shortest_edge") or one([size["height"], size["width"]])
    if getattr(processor, "do_center_crop", False) and crop_size:
        cropped = one([crop_size["height"], crop_size["width"]])
        side, crop = cropped, cropped / side
    elif (fraction := getattr(processor, "crop_pct", None)) and side < 384:
        crop = fraction  # as ConvNeXt's processor: larger images are not cropped
    return Preprocessing(
        size=side,
        mean=list(processor.image_mean) if normalised else [0.0] * channels,
        std=list(processor.image_std) if normalised else [1.0] * channels,
        interpolation=FILTERS.get(int(processor.resample), "nearest"),  # type: ignore[arg-type]
        crop=crop,
    )


FILTERS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers of filters


def one(sides: Any) -> int:
    """The side of a square, stated once or twice; ValueError for other rectangles."""
    different = set(sides)
    if len(different) != 1:
        raise ValueError(f"makes images of {' × '.join(map(str, sides))} pixels, which is no square")
    return int(different.pop())
