"""Classifiers on pixels: weights, checks, components."""

from sat_exp.models.candidate import Candidate, Model, Preprocessing
from sat_exp.models.checking import check
from sat_exp.models.classifier import Classifier
from sat_exp.models.loading import Configured, load, preprocessing

__all__ = ["Candidate", "Classifier", "Configured", "Model", "Preprocessing", "check", "load", "preprocessing"]
