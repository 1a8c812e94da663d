"""Damage to every kind of file that a run reads: a flipped byte, a cut, an empty or missing file, a folder instead.

Afterwards the same command names the damaged file and gives the undisturbed numbers, or it ends with one line that
names the file. No sound file of the store is lost.
"""

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from sat_exp.datasets import FashionMNIST

from .damage import DAMAGES, Damaging, each_kind, harm, judged, sound_files
from .harness import MATRIX, RUN, Undisturbed, all_of, differences, left, run, seeded, undisturbed

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

MODELS = Path(__file__).parents[2] / "sat_exp" / "models" / "bundled"


def test_the_store(tally: Any, tmp_path: Path, matrix: Undisturbed) -> None:
    names = each_kind(matrix.folder, "outputs/store/*/*/*")
    parts = [name for name in names if "/locks/" not in name and "/quarantine/" not in name]
    assert len({Path(name).parts[2] for name in parts}) >= 4
    Damaging(matrix, tmp_path, tally, "store").all(parts)


def test_the_locks(tally: Any, tmp_path: Path, matrix: Undisturbed) -> None:
    locks = sorted(str(path.relative_to(matrix.folder)) for path in matrix.folder.glob("outputs/store/locks/*"))
    damaging = Damaging(matrix, tmp_path, tally, "store")
    chosen = [name for name in locks if name.endswith("store.db")] + locks[:1]
    damaging.all(list(dict.fromkeys(chosen)), silent=True)


def test_the_folder_of_a_run_is_written_again(tally: Any, tmp_path: Path, matrix: Undisturbed) -> None:
    names = each_kind(matrix.folder, f"outputs/{RUN}/*", f"outputs/{RUN}/*/**/*")
    kept = [name for name in names if not re.search(r"/\.hydra/|\.log$|\.lock$|figures/.*\.svg$", name)]
    Damaging(matrix, tmp_path, tally, "run folder").all(kept, silent=True, damages=("flipped", "emptied", "folder"))


