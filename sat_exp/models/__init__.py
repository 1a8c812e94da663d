"""Classifiers on pixels: their weights, their checks, their names."""

from sat_exp.models.checking import check
from sat_exp.models.classifier import Classifier
from sat_exp.models.loading import Model, components_of, flops, load, preprocessing, stated_components

__all__ = ["Classifier", "Model", "check", "components_of", "flops", "load", "preprocessing", "stated_components"]
