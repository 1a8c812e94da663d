"""The checks of models against images and attack, before anything is computed."""

from collections.abc import Sequence

from sat_exp.attacks import Attack
from sat_exp.datasets import ImageSet
from sat_exp.errors import UserError
from sat_exp.models import Candidate


def check_models(
    candidates: Sequence[Candidate], images: ImageSet, attack: Attack, *, labels: str, protocol: str
) -> None:
    """UserError for two models of one name, and for a model whose classes or channels are not those of the images or,
    as far as `labels` and the attack's goals compare them, of the other models."""
    names = [candidate.name for candidate in candidates]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{', '.join(sorted(repeated))} is named twice: give each model once, or another model.name")
    for candidate in candidates:
        check_classes(candidate, candidates[0], images, labels, attack)
        if protocol == "canvas" and (channels := len(candidate.preprocessing.mean)) != images.shape[0]:
            raise UserError(
                f"model {candidate.name} takes images of {channels} channels, {images.name} has {images.shape[0]}: "
                "choose a fitting dataset=, or dataset.mode="
            )


def check_classes(candidate: Candidate, first: Candidate, images: ImageSet, labels: str, attack: Attack) -> None:
    """UserError for a model whose classes cannot be compared with those of the image set, or of the `first` model."""
    if labels == "truth" and candidate.label_space != images.label_space:
        raise UserError(
            f"model {candidate.name} predicts {candidate.label_space}, the data set {images.name} is labelled "
            f"{images.label_space}: choose a fitting dataset= or model="
        )
    if labels == "truth" and candidate.classes != len(images.class_names):
        raise UserError(
            f"model {candidate.name} has {candidate.classes} classes, the data set {images.name} "
            f"{len(images.class_names)}: choose models and images of the same classes"
        )
    spaces = f"model {candidate.name} predicts {candidate.label_space}, {first.name} {first.label_space}"
    if labels == "consensus" and candidate.label_space != first.label_space:
        raise UserError(f"{spaces}: they can never agree; give labels=own")
    if attack.threat.targeted and candidate.label_space != first.label_space:
        raise UserError(f"{spaces}: the goal class of one is no class of the other; choose an untargeted attack=")
