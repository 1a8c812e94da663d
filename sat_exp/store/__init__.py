"""Artefacts on disk: canvas pixels, clean logits, adversarial images, predictions."""

from sat_exp.store.arrays import StoredArray
from sat_exp.store.artefact import Damaged, Dropped
from sat_exp.store.encoding import key_of
from sat_exp.store.storage import Unwritable
from sat_exp.store.store import Store
from sat_exp.store.tables import StoredRow

__all__ = ["Damaged", "Dropped", "Store", "StoredArray", "StoredRow", "Unwritable", "key_of"]
