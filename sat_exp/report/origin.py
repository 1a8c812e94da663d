"""The numbers of a page in readable form, and their origin in words: attack, images, intervals, settings used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import humanize
import numpy as np

from sat_exp.report.results import Results
from sat_exp.runs import registry

COMMON = {
    "truth": "images that both models classify correctly",
    "consensus": "images on which both models agree",
    "own": "all images",
}
NATIVE = COMMON | {
    "truth": "images that both models classify correctly, in their own view and in the other's",
    "consensus": "images on which both models agree, in either's view",
}
NOISE = "noise"
TITLES = {NOISE: "Noise"}
IN_THREAT = {"title", "epsilon", "goal", "threat"}  # facts that the name and the threat model state
UNKNOWN = "unknown"  # the family of a model that is known by its name alone
CHOSEN = {"model": "model", "model@target": "target", "pool": "pool", "dataset": "dataset", "attack": "attack"}
"""Groups of which one file is chosen by name, and the setting that each makes."""

MEASUREMENTS = {
    "attack": registry.Study("attack", "", {}, choices=frozenset(CHOSEN) - {"model@target"}, pool_replaces_model=True),
    "transfer": registry.Study("transfer", "", {}, choices=frozenset(CHOSEN)),
    "matrix": registry.Study("matrix", "", {}, choices=frozenset({"pool", "dataset", "attack"})),
}
"""What the tasks that are not studies use of the command line."""

MEASURING = {
    "adversarial",
    "hardware",
    "labels",
    "protocol",
    "sweep",
}  # settings that a study which runs no model does not use


@dataclass(frozen=True)
class Attack:
    """What the summary of a run states about its attack: `facts` are its field `attack`, empty where it has none.

    Runs of earlier versions state no threat model: all their attacks are untargeted and within `epsilon` in L∞.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> "Attack":
        return cls(summary.get("attack") or {})

    @property
    def title(self) -> str:
        """For instance 'PGD'; '' where it is unknown."""
        name = str(self.facts.get("name", ""))
        return str(self.facts.get("title") or TITLES.get(name, name.upper()))

    @property
    def threat(self) -> str:
        """For instance 'L∞ ≤ 8/255' or 'L∞ ≤ 8/255, targeted at a random class'; '' where it is unknown."""
        if stated := self.facts.get("threat"):
            return str(stated.get("text", ""))
        return f"L∞ ≤ {self.facts['epsilon']:g}/255" if "epsilon" in self.facts else ""

    @property
    def targeted(self) -> bool:
        return (self.facts.get("threat") or {}).get("goal", "untargeted") != "untargeted"

    @property
    def name(self) -> str:
        """For instance 'PGD (L∞ ≤ 16/255, 20 steps)'; 'The attack' where it is unknown."""
        steps = f"{self.facts['steps']} steps" if "steps" in self.facts else ""
        numbers = ", ".join(part for part in (self.threat, steps) if part)
        return f"{self.title} ({numbers})" if self.title and numbers else self.title or "The attack"

    @property
    def images(self) -> str:
        """The term for attacked images."""
        return "images with noise" if self.facts.get("name") == NOISE else "adversarial images"

    @property
    def fooled(self) -> str:
        """When a model counts as fooled."""
        return "the prediction becomes the goal class of the attack" if self.targeted else "the prediction changes"

    @property
    def withstood(self) -> str:
        """What a failure of the attack means, where it does not mean that the prediction is correct."""
        return "goal class not reached" if self.targeted else "predictions kept"

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Rows of a table: name, threat model, and the other settings."""
        if not self.facts:
            return []
        rows = [("name", self.title), ("threat model", self.threat), ("fooled", f"where {self.fooled}")]
        return rows + [
            (key.replace("_", " "), f"{value:g}/255" if key == "step_size" else plain(value))
            for key, value in self.facts.items()
            if key not in IN_THREAT | {"name"}
        ]


@dataclass(frozen=True)
class Origin:
    """How the pairs and models on a page were measured.

    labels, protocol: the settings of the measurement, None where they are unknown. confidence: of the intervals of
    rates and of SAT. stated: whether the pairs come from a file of SAT alone, which states no rates; each value is then
    assumed to rest on `images` images. directed: whether any transfer rate is known.
    """

    labels: str | None = None
    protocol: str | None = None
    confidence: float = 0.95
    stated: bool = False
    images: int | None = None
    attack: Attack = field(default_factory=Attack)
    directed: bool = True

    @classmethod
    def of(cls, found: Results) -> "Origin":
        """The origin of a run's pairs and models, which for a study are those of the run that it studies."""
        pairs, facts = found.pairs, found.studied or found.summary
        settings = facts.get("settings", {})
        stated = pairs is not None and bool(pairs["images"].isna().all())
        task = found.summary.get("settings", {}).get("task") or {}
        return cls(
            labels=None if stated else settings.get("labels"),
            protocol=None if stated else settings.get("protocol"),
            confidence=0.95 if stated else (settings.get("score") or {}).get("confidence", 0.95),
            stated=stated,
            images=task.get("reference_images") if stated else None,
            attack=Attack.of(facts),
            directed=pairs is not None and bool(pairs[["transfer_rate_ab", "transfer_rate_ba"]].notna().any(axis=None)),
        )

    @property
    def common(self) -> str:
        """The images that a pair is compared on; and when they count as fooled, where that is not the usual."""
        words = (NATIVE if self.protocol == "native" else COMMON).get(self.labels or "", "the images of the pair")
        explain = self.attack.targeted or self.labels in ("consensus", "own")
        return words + f", fooled meaning that {self.attack.fooled}" * explain

    @property
    def attacked(self) -> str:
        """The images that each model was attacked on."""
        if self.labels == "truth":
            return "images classified correctly, on which the attack was made"
        return "images on which the attack was made" + ": all of them" * (self.labels in ("consensus", "own"))

    @property
    def level(self) -> str:
        """For instance '95%'."""
        return f"{100 * self.confidence:g}%"

    @property
    def interval(self) -> str:
        """The kind of interval that SAT of a pair has."""
        if not self.stated:
            return f"{self.level} interval over images"
        of = "" if self.images is None else f", assumed for {self.images:,} images a value"
        return f"± 1.96 standard errors{of}"


