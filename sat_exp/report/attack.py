"""The attack of a run in words, for the page, the captions and the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NOISE = "noise"
TITLES = {NOISE: "Noise"}
IN_THREAT = {"title", "epsilon", "goal", "threat"}
"""Facts that the name and the threat model state."""


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


def plain(value: Any) -> str:
    """A setting as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
