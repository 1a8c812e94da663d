"""Techniques by name, and the choice of the fastest."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from sat_exp.errors import UserError
from sat_exp.models import Classifier
from sat_exp.numerics import Choice, applied, calibrate, gate, runtime, techniques
from sat_exp.numerics import technique as module
from sat_exp.numerics.gating import REDUCED
from sat_exp.numerics.networks import TF32, BFloat16
from sat_exp.numerics.technique import TECHNIQUES, with_network

from .networks import classifier, images, labels

LABELS = labels(16, 3)


@pytest.fixture
def small() -> Classifier:
    layers = [
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 3, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return classifier(nn.Sequential(*layers), size=16)


def names(one: Classifier, device: str) -> list[str]:
    return [technique.name for technique in techniques(one, device)]


def test_what_is_offered_depends_on_the_network_and_the_device(small, monkeypatch) -> None:
    linear = classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)), size=16)
    assert names(small, "cpu") == ["folded", "channels_last", "onnx"]
    assert names(linear, "cpu") == ["onnx"]
    assert names(small, "cuda") == ["channels_last", "bf16", "compiled", "tf32"]
    assert names(small, "mps") == []
    assert names(small.double(), "cuda") == ["channels_last"]
    monkeypatch.setattr(runtime, "installed", lambda: False)
    assert names(linear, "cpu") == []


def test_unknown_names_and_pairs_that_exclude_each_other(small) -> None:
    with pytest.raises(UserError, match="there are no numerics called fold: give folded"):
        applied(small, ["fold"])
    with pytest.raises(UserError, match="exclude each other"):
        applied(small, ["tf32", "bf16"])
    with pytest.raises(UserError, match="the numerics onnx have no gradients"):
        Choice(attack=("onnx",))


def test_a_choice_is_ordered_and_survives_json() -> None:
    choice = Choice(("channels_last", "folded"), ("onnx",), ("a note",))
    assert str(choice.attack) == "folded channels_last"
    assert str(Choice().attack) == "exact"
    assert Choice(**json.loads(json.dumps(vars(choice)))) == choice
    assert hash(choice) == hash(Choice(("folded", "channels_last"), ["onnx"], ["a note"]))


def test_no_technique_is_no_copy(small) -> None:
    assert applied(small, ()) is small


def test_onnx_evaluates_batches_of_any_size_and_refuses_attacks(small) -> None:
    fast = applied(small, ["onnx"])
    for count in (1, 2, 5):
        assert gate(small, fast, images(count), LABELS[:count], gradients=False).passed
    with pytest.raises(UserError, match="ONNX Runtime computes no gradients"):
        fast(torch.zeros(1, 3, 16, 16, requires_grad=True))


def test_a_network_that_cannot_be_exported_is_a_user_error() -> None:
    class Branching(nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3)) if float(x.sum()) > 0 else x.amax(dim=(2, 3))

    one = classifier(Branching(), size=8)
    with pytest.raises(UserError, match="the numerics onnx cannot be applied") as error:
        applied(one, ["onnx"])
    assert "\n" not in str(error.value)
    assert calibrate(one, images(8), LABELS[:8], "cpu", seconds=0.1).evaluation == ()


@pytest.mark.parametrize("kind", [TF32, BFloat16])
def test_wrapped_networks_give_gradients_and_leave_the_process_as_it_was(kind, small) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    fast = with_network(small, kind(small.network)).freeze()
    result = gate(small, fast, images(16), LABELS, limits=REDUCED)
    assert result.passed, result.reason
    assert (result.logit_error == 0) == (kind is TF32)  # there is no TF32 on a CPU
    with torch.no_grad():
        assert fast(images(1) / 255).dtype == torch.float32
    assert before == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


def test_tf32_is_on_in_both_passes_and_only_there() -> None:
    seen = []

    class Seen(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            seen.append(torch.backends.cudnn.allow_tf32)
            return x.sum(dim=(2, 3))

        @staticmethod
        def backward(context, slopes):
            seen.append(torch.backends.cudnn.allow_tf32)
            return slopes[..., None, None].expand(-1, -1, 8, 8)

    class Network(nn.Module):
        def forward(self, x):
            return Seen.apply(x)

    torch.backends.cudnn.allow_tf32 = False
    pixels = torch.rand(1, 3, 8, 8, requires_grad=True)
    TF32(Network())(pixels).sum().backward()
    assert seen == [True, True]
    assert not torch.backends.cudnn.allow_tf32


def test_calibration_drops_what_fails_the_gate(small, monkeypatch) -> None:
    class Wrong(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return 1.01 * self.network(x)

    wrong = module.Technique("folded", module.wrapping(Wrong), lambda one, device: True)
    monkeypatch.setitem(TECHNIQUES, "folded", wrong)
    choice = calibrate(small, images(16), LABELS, "cpu", seconds=0.2)
    assert "folded" not in (*choice.attack, *choice.evaluation)
    assert any(note.startswith("attack: folded is not used: logits differ by") for note in choice.notes)


def test_calibration_adds_what_saves_time_and_nothing_else(small, monkeypatch) -> None:
    def clock(device, work) -> float:
        network = getattr(work, "args", [small])[0].network
        if isinstance(network, runtime.Runtime):
            return 0.95
        return 1.0 if any(isinstance(part, nn.BatchNorm2d) for part in network.modules()) else 0.9

    monkeypatch.setattr("sat_exp.numerics.calibration.seconds_of", clock)
    choice = calibrate(small, images(16), LABELS, "cpu", seconds=0.2)
    assert (choice.attack, choice.evaluation) == (("folded",), ("folded",))
    assert "evaluation: onnx takes 0.95 of the time of exact" in choice.notes
    assert "attack: folded channels_last takes 1.00 of the time of folded" in choice.notes


def test_an_export_that_takes_long_beside_the_evaluations_is_not_made(small, monkeypatch) -> None:
    monkeypatch.setattr("sat_exp.numerics.calibration.seconds_of", lambda device, work: 0.04)  # 0.01 for an image
    monkeypatch.setattr(runtime, "exported", lambda *arguments: pytest.fail("exported"))
    choice = calibrate(small, images(8), LABELS[:8], "cpu", seconds=0.1, passes_ahead=1900)
    assert "evaluation: onnx is not used: to apply it takes about 5 s, the work ahead about 19 s" in choice.notes
    assert any(note.startswith("attack: folded takes") for note in choice.notes)


def test_work_that_is_shorter_than_the_search_is_exact(small, monkeypatch) -> None:
    monkeypatch.setattr("sat_exp.numerics.calibration.seconds_of", lambda device, work: 0.04)
    choice = calibrate(small, images(8), LABELS[:8], "cpu", seconds=0.6, passes_ahead=100)
    note = "exact: the work ahead takes about 2 s, a calibration 1 s"
    assert (choice.attack, choice.evaluation, choice.notes) == ((), (), (note,))


def test_without_the_extra_a_note_says_so(small, monkeypatch) -> None:
    monkeypatch.setattr(runtime, "installed", lambda: False)
    choice = calibrate(small, images(8), LABELS[:8], "cpu", seconds=0.1)
    assert any("pip install 'sat_exp[onnx]'" in note for note in choice.notes)


def test_the_extra_is_loaded_where_it_is_used() -> None:
    code = "import sys, sat_exp.numerics; print(*{'onnx', 'onnxruntime', 'onnxscript'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