def choices(summary: Mapping[str, Any]) -> dict[str, str]:
    """The choices by name that had a part in the run."""
    chosen, unused = summary.get("choices") or {}, idle(summary)
    return {group: choice for group, choice in chosen.items() if choice is not None and group not in unused}


def settings(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that had a part in the run."""
    without = {CHOSEN.get(group, group) for group in idle(summary)}
    return {name: value for name, value in (summary.get("settings") or {}).items() if name not in without}


def hardware(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The machine, without threads and accelerator for a study that runs no model."""
    known, task = summary.get("hardware") or {}, _task(summary)
    return {"machine": known["machine"]} if task and not task.computes and "machine" in known else dict(known)


def idle(summary: Mapping[str, Any]) -> set[str]:
    """The choices and settings that had no part in the run; empty for an unknown task."""
    task = _task(summary)
    if task is None:
        return set()
    unused = CHOSEN.keys() - task.choices
    sweep = (summary.get("settings") or {}).get("sweep") or {}
    if task.pool_replaces_model and (summary.get("choices") or {}).get("pool"):
        unused |= {"model", "model@target"}
    if len(sweep.get("models") or []) > 1:
        unused.add("model")
    if sweep.get("targets"):
        unused.add("model@target")
    return unused if task.computes else unused | MEASURING


def _task(summary: Mapping[str, Any]) -> registry.Study | None:
    known = MEASUREMENTS | {study.name: study for study in registry.studies()}
    return known.get(str(summary.get("task")))


def plain(value: Any) -> str:
    """A setting as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def in_percent(fraction: float) -> str:
    """A rate with one decimal; '–' where it is missing, '>99.9' rather than '100.0' where it is less than 1."""
    if not np.isfinite(fraction):
        return "–"
    return ">99.9" if 0.9995 <= fraction < 1 else f"{100 * fraction:.1f}"


def percent(fraction: float) -> str:
    """For instance '37.0%'; '–' where it is missing."""
    return f"{in_percent(fraction)}%" if np.isfinite(fraction) else "–"


def percent_interval(row: Mapping[Any, Any], column: str) -> str:
    """For instance '37.0% (34.1–39.8)', from `column`, `column`_low and `column`_high."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    return percent(row[column]) + (f" ({100 * low:.1f}–{100 * high:.1f})" if np.isfinite(low) else "")


def moment(iso: str) -> str:
    """For instance '2026-11-23 04:40 UTC' from an ISO time with its zone."""
    return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M %Z").strip() if iso else ""


def duration(seconds: float) -> str:
    """For instance '0.42 seconds' or '2 minutes and 34 seconds'."""
    return humanize.precisedelta(round(seconds) if seconds >= 10 else seconds, format="%.2g")
