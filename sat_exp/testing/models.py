"""The conformance check of models."""

import torch
from torch import Tensor, nn

TOLERANCE = 1e-3
"""Of logits, relative to the largest: kernels sum in another order for another batch size."""


def check_model(model: nn.Module, shape: tuple[int, int, int], classes: int) -> None:
    """AssertionError unless a classifier is sound on images of `shape`, (channels, height, width).

    model: float pixels in [0, 1], [B, C, H, W], to logits, in evaluation mode. Sound: logits [B, classes], finite,
    equal in a second call and for other images in the batch, with a gradient in the pixels; evaluation changes none of
    its parameters and buffers.
    """
    assert not any(module.training for module in model.modules()), "a part is in training mode: call model.eval()"
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    parameter = next(model.parameters(), torch.empty(0))
    pixels = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)).to(parameter.device)
    with torch.no_grad():
        logits = model(pixels)
        check_logits(logits, classes)
        assert torch.equal(model(pixels), logits), "a second call gives other logits: is there dropout or sampling?"
        alone = torch.cat([model(image[None]) for image in pixels])
    apart = float((alone - logits).abs().max() / logits.abs().max().clamp_min(1e-12))
    assert apart < TOLERANCE, f"logits depend on the batch, by {apart:.1e} of the largest: is there batch statistics?"
    check_gradient(model, pixels)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name]), f"evaluation changes {name}"


def check_logits(logits: Tensor, classes: int) -> None:
    """Assert finite logits [4, classes], not all equal."""
    assert isinstance(logits, Tensor), f"the model returns {type(logits).__name__}, not a tensor of logits"
    assert logits.shape == (4, classes), f"logits of 4 images have shape {tuple(logits.shape)}, not (4, {classes})"
    assert logits.is_floating_point(), f"logits are {logits.dtype}"
    assert logits.isfinite().all(), "some logits are not finite"
    assert classes == 1 or (logits != logits[:1]).any(), "all images have the same logits"


def check_gradient(model: nn.Module, pixels: Tensor) -> None:
    """Assert that the logits have a finite gradient in the pixels of every image, not zero everywhere."""
    with torch.enable_grad():
        pixels = pixels.clone().requires_grad_()
        logits = model(pixels)
        assert logits.requires_grad, "logits have no gradient: an attack needs one"
        (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum(), pixels, allow_unused=True)
    assert gradient is not None, "logits have no gradient in the pixels: an attack needs one"
    assert gradient.isfinite().all(), "the gradient in the pixels is not finite"
    assert (gradient.flatten(1) != 0).any(dim=1).all(), "the gradient in the pixels is zero for an image"
