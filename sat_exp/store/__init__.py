"""Artefacts on disk: canvas pixels, clean logits, adversarial images, predictions."""

from sat_exp.store.arrays import Damaged, Store, StoredArray, Unwritable, key_of

__all__ = ["Damaged", "Store", "StoredArray", "Unwritable", "key_of"]
