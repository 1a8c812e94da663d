"""A study of transfer as a user of torchattacks writes it: attack every source, then load and evaluate every target.

    python benchmarks/libraries/torchattacks_study.py STUDY.json

It uses nothing of sat_exp. STUDY.json holds `images` (an .npz file with images, uint8 [N, C, H, W], and labels,
int64 [N]), `models`, `epsilon` and `step_size` in units of 1/255, `steps`, `batch_size`, `threads`, `device`, and
`labels`: `truth`, or `own` for the model's own predictions as labels. Each model has a `network` that Hydra
instantiates, the path of a `checkpoint` or null, `in_order` (whether its tensors are matched by their order), `size`,
`mean`, `std` and `interpolation`. The last line that is printed is a JSON object: the seconds and the CPU seconds
without imports, the mean clean accuracy, and the mean rates of transfer and of white-box success.
"""

import json
import sys
import time
from pathlib import Path

import sat_exp  # noqa: F401  # isort: skip  # first: its hook lets torchvision load beside a CPU build of torch

import numpy as np
import timm  # noqa: F401
import torch
import torchattacks
from hydra.utils import instantiate
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class Normalised(nn.Module):
    """A network that takes pixels in [0, 1] of any size."""

    def __init__(self, network, size, mean, std, interpolation):
        super().__init__()
        self.network, self.size, self.interpolation = network, size, interpolation
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, pixels):
        if pixels.shape[-1] != self.size:
            pixels = F.interpolate(pixels, (self.size, self.size), mode=self.interpolation, antialias=True)
        return self.network((pixels - self.mean) / self.std)


def load(model, device):
    torch.manual_seed(0)
    network = instantiate(model["network"], _convert_="all")
    if model["checkpoint"] is not None:
        path = model["checkpoint"]
        state = load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)
        if model["in_order"]:
            state = dict(zip(network.state_dict(), state.values(), strict=True))
        network.load_state_dict(state)
    made = Normalised(network, model["size"], model["mean"], model["std"], model["interpolation"])
    return made.eval().to(device)


@torch.no_grad()
def predict(network, images, batch_size):
    return torch.cat([network(batch).argmax(dim=1) for batch in images.split(batch_size)])


def study(given):
    torch.set_num_threads(given["threads"])
    device, size = torch.device(given["device"]), given["batch_size"]
    data = np.load(given["images"])
    images = torch.from_numpy(data["images"]).to(device) / 255
    truth = torch.from_numpy(data["labels"]).to(device)
    models, clean, attacked = given["models"], [], {}
    for source, model in enumerate(models):
        network = load(model, device)
        clean.append(predict(network, images, size))
        labels = truth if given["labels"] == "truth" else clean[source]
        steps = {"eps": given["epsilon"] / 255, "alpha": given["step_size"] / 255, "steps": given["steps"]}
        attack = torchattacks.PGD(network, **steps, random_start=False)
        batches = zip(images.split(size), labels.split(size), strict=True)
        adversarial = torch.cat([attack(*batch) for batch in batches])
        for target, other in enumerate(models):
            attacked[source, target] = predict(load(other, device), adversarial, size)
    return clean, attacked, truth


def rates(clean, attacked, truth, own):
    """The means over models and pairs; a pair is compared on the images that both classify as labelled, or on all."""
    right = [torch.ones_like(truth, dtype=torch.bool) if own else predicted == truth for predicted in clean]
    white, transfer = [], []
    for (source, target), predicted in attacked.items():
        common = right[source] & right[target]
        rate = float((predicted != clean[target])[common].double().mean())
        (white if source == target else transfer).append(rate)
    accuracy = None if own else float(np.mean([float(one.double().mean()) for one in right]))
    return {"clean_accuracy": accuracy, "white_box": float(np.mean(white)), "transfer": float(np.mean(transfer))}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    started, busy = time.perf_counter(), time.process_time()
    outcome = rates(*study(given), own=given["labels"] == "own")
    print(json.dumps({"seconds": [time.perf_counter() - started, time.process_time() - busy]} | outcome))
