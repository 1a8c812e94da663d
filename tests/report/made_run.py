"""A run with tables and examples of made-up numbers, and models whose names are markup."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from PIL import Image

from sat_exp import runs

MODELS = {
    "conv_a": "Conv",
    "mix_a": "Mixer",
    "conv_b": "Conv",
    "mix_b": "Mixer",
    "<b>x</b>": "Conv",
    "$odd_name$": "Mixer",
    "alone": "A & B",
}
MISSING = {"conv_b", "mix_b"}
FEW = {"conv_a": "Conv", "mix_a": "Mixer", "conv_b": "Conv"}
IMAGES = 500


def models_table(names: dict[str, str], success: float = 0.996) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    correct = rng.integers(430, 470, len(names))
    fooled = np.round(success * correct).astype(int)
    table = pd.DataFrame(
        {
            "model": list(names),
            "family": list(names.values()),
            "parameters": rng.integers(100_000, 900_000, len(names)),
            "images": IMAGES,
            "clean_correct": correct,
            "clean_accuracy": correct / IMAGES,
            "clean_accuracy_low": correct / IMAGES - 0.021,
            "clean_accuracy_high": correct / IMAGES + 0.019,
            "attacked": correct,
            "fooled": fooled,
            "white_box_success": fooled / correct,
            "white_box_success_low": fooled / correct - 0.006,
            "white_box_success_high": np.minimum(1, fooled / correct + 0.003),
            "mean_linf": 16.0,
            "mean_l2": rng.uniform(300, 400, len(names)),
            "changed_pixels": rng.uniform(0.8, 0.9, len(names)),
            "attack_seconds": rng.uniform(3, 9, len(names)),
            "attack_images_per_second": rng.uniform(50, 90, len(names)),
            "pretrained": True,
        }
    )
    table.loc[0, ["attack_seconds", "attack_images_per_second"]] = np.nan
    return table.assign(weak_attack=table["white_box_success"] < 0.99)


def pairs_table(names: dict[str, str]) -> pd.DataFrame:
    """Pairs of one family transfer at about 60%, others at about 10%; the pair `MISSING` shares no image."""
    rng = np.random.default_rng(2)
    order, rows = list(names), []
    for i, a in enumerate(order):
        for b in order[i:]:
            images = 0 if {a, b} == MISSING else int(rng.integers(400, 430))
            mean = 0.996 if a == b else rng.uniform(0.55, 0.65) if names[a] == names[b] else rng.uniform(0.08, 0.13)
            row: dict[str, Any] = {
                "model_a": a,
                "model_b": b,
                "family_a": names[a],
                "family_b": names[b],
                "images": images,
            }
            for direction in ("ab", "ba"):
                fooled = round(images * mean * (1 if a == b else rng.uniform(0.9, 1.1)))
                rate = fooled / images if images else np.nan
                row |= {
                    f"fooled_{direction}": fooled,
                    f"transfer_rate_{direction}": rate,
                    f"transfer_rate_{direction}_low": rate * 0.93,
                    f"transfer_rate_{direction}_high": min(1.0, rate * 1.07) if images else np.nan,
                }
            sat = np.log(50 * (row["transfer_rate_ab"] + row["transfer_rate_ba"]))
            rows.append(row | {"sat": sat, "sat_low": sat - 0.1, "sat_high": sat + 0.09})
    return pd.DataFrame(rows)


def write_examples(folder: Path, channels: int, size: int, epsilon: int) -> pd.DataFrame:
    """Two sources and two images; the second source did not attack the second image."""
    rng = np.random.default_rng(3)
    rows = []
    cleans = {image: rng.integers(epsilon, 256 - epsilon, (channels, size, size)) for image in (0, 4)}
    for image, model, after in ((0, "conv_a", 1), (4, "conv_a", 1), (0, "<b>x</b>", 7)):
        clean = cleans[image]
        adversarial = clean + rng.choice([-epsilon, epsilon], clean.shape)
        files = {"clean": f"examples/{image}/clean.png", "adversarial": f"examples/{image}/{quote(model, safe='')}.png"}
        for file, pixels in zip(files.values(), (clean, adversarial), strict=True):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.transpose(1, 2, 0).squeeze().astype(np.uint8)).save(folder / file)
        label = 1 if image else 0
        rows.append(
            {"model": model, "image": image, "image_id": f"no {image}", "label": label, "known": True}
            | {"clean_prediction": label, "adversarial_prediction": after}
            | files
        )
    return pd.DataFrame(rows)


def summary(**changes: object) -> dict[str, object]:
    return {
        "task": "matrix",
        "title": "A <i>small</i> pool",
        "command": "python -m sat_exp experiment=quickstart",
        "created": "2026-11-23T04:40:12+00:00",
        "settings": {"attack": {"steps": 20}},
        "choices": {"pool": "bundled"},
        "versions": {"torch": "2.13.0", "git_commit": "3f9c1e2"},
        "hardware": {"cpu": "a processor", "cores": 2, "accelerator": None},
        "timings": {"attack": 154.2},
        "class_names": ["cat, house cat", "dog"],
        "attack": {"name": "pgd", "epsilon": 16, "step_size": 2, "steps": 20, "random_start": True},
        "dataset": {"name": "pets", "images": IMAGES, "classes": 2, "digest": "9f0c"},
        "warnings": ["the disk is <nearly> full"],
    } | changes


def write_run(run: Path, models: pd.DataFrame, pairs: pd.DataFrame | None, **changes: object) -> Path:
    with runs.drafted(run) as place:
        tables = {"models": models} | ({} if pairs is None else {"pairs": pairs})
        shown = write_examples(place, 1, 32, 16)
        seen = [(row.model, target, row.image, 0) for row in shown.itertuples() for target in models["model"]]
        seen_table = pd.DataFrame(seen, columns=["source", "target", "image", "prediction"])
        runs.fill(place, summary(**changes), tables | {"examples": shown, "example_predictions": seen_table})
    return run


def unpacked(html: str, name: str) -> Any:
    """The numbers that the script of a page reads."""
    return json.loads(gzip.decompress(base64.b64decode(re.search(rf'id="{name}">(.*?)</script>', html)[1])))