READERS = {
    "report": ("task=report", f"task.run=outputs/{RUN}"),
    "place": ("task=place", "model=fashion_vit", f"task.run=outputs/{RUN}", "hardware.threads=1", "name=placed"),
    "compare": ("task=compare", f"task.run=outputs/{RUN}", "reference=reference.csv", "name=compared"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_run_is_not_read_damaged(tally: Any, tmp_path: Path, matrix: Undisturbed, reader: str) -> None:
    """Tasks that read a finished run notice each file of it that is not as written, or do without it."""
    whole = matrix.copy(tmp_path / "whole")
    sat = pd.read_parquet(whole / f"outputs/{RUN}/tables/pairs.parquet")
    square = sat.pivot_table(index="model_a", columns="model_b", values="sat")
    square.combine_first(square.T).round(3).to_csv(whole / "reference.csv")
    known = undisturbed(whole, READERS[reader])
    damaging = Damaging(known, tmp_path / "trials", tally, reader)
    own = {"report": RUN, "place": "placed", "compare": "compared"}[reader]
    files = ("manifest.json", "summary.json", "predictions.npz", "tables/pairs.parquet", "tables/models.parquet")
    trials = [(f"outputs/{RUN}/{file}", how) for file in files for how in ("flipped", "emptied", "missing", "folder")]
    wrong = all_of(trials, lambda trial: damaging.trial(*trial, silent=True, read_by=own))
    assert not wrong, "\n".join(wrong)


def test_what_a_training_kept(tally: Any, tmp_path: Path, distillation: Undisturbed) -> None:
    """A training that is done again gives the same weights, though what the teacher says is stored by now."""
    names = each_kind(distillation.folder, "outputs/distilled/*.safetensors", "outputs/distilled/*.json")
    Damaging(distillation, tmp_path, tally, "training").all(names)


def test_a_checkpoint_of_a_training(tally: Any, tmp_path: Path, distillation: Undisturbed) -> None:
    """Of a training that was killed in the middle: begun anew, or ended in one line."""
    begun = tmp_path / "begun"
    saves = re.compile(r"checkpoints/.*_from_.*\.ckpt$")
    at = [number for number, path in enumerate(distillation.events) if saves.search(path)][-1]
    ended = run(begun, distillation.arguments, at=at)
    assert ended.status == -signal.SIGKILL
    half = Undisturbed(begun, distillation.arguments, distillation.left, [], [], 0.0)
    (checkpoint,) = begun.glob("outputs/distilled/checkpoints/*/*.ckpt")
    wrong = []
    for how in DAMAGES:
        trial = half.copy(tmp_path / how)
        file = trial / checkpoint.relative_to(begun)
        harm(file, how, seeded("checkpoint", how))
        ended = run(trial, half.arguments)
        unequal = differences(left(trial), distillation.left) if ended.status == 0 else []
        outcome, problem = judged(ended, file.name, unequal)
        tally(how, "training: checkpoint", outcome if problem is None else "WENT WRONG")
        wrong += [f"{how}: {problem}"] if problem else []
    assert not wrong, "\n".join(wrong)


def inputs(folder: Path, fashion: Path) -> Undisturbed:
    """A matrix of a model with weights of one's own on images in a folder, chosen by a list of ids."""
    images = FashionMNIST(None, 30, 0).images
    assert images.labels is not None
    for index in range(30):
        place = folder / "images" / images.class_names[images.labels[index]].split("/")[0]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.read(index)[0]).save(place / f"{index:02d}.png")
    shutil.copy(MODELS / "fashion_nfnet.safetensors", folder / "mine.safetensors")
    data = ["dataset=folder", "dataset.root=images", "dataset.resize=32", "dataset.crop=32", "dataset.mode=L",
            "dataset.label_space=fashion_mnist", "labels=own"]  # fmt: skip
    options = [part for part in MATRIX if not part.startswith(("dataset", "pool", "task", "name"))]
    pair = ["task=transfer", "model=fashion_nfnet", "model.name=mine", "model.checkpoint=mine.safetensors",
            "model@target=fashion_convnext"]  # fmt: skip
    listing = run(folder, [*pair, *data, *options, "name=listing"])
    assert listing.status == 0, listing.text
    shutil.copy(folder / "outputs/listing/tables/images.csv", folder / "ids.csv")
    return undisturbed(folder, (*pair, *data, *options, "dataset.ids=ids.csv", f"name={RUN}"))


def test_inputs(tally: Any, tmp_path: Path, fashion: Path) -> None:
    """What a user gives: an image, a list of images with their hashes, weights. A flipped bit of bare weights makes
    another model, which nothing can tell; what was stored of the first is not mixed with it."""
    known = inputs(tmp_path / "inputs", fashion)
    damaging = Damaging(known, tmp_path / "trials", tally, "input")
    image = sorted(str(path.relative_to(known.folder)) for path in known.folder.glob("images/*/*.png"))[7]
    damaging.all([image, "ids.csv"], silent=True)
    damaging.all(["mine.safetensors"], silent=True, damages=DAMAGES[1:])
    trial = known.copy(tmp_path / "weights")
    content = bytearray((trial / "mine.safetensors").read_bytes())
    content[-100] ^= 16
    (trial / "mine.safetensors").write_bytes(content)
    before = sound_files(trial)
    assert run(trial, known.arguments).status == 0
    now = sound_files(trial)
    assert before.items() <= now.items()
    assert len(now) > len(before)
    tally("flipped", "input: mine.safetensors", "another model, kept apart")


def test_the_files_of_a_data_set(tally: Any, tmp_path: Path, fashion: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(fashion, root / "fashion")
    known = undisturbed(root, (*MATRIX, "dataset.root=fashion"))
    damaging = Damaging(known, tmp_path / "trials", tally, "input")
    damaging.all(["fashion/t10k-images-idx3-ubyte.gz", "fashion/t10k-labels-idx1-ubyte.gz"], silent=True)


def test_the_table_of_throughput(tally: Any, tmp_path: Path) -> None:
    command = ("task=plan", "pool=any", "pool.models=[fashion_convnext]", "dataset=fashion_mnist", "hardware.threads=1",
               "hardware.batch_size=4", "task.measure=true", "name=plan")  # fmt: skip
    folder = tmp_path / "plan"
    assert run(folder, command).status == 0
    table = folder / "outputs/throughput.csv"
    sound, wrong = table.read_bytes(), []
    for how in ("cut", "emptied", "folder"):
        harm(table, how, seeded("throughput", how))
        outcome, problem = judged(run(folder, command), table.name, [])
        tally(how, "throughput.csv", outcome if problem is None else "WENT WRONG")
        wrong += [f"{how}: {problem}"] if problem else []
        if table.is_dir():
            table.rmdir()
        table.write_bytes(sound)
    assert not wrong, "\n".join(wrong)


def test_the_reference_of_a_comparison(tally: Any, tmp_path: Path, matrix: Undisturbed) -> None:
    """Its digits are what they are; its names and its form are checked."""
    folder = matrix.copy(tmp_path / "reference")
    sat = pd.read_parquet(folder / f"outputs/{RUN}/tables/pairs.parquet")
    square = sat.pivot_table(index="model_a", columns="model_b", values="sat")
    reference = folder / "reference.csv"
    square.combine_first(square.T).round(3).to_csv(reference)
    sound, wrong = reference.read_bytes(), []
    changes: dict[str, Callable[[bytes], bytes]] = {
        "flipped": lambda content: content.replace(b"fashion_mixer", b"fashion_nixer", 1),
        "cut": lambda content: content[:-30],
        "emptied": lambda content: b"",
    }
    for how, change in changes.items():
        reference.write_bytes(change(sound))
        outcome, problem = judged(run(folder, READERS["compare"]), reference.name, ["a comparison"])
        tally(how, "input: reference", outcome if problem is None else "WENT WRONG")
        wrong += [f"{how}: {problem}"] if problem else []
    assert not wrong, "\n".join(wrong)
