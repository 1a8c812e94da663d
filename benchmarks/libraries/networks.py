"""timm's networks with random weights, of six families, at 224×224 pixels."""

import torch

from sat_exp.models import Classifier

SIDE = 224
FAMILIES = (
    "resnet18", "mobilenetv3_large_100", "convnext_nano", "vit_tiny_patch16_224", "mixer_s32_224",
    "swin_tiny_patch4_window7_224",
)  # fmt: skip
INPUT = {"size": SIDE, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "interpolation": "bicubic"}


def classifier_of(model: str, device: torch.device) -> Classifier:
    """The timm network `model` with random weights, in evaluation mode."""
    import timm

    torch.manual_seed(0)
    return Classifier(timm.create_model(model, pretrained=False), **INPUT).eval().to(device)
