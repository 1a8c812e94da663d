"""The models that this process keeps on its device, because their next piece of work may follow soon."""

from collections import OrderedDict
from collections.abc import Iterator

from sat_exp.models import Candidate
from sat_exp.modules.clock import Clock
from sat_exp.modules.hardware import Hardware, Placed
from sat_exp.store import key_of

_kept: OrderedDict[str, Placed] = OrderedDict()
"""By key of the model and of how it computes; the last one was used last."""


def loaded(candidate: Candidate, hardware: Hardware, room: float, clock: Clock) -> Placed:
    """The model of a candidate on the device of `hardware`. It is kept; those that were not used for longest are given
    up while all together need more than `room` bytes. Its loading counts in `clock`."""
    key = key_of(candidate.facts | {"device": str(hardware.device), "numerics": hardware.in_effect})
    if key not in _kept:
        with clock.here(candidate.name, "load"):
            model = candidate.load()
            hardware.place(model.classifier)
            _kept[key] = Placed(model)
    _kept.move_to_end(key)
    while len(_kept) > 1 and sum(sizes()) > room:
        _kept.popitem(last=False)
    return _kept[key]


def sizes() -> Iterator[int]:
    """The bytes of each kept model."""
    for placed in _kept.values():
        classifier = placed.model.classifier
        yield sum(tensor.nbytes for tensor in [*classifier.parameters(), *classifier.buffers()])


def forget() -> None:
    """Keep no model."""
    _kept.clear()
