"""Transfer attacks against their formulas in numpy, on a classifier whose gradient is known in closed form.

The classifier is linear in the squares of the pixels: z = W · x², so that ∇ₓ CE(z, y) = 2x ⊙ Wᵀ(softmax z − e_y).
The formulas are computed in float64, from the papers, with the random numbers of `sat_exp.attacks.random`.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, ndimage, stats

from sat_exp import attacks
from sat_exp.attacks import random
from sat_exp.attacks.draws import Draws
from sat_exp.attacks.l2t import OPERATIONS, drawn, slope
from sat_exp.attacks.shapes import blockwise, rotated, shuffled
from sat_exp.attacks.sia import CHANGES, blurred, low_frequencies
from sat_exp.attacks.ssa import cosines, masked

EPSILON, STEP, STEPS, N = 60, 8, 8, 3
SHAPE = (2, 5, 6)
SEEDS = torch.tensor([3, -7, 2**40 + 1])
WEIGHTS = np.random.default_rng(0).normal(size=(4, 60)) / 4
IMAGES = np.random.default_rng(1).integers(0, 256, (3, *SHAPE))
LABELS = np.array([0, 2, 3])
OTHERS = np.random.default_rng(2).integers(0, 256, (5, *SHAPE))
BASE = {"epsilon": EPSILON, "step_size": STEP, "steps": STEPS}


def network(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.double().flatten(1).square() @ torch.from_numpy(WEIGHTS).T


def gradient(x: np.ndarray) -> np.ndarray:
    """∇ of the cross-entropy in the pixels x/255."""
    pixels = (x / 255).reshape(len(x), -1)
    logits = pixels**2 @ WEIGHTS.T
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(x)), LABELS] -= 1
    return (2 * pixels * (shares @ WEIGHTS)).reshape(x.shape)


def unit(g: np.ndarray) -> np.ndarray:
    return g / np.maximum(np.abs(g).mean((1, 2, 3), keepdims=True), 1e-30)


def stream(step: int, copy: int, use: int = 0) -> int:
    return (step * 256 + copy) * 256 + use


def uniform(step: int, copy: int, use: int = 0) -> np.ndarray:
    """In (−1, 1]."""
    return 2 * random.uniform(SEEDS, SHAPE, stream(step, copy, use)).double().numpy() - 1


def iterated(estimate, decay: float = 1.0) -> np.ndarray:
    x, g = IMAGES.astype(float), np.zeros(IMAGES.shape)
    for step in range(STEPS):
        g = decay * g + unit(estimate(x, g, step))
        x = np.clip(x + STEP * np.sign(g), np.maximum(IMAGES - EPSILON, 0), np.minimum(IMAGES + EPSILON, 255))
    return x


def nesterov(x, g, step):
    return gradient(x + STEP * g)


def scaled(x, g, step):
    return np.mean([gradient((x + STEP * g) / 2**i) / 2**i for i in range(N)], axis=0)


class Variance:
    def __init__(self) -> None:
        self.v = 0.0

    def __call__(self, x, g, step):
        before, here = self.v, gradient(x)
        self.v = np.mean([gradient(x + 1.5 * EPSILON * uniform(step, i)) for i in range(N)], axis=0) - here
        return here + before


class Enhanced:
    def __init__(self) -> None:
        self.average = np.zeros(IMAGES.shape)

    def __call__(self, x, g, step):
        found = np.mean([gradient(x + c * STEP * unit(self.average)) for c in np.linspace(-7, 7, N)], axis=0)
        self.average = found
        return found


def flat(x, g, step):
    found = []
    for i in range(N):
        near = x + 3 * EPSILON * uniform(step, i)
        first = gradient(near)
        found.append(0.5 * first + 0.5 * gradient(near - STEP * unit(first)))
    return np.mean(found, axis=0)


class Maximin:
    def __init__(self) -> None:
        self.inner = [np.zeros(IMAGES.shape)] * N

    def __call__(self, x, g, step):
        points = [x + 2 * EPSILON * uniform(step, i) + 0.15 * EPSILON * p for i, p in enumerate(self.inner)]
        found = [gradient(point) for point in points]
        self.inner = [unit(each) - 0.9 * p for each, p in zip(found, self.inner, strict=True)]
        return np.mean(found, axis=0)


def admixed(x, g, step):
    found = []
    for i in range(N):
        chosen = random.integers(SEEDS, 0, len(OTHERS) - 1, stream=stream(step, i)).numpy()
        found += [gradient((x + 0.9 * OTHERS[chosen]) / 2**power) / 2**power for power in range(2)]
    return np.mean(found, axis=0)


def spectral(x, g, step):
    """The transform is linear, so that its derivative is its transpose."""
    found = []
    for i in range(N):
        noise = EPSILON * random.normal(SEEDS, SHAPE, stream(step, i)).double().numpy()
        mask = 1 + 0.5 * uniform(step, i, use=1)
        both = {"axes": (2, 3), "norm": "ortho"}
        changed = fft.idctn(mask * fft.dctn(x + noise, **both), **both)
        found.append(fft.idctn(mask * fft.dctn(gradient(changed), **both), **both))
    return np.mean(found, axis=0)


def smoothed(x, g, step):
    density = stats.norm.pdf(np.linspace(-3, 3, 5))
    kernel = np.outer(density, density)[None, None]
    return ndimage.convolve(gradient(x), kernel / kernel.sum(), mode="constant")


FORMULAS = {
    "NI": (attacks.NI(**BASE), nesterov, 1.0),
    "SI-NI": (attacks.SINI(**BASE, copies=N), scaled, 1.0),
    "VMI": (attacks.VMI(**BASE, copies=N), Variance(), 1.0),
    "EMI": (attacks.EMI(**BASE, copies=N), Enhanced(), 1.0),
    "PGN": (attacks.PGN(**BASE, copies=N), flat, 1.0),
    "MEF": (attacks.MEF(**BASE, copies=N), Maximin(), 0.5),
    "Admix": (attacks.Admix(**BASE, mixed=N, scales=2, portion=0.9), admixed, 1.0),
    "SSA": (attacks.SSA(**BASE, copies=N), spectral, 1.0),
    "TI": (attacks.TI(**BASE, kernel=5), smoothed, 1.0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_iterates_are_those_of_the_formula(name):
    """Of 180 values, one may differ where float32 decides the sign of a number that is nearly zero."""
    attack, estimate, decay = FORMULAS[name]
    more = {"others": torch.from_numpy(OTHERS.astype(np.uint8))} if attack.companions else {}
    images = torch.from_numpy(IMAGES.astype(np.uint8))
    found = attack(network, images, torch.from_numpy(LABELS), SEEDS, **more).numpy()
    assert (found != iterated(estimate, decay)).sum() <= 1
    assert (found != iterated(lambda x, g, step: gradient(x))).sum() > 5, (
        "plain MI gives the same: the test shows nothing"
    )


def test_gra_is_its_formula():
    """The steps shrink, so that iterates are no whole numbers; only the last is rounded."""
    x, g, m = IMAGES.astype(float), np.zeros(IMAGES.shape), np.full(IMAGES.shape, 1 / 0.94)
    for step in range(STEPS):
        here = gradient(x)
        around = np.mean([gradient(x + 3.5 * EPSILON * uniform(step, i)) for i in range(N)], axis=0)
        dot = (here * around).sum((1, 2, 3), keepdims=True)
        s = dot / np.sqrt((here**2).sum((1, 2, 3), keepdims=True) * (around**2).sum((1, 2, 3), keepdims=True))
        before, g = g, g + unit(s * here + (1 - s) * around)
        m = np.where(np.sign(before) == np.sign(g), m, 0.94 * m)
        x = np.clip(x + STEP * m * np.sign(g), np.maximum(IMAGES - EPSILON, 0), np.minimum(IMAGES + EPSILON, 255))
    attack = attacks.GRA(**BASE, copies=N)
    found = attack(network, torch.from_numpy(IMAGES.astype(np.uint8)), torch.from_numpy(LABELS), SEEDS).numpy()
    assert (np.abs(found - x) > 0.5 + 1e-3).sum() <= 1
    assert (m < 1).any()


def test_tiny_gradients_have_the_same_signs():
    """The losses of a classifier that is nearly sure are tiny, and so are their gradients."""
    images = torch.from_numpy(IMAGES.astype(np.uint8))
    labels = torch.from_numpy(LABELS)
    for attack in (attacks.MI(**BASE), attacks.GRA(**BASE, copies=N), attacks.PGN(**BASE, copies=N)):
        faint = type(attack)(**vars(attack))
        object.__setattr__(faint, "loss", lambda logits, labels, of=attack: 1e-20 * of.loss(logits, labels))
        assert torch.equal(faint(network, images, labels, SEEDS), attack(network, images, labels, SEEDS))


def draws(seed: int = 0) -> Draws:
    return Draws.of(torch.tensor([seed]), 5 << 8)[0]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(-(2**60), 2**60), length=st.integers(1, 40), parts=st.integers(1, 12))
def test_cuts_and_permutations(seed, length, parts):
    some = draws(seed)
    lengths = some.cuts(length, parts)
    assert (sum(lengths), len(lengths)) == (length, min(parts, length))
    assert min(lengths) >= 1
    assert sorted(some.permutation(length)) == list(range(length))
    assert all(2 <= some.integer(2, 4) <= 4 for _ in range(200))


def test_draws_are_uniform_and_differ_by_image():
    first, second = Draws.of(torch.arange(2), 0)
    numbers = np.array([[next(each.numbers) for _ in range(700)] for each in (first, second)])
    assert len(np.unique(numbers)) > 1390
    assert all(stats.kstest(row, "uniform").pvalue > 1e-3 for row in numbers)
    places = [draws(seed).cuts(9, 2)[0] for seed in range(800)]
    assert stats.chisquare(np.bincount(places, minlength=9)[1:]).pvalue > 1e-3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**40), blocks=st.integers(1, 8), height=st.integers(1, 9), width=st.integers(1, 9))
def test_blocks_keep_all_pixels(seed, blocks, height, width):
    image = torch.arange(2 * height * width).reshape(2, height, width).float()
    moved = shuffled(image, draws(seed), blocks)
    assert torch.equal(moved.sort(dim=2).values.sum(), image.sum())
    assert moved.flatten(1).sort().values.equal(image.flatten(1))
    assert torch.equal(moved[1] - moved[0], torch.full((height, width), float(height * width)))
    assert torch.equal(blockwise(image, draws(seed), blocks, lambda block, draws: block), image)


@pytest.mark.parametrize("shape", [(3, 9, 9), (1, 6, 11), (2, 12, 5)])
@pytest.mark.parametrize("degrees", [-24, 10, 45, 90, 180])
def test_rotation_is_that_of_torchvision(shape, degrees):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import rotate

    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    theirs = rotate(image, degrees, interpolation=InterpolationMode.BILINEAR)
    assert torch.allclose(rotated(image, degrees), theirs, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 7, 32])
def test_cosine_transform_is_that_of_scipy(count):
    values = np.random.default_rng(0).normal(size=(count, 3))
    assert np.allclose(cosines(count).double() @ values, fft.dct(values, axis=0, norm="ortho"), atol=1e-5)
    image = torch.rand(2, count, 5)
    assert torch.allclose(masked(image, torch.ones_like(image)), image, atol=1e-5)


def test_changes_of_blocks_are_as_named():
    image = torch.rand(3, 10, 8, generator=torch.Generator().manual_seed(1))
    vertical, horizontal, up, left, half, scale, noisy, _, _, dropped = [change(image, draws()) for change in CHANGES]
    for moved, dimension in ((vertical, 1), (horizontal, 2)):
        assert any(torch.equal(moved, image.roll(step, dimension)) for step in range(image.shape[dimension]))
    assert torch.equal(up.flip(1), image)
    assert torch.equal(left.flip(2), image)
    assert torch.equal(half.flip(1).flip(2), image)
    assert (scale / image).std() < 1e-4
    assert 0 < (noisy - image).abs().max() <= 16 / 255 + 1e-6
    share = (dropped == 0).float().mean()
    assert 0.03 < share < 0.2
    assert torch.allclose(dropped[dropped != 0], image[dropped != 0] / 0.9)
    spectrum = fft.dctn(low_frequencies(image).numpy(), axes=(1, 2), norm="ortho")
    assert np.abs(spectrum[:, 6:]).max() < 1e-5
    assert np.abs(spectrum[:, :, 5:]).max() < 1e-5
    assert np.allclose(spectrum[:, :6, :5], fft.dctn(image.numpy(), axes=(1, 2), norm="ortho")[:, :6, :5], atol=1e-5)
    assert torch.allclose(blurred(torch.full((1, 7, 7), 0.3)), torch.full((1, 7, 7), 0.3))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_operations_of_l2t_keep_the_form_and_a_gradient(operation):
    image, others = torch.rand(3, 32, 32).requires_grad_(), torch.rand(4, 3, 32, 32)
    for strength in (0.1, 0.5, 1.0):
        changed = operation(image, draws(int(10 * strength)), strength, others)
        assert changed.shape == image.shape
        (slopes,) = torch.autograd.grad(changed.sum(), image)
        assert slopes.isfinite().all()
        assert (slopes != 0).any()


def test_l2t_draws_and_learns_by_its_probabilities():
    logits = torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    chosen = torch.tensor([[1, 1], [4, 0]])
    product = logits.softmax(1).gather(1, chosen).prod(1)
    (expected,) = torch.autograd.grad(product.sum(), logits)
    assert torch.allclose(slope(logits.detach(), chosen), expected)
    numbers = random.uniform(torch.arange(4000), (1,))
    counts = np.bincount(drawn(logits[:1].detach().float().expand(4000, -1), numbers)[:, 0], minlength=6)
    assert stats.chisquare(counts, 4000 * logits[0].detach().softmax(0).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("attack", "same"),
    [
        (attacks.DI(**BASE, probability=0.0), attacks.MI(**BASE)),
        (attacks.BSR(**BASE, copies=2, blocks=1, degrees=0.0), attacks.MI(**BASE)),
        (attacks.VMI(**BASE, copies=2, radius=0.0), attacks.MI(**BASE)),
        (attacks.SINI(**BASE, copies=1), attacks.NI(**BASE)),
        (attacks.TI(**BASE, kernel=1), attacks.MI(**BASE)),
        (attacks.NI(**BASE, decay=0.0), attacks.PGD(EPSILON, STEP, STEPS, False)),
        (attacks.SSA(**BASE, copies=1, rho=0.0, noise=0.0), attacks.MI(**BASE)),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_limits_are_simpler_attacks(attack, same):
    images, labels = torch.from_numpy(IMAGES.astype(np.uint8)), torch.from_numpy(LABELS)
    differs = attack(network, images, labels, SEEDS) != same(network, images, labels, SEEDS)
    assert differs.sum() <= 1
