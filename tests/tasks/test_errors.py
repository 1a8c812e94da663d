"""Wrong input ends with one clear line and an exit code other than 0."""

import pytest

BAD = {
    "unknown model": (["model=fashion_resnt"], "no model called 'fashion_resnt'; did you mean fashion_resnet"),
    "unknown target": (["task=transfer", "model@target=fashion_vt"], "did you mean fashion_vit"),
    "unknown attack": (["attack=pdg"], "no attack called 'pdg'; did you mean pgn or pgd"),
    "unknown data set": (["dataset=imagnet"], "did you mean imagenet"),
    "unknown pool": (["task=matrix", "pool=bundle"], "did you mean bundled"),
    "unknown task": (["task=matrx"], "did you mean matrix"),
    "unknown setting": (["attack.epsilonn=8"], "there is no setting attack.epsilonn; near it: epsilon"),
    "unknown setting of a task": (["task=plan", "task.widht=1"], "there is no setting task.widht; near it: width"),
    "unknown part": (["epsilon=8"], "there is no setting epsilon; near it: "),
    "no list": (["task=ensemble", "task.sizes=2"], "task.sizes=2: give a list, such as [A,B]"),
    "no number": (["task=plan", "task.width=wide"], "task.width='wide': give a number"),
    "a setting not given": (["task=distill"], "task.students has no value: give task.students="),
    "not an override": (["attack.epsilon=["], "error: "),
    "no such folder of choices": (["-cd", "/no/such/folder"], "'/no/such/folder' not found"),
    "the name of another model": (
        ["task=train", "model=fashion_resnet", "task.seeds=[0,1]"],
        "fashion_resnet_seed1 is the name of another model: give another model.name=",
    ),
    "epsilon too large": (["attack.epsilon=300"], "attack.epsilon=300: give a value of 255 or less"),
    "epsilon in [0, 1]": (["attack.epsilon=0.03"], "attack.epsilon=0.03: give a whole number"),
    "step size of zero": (["attack.step_size=0"], "attack.step_size=0: give a value above 0"),
    "no steps": (["attack.steps=0"], "attack.steps=0: give a value of 1 or more"),
    "no images": (["dataset.size=0"], "dataset.size=0"),
    "too many images": (["dataset.size=4001"], "choose 1 to 4000"),
    "no such folder": (["dataset.root=/no/such/folder"], "give dataset.root=FOLDER"),
    "batch of none": (["hardware.batch_size=0"], "hardware.batch_size=0: give a value of 1 or more"),
    "no such device": (["hardware.accelerator=tpu"], "hardware.accelerator=tpu"),
    "no such weights": (["model.checkpoint=/no/such/file"], "no weights at /no/such/file"),
    "weights of another": (
        ["model.checkpoint=${package_file:sat_exp.models,bundled/fashion_convnext.safetensors}"],
        "does not fit the network",
    ),
    "two worlds": (["model=resnet18", "dataset=fashion_mnist"], "choose a fitting dataset= or model="),
    "transfer without a target": (["task=transfer"], "give model@target=NAME"),
    "transfer to a target and a pool": (["task=transfer", "model@target=fashion_vit", "pool=bundled"], "and not both"),
    "unknown labels": (["labels=guess"], "labels=guess: give one of truth, consensus, own"),
    "unknown protocol": (["protocol=naive"], "protocol=naive: give one of native, canvas"),
    "a setting of one model for a pool": (
        ["task=matrix", "pool=bundled", "model.checkpoint=/some/weights"],
        "model.checkpoint= is a setting of one model",
    ),
    "place beside nothing": (["task=place", "task.run=/no/such/run"], "task.run=/no/such/run: give the path of"),
    "attack with a target": (["model@target=fashion_vit"], "has no model@target=: use task=transfer"),
    "empty pool": (["task=matrix", "pool=any"], "give 'pool.models=[A,B,C]'"),
    "unknown in a pool": (["task=matrix", "pool=any", "pool.models=[fashion_rsnet]"], "did you mean fashion_resnet"),
    "any timm model without a name": (["model=timm", "dataset=foolbox20"], "model.id"),
    "report of nothing": (["task=report", "task.run=/no/such/run"], "task.run=/no/such/run: give the path of"),
    "nothing to train on": (["task=train"], "give dataset.root=FOLDER with the four Fashion-MNIST files"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(sat_exp, arguments, message):
    outcome = sat_exp(*arguments)
    assert outcome.status != 0
    assert message in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text
