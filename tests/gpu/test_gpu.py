"""What only a GPU shows: where tensors are, memory that runs out, numbers of another device."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import sat_exp.measurement.division
from sat_exp.attacks import PGD, random
from sat_exp.measurement import loaded
from sat_exp.modules.clock import Clock
from sat_exp.modules.hardware import Fitting, Hardware
from sat_exp.modules.prediction import AttackBatches, Generation
from sat_exp.modules.streaming import Ahead, Output

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMALL = Path(__file__).parents[1] / "measurement" / "small_study.py"
SEEDS = torch.from_numpy(random.image_seeds(0, [str(number) for number in range(8)]))


@pytest.fixture(scope="module")
def study() -> Any:
    """The names in small_study.py."""
    return SimpleNamespace(**runpy.run_path(str(SMALL)))


def on_gpu(study: Any, folder: Path, batch_size: int = 24, **choices: Any) -> Any:
    prepared = study.measurement(folder)
    prepared.hardware = Hardware("gpu", "32-true", batch_size, threads=1, workers=2, **choices)
    return prepared


def test_random_numbers_are_those_of_the_cpu() -> None:
    here, there = (random.integers(seeds, -8, 8, (3, 50, 50)) for seeds in (SEEDS, SEEDS.cuda()))
    assert torch.equal(there.cpu(), here)
    here, there = (random.normal(seeds, (3, 50, 50)) for seeds in (SEEDS, SEEDS.cuda()))
    torch.testing.assert_close(there.cpu(), here, atol=1e-5, rtol=1e-5)


def test_models_stay_on_the_device_between_pieces_of_work(study: Any) -> None:
    hardware = Hardware("gpu", "32-true", 8, threads=1, workers=1)
    clock = Clock(hardware.device)
    try:
        first = loaded.loaded(study.model(study.NAMES[0]), hardware, 1e12, clock)
        trainer = hardware.trainer(inference_mode=False, enable_progress_bar=False)
        images = torch.zeros(8, 1, 32, 32, dtype=torch.uint8)
        labels = torch.zeros(8, dtype=torch.int64)
        sink = SimpleNamespace(name="a", failed=None)
        batch = {"images": images, "labels": labels, "seeds": SEEDS, "others": images[:0], "sinks": [sink]}
        module = Generation(first.runner("attack", ()), PGD(8, 1, 2), clock)
        trainer.predict(module, [batch], return_predictions=False)
        assert {parameter.device.type for parameter in first.model.classifier.parameters()} == {"cuda"}
        assert loaded.loaded(study.model(study.NAMES[0]), hardware, 1e12, clock) is first
    finally:
        loaded.forget()


def test_the_same_command_gives_the_same_images_and_predictions(study: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        on_gpu(study, tmp_path / name).run(study.models())
    assert study.chunks(tmp_path / "first") == study.chunks(tmp_path / "second")


def test_models_one_at_a_time_give_the_predictions_of_all_together(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = on_gpu(study, tmp_path / "together").run(study.models())
    monkeypatch.setattr(sat_exp.measurement.division, "ROOM", 0)
    alone = on_gpu(study, tmp_path / "alone").run(study.models())
    for pair, predicted in together.predictions.items():
        np.testing.assert_array_equal(alone.predictions[pair], predicted)


def test_a_batch_that_does_not_fit_is_halved_and_the_size_is_kept() -> None:
    free, _ = torch.cuda.mem_get_info()
    fitting, sizes = Fitting(), []

    def step(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        torch.empty(len(images) * free // 6, dtype=torch.uint8, device="cuda")
        return 2 * images

    images = torch.arange(16, device="cuda")
    assert torch.equal(fitting(step, images), 2 * images)
    assert fitting.most is not None
    assert fitting.most <= 5
    sizes.clear()
    fitting(step, images)
    assert max(sizes) == fitting.most


def test_results_land_in_pinned_memory_and_batches_start_from_it(study: Any, tmp_path: Path) -> None:
    output = Output(torch.arange(5, device="cuda"), torch.ones((), dtype=torch.bool, device="cuda")).to_host()
    torch.cuda.synchronize()
    assert output.values.is_pinned()
    assert output.values.tolist() == [0, 1, 2, 3, 4]
    prepared = on_gpu(study, tmp_path)
    pixels = prepared.views.view(prepared.images.canvas).pixels
    array = prepared.store.open("adversarial", {"a": 1}, shape=pixels.shape, dtype="uint8", chunk=8)
    rows = np.arange(len(prepared.images))
    work = AttackBatches("a", pixels, array, (rows, rows, prepared.stages.seeds), range(array.chunks), 16)
    batches = Ahead(work, Clock(torch.device("cuda")), "a", 2, pinned=True)
    assert all(batch[key].is_pinned() for batch in batches for key in ("images", "labels", "seeds"))


def test_the_clock_counts_the_work_of_the_device() -> None:
    clock = Clock(torch.device("cuda"))
    matrix = torch.rand(4096, 4096, device="cuda")
    with clock.on_device("a", "attack"):
        for _ in range(50):
            matrix = matrix @ matrix / 4096
    assert clock.read()["a", "attack"] > 0.01


def test_fast_numerics_pass_the_gate_and_attack_as_well(study: Any, tmp_path: Path) -> None:
    exact = on_gpu(study, tmp_path).run(study.models())
    fast = on_gpu(study, tmp_path, numerics="fast").run(study.models())
    assert not fast.failures
    assert all(model.techniques.notes for model in fast.models)
    for name in study.NAMES:
        rates = [np.mean(each.predictions[name, name] != each.models[0].clean) for each in (exact, fast)]
        assert abs(rates[0] - rates[1]) < 0.2


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_other_precisions_attack_as_well(study: Any, tmp_path: Path, precision: Any) -> None:
    exact = on_gpu(study, tmp_path).run(study.models())
    prepared = on_gpu(study, tmp_path)
    prepared.hardware = Hardware("gpu", precision, 24, threads=1, workers=2)
    other = prepared.run(study.models())
    for name in study.NAMES:
        rates = [np.mean(each.predictions[name, name] != each.models[0].clean) for each in (exact, other)]
        assert abs(rates[0] - rates[1]) < 0.2


def test_what_a_model_leaves_is_given_back(study: Any, tmp_path: Path) -> None:
    on_gpu(study, tmp_path).run(study.models())
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() < 100e6
