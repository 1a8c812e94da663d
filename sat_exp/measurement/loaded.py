"""The model that this process works on: the steps of a model follow each other, and it is loaded once for them."""

from sat_exp.models import Candidate, Model
from sat_exp.store import key_of

_kept: dict[str, Model] = {}


def loaded(candidate: Candidate) -> Model:
    """The model of a candidate, which is kept until another one is loaded."""
    key = key_of(candidate.facts)
    if key not in _kept:
        forget()
        _kept[key] = candidate.load()
    return _kept[key]


def forget() -> None:
    """Keep no model."""
    _kept.clear()
