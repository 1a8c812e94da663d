"""`sat_exp.measure` gives the numbers of the command line, from the same store, and does not change the modules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sat_exp
from sat_exp.datasets import FashionMNIST
from sat_exp.models import Preprocessing
from sat_exp.runs import Run

from ..command import QUICK

PAIR = ("fashion_resnet", "fashion_vit")
GREY = {"size": 8, "mean": [0.5], "std": [0.25]}


def fashion(size: int = 40) -> FashionMNIST:
    return FashionMNIST(root=None, size=size, seed=0)


def linear(seed: int = 0, classes: int = 3, channels: int = 1) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))


def small(seed: int = 0, **facts: Any) -> Any:
    return sat_exp.Model(linear(seed), GREY, **({"pretrained": False} | facts))


def pixels(count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., Any]:
    """`sat_exp.measure` with a quick attack and a store of the test."""

    def quick(*arguments: Any, **choices: Any) -> Any:
        own = {"attack": sat_exp.PGD(epsilon=16, steps=2), "store": tmp_path / "store", "threads": 1, "compare": "own"}
        return sat_exp.measure(*arguments, **(own | choices))

    return quick


def files(folder: Path) -> dict[str, int]:
    """The files of a store that hold results, with the times of their last change."""
    kinds = ("images", "logits", "adversarial", "predictions")
    return {str(file): file.stat().st_mtime_ns for kind in kinds for file in (folder / kind).rglob("*")}


def test_the_command_line_and_the_library_give_the_same_numbers_from_one_store(sat_exp: Any, outputs: Path) -> None:
    """What the command line computed is read from the store: no file is written, no model is evaluated again."""
    import sat_exp as package

    outcome = sat_exp(*QUICK, "task=matrix", "pool=any", f"pool.models=[{','.join(PAIR)}]", "name=matrix_and_library")
    assert outcome.status == 0, outcome.text
    run = Run.open(outputs / "matrix_and_library")
    before = files(outputs / "store")
    attack = package.PGD(epsilon=8, steps=4)
    result = package.measure(list(PAIR), fashion(), attack=attack, store=outputs / "store", threads=1)
    assert files(outputs / "store") == before
    pd.testing.assert_frame_equal(result.pairs, run.table("pairs"), check_exact=True)
    pd.testing.assert_frame_equal(result.models, run.table("models"), check_exact=True)
    for way, classes in run.predictions().adversarial.items():
        np.testing.assert_array_equal(result.predictions.adversarial[way], classes)
    assert run.summary["attack"] == result.facts["attack"]
    assert run.summary["models"] == result.facts["models"]
    assert run.summary["dataset"] == result.facts["dataset"]


def test_a_module_is_measured_as_the_configuration_with_its_weights(measure: Any, one_thread: None) -> None:
    by_name = measure(list(PAIR), fashion(20), compare="truth")
    given = {
        name: sat_exp.Model(loaded.load().classifier.network, loaded.preprocessing, family=loaded.family)
        for name, loaded in ((model.name, model.candidate) for model in by_name.measured.models)
    }
    result = measure(given, fashion(20), compare="truth")
    pd.testing.assert_frame_equal(result.pairs, by_name.pairs, check_exact=True)


class Counting(nn.Module):
    """A network with batch normalisation that counts the images that it is given."""

    seen = 0

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(), nn.Linear(144, 3)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        type(self).seen += len(images)
        return self.layers(images)


def test_a_module_stays_as_it_was(measure: Any) -> None:
    """In training mode, with gradients, hooks and running statistics of its own."""
    module = Counting()
    module.layers[0].weight.requires_grad_(False)
    module.layers[0].register_forward_hook(lambda *_: None)
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    grad = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    hooks = list(module.layers[0]._forward_hooks)
    measure({"a": sat_exp.Model(module, GREY, pretrained=False)}, pixels())
    assert all(part.training for part in module.modules())
    assert {name: parameter.requires_grad for name, parameter in module.named_parameters()} == grad
    assert list(module.layers[0]._forward_hooks) == hooks
    assert all(parameter.grad is None for parameter in module.parameters())
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_the_state_of_torch_stays_as_it_was(measure: Any) -> None:
    torch.set_num_threads(2)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    measure(["fashion_resnet"], fashion(4), threads=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before[1:]
    assert torch.is_grad_enabled()


def test_a_repeated_call_computes_nothing_and_a_new_model_only_its_own_part(measure: Any, tmp_path: Path) -> None:
    first = measure({"a": small(0), "b": small(1)}, pixels())
    before = files(tmp_path / "store")
    again = measure({"a": small(0), "b": small(1)}, pixels())
    assert files(tmp_path / "store") == before
    pd.testing.assert_frame_equal(again.pairs, first.pairs, check_exact=True)
    more = measure({"a": small(0), "b": small(1), "c": small(2)}, pixels())
    pd.testing.assert_frame_equal(more.sat.loc[["a", "b"], ["a", "b"]], first.sat, check_exact=True)
    # folders and notes change when rows are added, the results of the others do not
    assert {name for name, moment in before.items() if files(tmp_path / "store").get(name) != moment} <= {
        name for name in before if name.endswith(".json") or Path(name).is_dir()
    }


def doubled(seed: int) -> nn.Module:
    """The weights of `linear` in a network of another structure."""

    class Doubled(nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(images)

    return Doubled(*linear(seed))


@pytest.mark.parametrize("other", ["weights", "code", "preprocessing"])
def test_a_module_that_computes_something_else_is_another_model(measure: Any, other: str) -> None:
    changed = {
        "weights": sat_exp.Model(linear(1), GREY),
        "code": sat_exp.Model(doubled(0), GREY),
        "preprocessing": sat_exp.Model(linear(0), GREY | {"mean": [0.4]}),
    }
    result = measure({"one": sat_exp.Model(linear(0), GREY), "other": changed[other]}, pixels())
    one, two = result.measured.models
    assert one.fingerprint != two.fingerprint
    assert one.logits.path != two.logits.path


def test_the_same_module_under_two_names_is_computed_once(measure: Any) -> None:
    result = measure({"one": small(0), "two": small(0)}, pixels())
    assert len({model.fingerprint for model in result.measured.models}) == 1
    assert result.sat.loc["one", "two"] == result.sat.loc["one", "one"]


def test_rates_are_source_by_target(measure: Any) -> None:
    result = measure({"a": small(0), "b": small(1), "c": small(2)}, pixels())
    for source in "abc":
        for target in "abc":
            predicted = result.predictions.adversarial[source, target]
            fooled = predicted != result.predictions.clean[target]
            assert result.transfer_rates.loc[source, target] == pytest.approx(fooled.mean())
    assert result.transfer_rates.index.name == "source"


def test_a_model_that_fails_is_named_and_the_others_go_on(measure: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.requires_grad:
                raise ArithmeticError("no gradient here")
            return super().forward(images)

    result = measure({"a": small(0), "bad": sat_exp.Model(Failing(*linear(0)), GREY), "c": small(1)}, pixels())
    assert list(result.failures) == ["bad"]
    assert list(result.sat) == ["a", "c"]
    assert any("bad failed" in warning for warning in result.warnings)


def test_figures_and_report_are_those_of_a_run(measure: Any, tmp_path: Path) -> None:
    result = measure({"a": small(0), "b": small(1), "c": small(2)}, pixels(), measures=["agreement"])
    assert result.plot().axes
    assert result.plot("transfer").axes
    with pytest.raises(sat_exp.UserError, match="there is no figure pie: choose one of matrix"):
        result.plot("pie")
    page = result.report(tmp_path / "out")
    assert page == tmp_path / "out" / "report.html"
    run = Run.open(tmp_path / "out")
    assert set(run.tables()) == set(result.tables)
    assert "measures" in result.tables
    assert run.summary["title"] == "Similarity of 3 models on 6 images of images (untrained networks)"
    assert run.summary["settings"]["labels"] == "own"
    pd.testing.assert_frame_equal(run.table("pairs"), result.pairs)
    assert "<table" in result._repr_html_()
    assert "SAT of 3 models on 6 images, PGD (L∞ ≤ 16/255)" in repr(result)


def test_the_report_refuses_a_folder_with_other_files(measure: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    with pytest.raises(sat_exp.UserError, match=r"report.html"):
        measure({"a": small(0)}, pixels()).report(tmp_path / "mine")
    assert (tmp_path / "mine" / "report.html").read_text() == "mine"


def test_one_model_alone_has_its_own_success_and_a_figure(measure: Any) -> None:
    result = measure(small(0, name="only"), pixels(), labels=[0, 1, 2, 0, 1, 2], compare="truth")
    assert list(result.sat) == ["only"]
    assert result.plot().axes


def test_the_default_store_is_that_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sat_exp.measure({"a": small(0)}, pixels(2), compare="own", attack=sat_exp.Noise(epsilon=4), threads=1)
    assert (tmp_path / "outputs" / "store" / "adversarial").is_dir()


@pytest.mark.parametrize(
    ("models", "choices", "line"),
    [
        ([], {}, "there are no models"),
        ([small(0), small(1)], {}, "2 models are called Sequential: give each a name"),
        ([linear()], {}, "model Sequential states no preprocessing: give sat_exp.Model"),
        ([3], {}, "int is no model: give a torch.nn.Module"),
        (["fashion_resnett"], {}, "there is no model called 'fashion_resnett'; did you mean fashion_resnet"),
        ([sat_exp.Model(linear(), {"size": 8})], {}, "preprocessing, a dict, is incomplete"),
        ([sat_exp.Model(linear(), GREY | {"std": [0.0]})], {}, r"input.std\[0\]=0.0: give a value above 0"),
        ([sat_exp.Model(linear(), GREY | {"size": 9})], {}, r"cannot take images \[1, 9, 9\], as its preprocessing"),
        ([sat_exp.Model(nn.Conv2d(1, 1, 1), GREY)], {}, r"returns \[1, 1, 8, 8\] for one image"),
        ([sat_exp.Model(linear(), GREY, name="a/b")], {}, "model.name="),
        ([small(0)], {"compare": "truth"}, "the images have no labels: give labels=, or compare='consensus'"),
        ([small(0)], {"labels": [0, 1]}, r"labels are int64 \[2\] for 6 images"),
        ([small(0)], {"labels": [0.5] * 6}, r"labels are float64 \[6\] for 6 images"),
        ([small(0)], {"labels": [0, 1, 2, 3, 4, 5]}, "labels go up to 5, but model Sequential has 3 classes, 0 to 2"),
        (
            {"a": small(0), "b": sat_exp.Model(linear(0, classes=4), GREY)},
            {"labels": [0] * 6, "compare": "truth"},
            "model b has 4 classes, the data set images 3: choose models and images of the same classes",
        ),
        (
            [sat_exp.Model(linear(0, channels=3), {"size": 8, "mean": [0.5] * 3, "std": [0.5] * 3})],
            {},
            "takes images of 3 channels, images has 1",
        ),
        ([small(0)], {"compare": "guess"}, "compare=guess: give one of truth, consensus, own"),
        ([small(0)], {"seed": -1}, "seed=-1: give a value of 0 or more"),
        ([small(0)], {"device": "toaster"}, "hardware.accelerator=toaster: give one of auto"),
        ([small(0)], {"measures": ["agrement"]}, "did you mean agreement"),
    ],
)
def test_what_does_not_fit_is_one_line(measure: Any, models: Any, choices: dict[str, Any], line: str) -> None:
    with pytest.raises(sat_exp.UserError, match=line) as error:
        measure(models, pixels(), **choices)
    assert "\n" not in str(error.value)


def test_preprocessing_is_public(measure: Any) -> None:
    stated = sat_exp.Preprocessing(size=8, mean=[0.5], std=[0.25])
    assert sat_exp.Preprocessing is Preprocessing
    one, other = (measure({"a": sat_exp.Model(linear(), each)}, pixels()) for each in (stated, GREY))
    assert one.measured.models[0].fingerprint == other.measured.models[0].fingerprint
