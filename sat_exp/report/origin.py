"""Where the numbers of a page come from, in the words of its captions: images, intervals, settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sat_exp.report.results import Results

COMMON = {
    "truth": "images that both models classify correctly",
    "consensus": "images on which both models agree",
    "own": "all images",
}
NATIVE = COMMON | {
    "truth": "images that both models classify correctly, in their own view and in the other's",
    "consensus": "images on which both models agree, in either's view",
}
CHANGES = ", fooled meaning that the prediction changes"
ATTACKED = {
    "truth": "images classified correctly, on which the attack was made",
    "consensus": "images on which the attack was made: all of them",
    "own": "images on which the attack was made: all of them",
}
NOISE = "noise"
UNKNOWN = "unknown"
"""The family of a model of which nothing but its name is known."""

STUDIES = ("analyze", "compare")
"""Tasks that read tables and compute no model: choices of models, images, attack and device have no part in them."""

CHOSEN = {"model": "model", "model@target": "target", "pool": "pool", "dataset": "dataset", "attack": "attack"}
"""What can be chosen by name, and the setting that it makes."""

TAKES: dict[str, set[str]] = {
    "attack": {"model", "pool", "dataset", "attack"},
    "transfer": {"model", "model@target", "pool", "dataset", "attack"},
    "matrix": {"pool", "dataset", "attack"},
    "ensemble": {"pool", "dataset", "attack"},
    "distill": {"dataset", "attack"},
    "plan": {"model", "model@target", "pool", "dataset", "attack"},
    "place": {"model"},
    "analyze": set(),
    "compare": set(),
}
"""Which of `CHOSEN` each task uses; `place` takes images and attack from the run that it extends."""

WHOLE_POOL = ("attack", "plan")
"""Tasks in which a pool takes the place of the model."""

MEASURING = {"hardware", "labels", "protocol", "sweep"}
"""Settings without a part in `STUDIES`."""


@dataclass(frozen=True)
class Origin:
    """How the pairs and models on a page came about.

    labels, protocol: of their measurement, None where the run does not say. confidence: of the intervals of rates and
    SAT of pairs. stated: whether the pairs were read from a file of SAT alone, of which each value is taken to rest on
    `images` images. attack: the name of the attack, in lower case, "" where it is not known. directed: whether any
    transfer rate is known.
    """

    labels: str | None = None
    protocol: str | None = None
    confidence: float = 0.95
    stated: bool = False
    images: int | None = None
    attack: str = ""
    directed: bool = True

    @classmethod
    def of(cls, found: Results) -> "Origin":
        """The origin of the pairs and models in a run's tables: of the run that it studies, where it studies one."""
        pairs, facts = found.pairs, found.studied or found.summary
        settings, attack = facts.get("settings", {}), facts.get("attack") or {}
        known = pairs is not None and bool(pairs[["transfer_rate_ab", "transfer_rate_ba"]].notna().any(axis=None))
        stated = pairs is not None and bool(pairs["images"].isna().all())
        task = found.summary.get("settings", {}).get("task") or {}
        return cls(
            labels=None if stated else settings.get("labels"),
            protocol=None if stated else settings.get("protocol"),
            confidence=0.95 if stated else (settings.get("score") or {}).get("confidence", 0.95),
            stated=stated,
            images=task.get("reference_images") if stated else None,
            attack=attack.get("name", ""),
            directed=known,
        )

    @property
    def common(self) -> str:
        """Which images a pair is compared on."""
        words = (NATIVE if self.protocol == "native" else COMMON).get(self.labels or "", "the images of the pair")
        return words + (CHANGES if self.labels in ("consensus", "own") else "")

    @property
    def attacked(self) -> str:
        return ATTACKED.get(self.labels or "", "images on which the attack was made")

    @property
    def made(self) -> str:
        """What a source's images with their change are called."""
        return "images with noise" if self.attack == NOISE else "adversarial images"

    @property
    def level(self) -> str:
        """For instance '95 %'."""
        return f"{100 * self.confidence:g} %"

    @property
    def interval(self) -> str:
        """What the interval of a pair's SAT is."""
        if not self.stated:
            return f"{self.level} interval over images"
        of = "" if self.images is None else f", assumed for {self.images:,} images a value"
        return f"± 1.96 standard errors{of}"


def choices(summary: Mapping[str, Any]) -> dict[str, str]:
    """What was chosen by name and had a part in the run."""
    return {
        group: choice
        for group, choice in (summary.get("choices") or {}).items()
        if choice is not None and group not in idle(summary)
    }


def settings(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that had a part in the run."""
    without = {CHOSEN.get(group, group) for group in idle(summary)}
    return {name: value for name, value in (summary.get("settings") or {}).items() if name not in without}


def hardware(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The machine; of a study without its threads and accelerator, which had no part in it."""
    known = summary.get("hardware") or {}
    return {"machine": known["machine"]} if summary.get("task") in STUDIES and "machine" in known else dict(known)


def idle(summary: Mapping[str, Any]) -> set[str]:
    """Choices and settings that were composed and had no part in the run; none of a task that is not known."""
    task = str(summary.get("task"))
    if task not in TAKES:
        return set()
    unused = set(CHOSEN) - TAKES[task]
    sweep = (summary.get("settings") or {}).get("sweep") or {}
    if task in WHOLE_POOL and (summary.get("choices") or {}).get("pool"):
        unused |= {"model", "model@target"}
    if len(sweep.get("models") or []) > 1:
        unused.add("model")
    if sweep.get("targets"):
        unused.add("model@target")
    return unused | (MEASURING if task in STUDIES else set())
