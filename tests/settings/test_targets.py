"""A configuration may name allowed code only. Other code is refused and not even imported."""

import sys
from pathlib import Path

import pytest

from sat_exp import plugins
from sat_exp.errors import UserError
from sat_exp.settings.targets import KINDS, allowing, check_network, permitted, resolve

FOREIGN = [
    "os.system", "builtins.eval", "builtins.exec", "subprocess.run", "shutil.copy", "pathlib.Path.touch", "pickle.load",
    "pandas.read_pickle", "joblib.load", "numpy.load", "torch.load", "torch.hub.load", "torch.jit.load", "hydra.main",
    "torchvision.datasets.CIFAR10", "timmy.create_model", "sat_experiment.run",
]  # fmt: skip

INSIDE = [
    "sat_exp.__main__.os.system", "sat_exp.runs.writing.shutil.rmtree", "timm.models.load_checkpoint",
    "timm.models.load_state_dict", "timm.models.push_to_hf_hub", "timm.models._hub.os.system", "torchvision.models.vgg",
    "timm.utils.model_ema.torch.load", "torch.nn.functional.relu", "torch.nn.modules.module.functools.partial",
    "torchvision.models.get_model", "torch.nn.Module.load_state_dict", "timm", "torch.nn", "sat_exp.models",
]  # fmt: skip
"""Names that lead through known packages to something else."""


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a module called evil_package makes when it is imported."""
    canary = tmp_path / "canary"
    (tmp_path / "evil_package.py").write_text(f"open({str(canary)!r}, 'w')\nclass Thing: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("evil_package", None)
    return canary


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*FOREIGN, *INSIDE])
def test_other_code_is_refused(kind, name):
    if kind == "network" and name == "sat_exp.models":
        pytest.skip("what our own package of models defines is a part of a network")
    with pytest.raises(UserError, match=rf"^setting={name}"):
        resolve(name, kind, "setting")


@pytest.mark.parametrize("name", ["", "os.system()", "__import__('os')", "timm:create_model", "a b", None, 5, ["timm"]])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UserError, match=r"give the name of a network, as package\.name"):
        resolve(name, "network", "setting")


def test_refused_code_is_not_imported(evil):
    for kind in KINDS:
        with pytest.raises(UserError, match=r"type 'allow=\[evil_package\]'"):
            resolve("evil_package.Thing", kind, "setting")
    assert not evil.exists()


def test_the_user_may_allow_a_package(evil):
    with allowing(["evil_package"]):
        assert resolve("evil_package.Thing", "attack", "attack._target_").__name__ == "Thing"
    assert evil.exists()
    with pytest.raises(UserError):
        resolve("evil_package.Thing", "attack", "attack._target_")


def test_the_error_states_what_a_module_lacks(evil):
    (evil.parent / "evil_package.py").write_text("import a_missing_library\n")
    with allowing(["evil_package"]), pytest.raises(UserError, match="cannot be imported: No module named 'a_missing_l"):
        resolve("evil_package.Thing", "attack", "attack._target_")


def test_an_allowed_package_lends_its_name_to_no_other_code(evil):
    with allowing(["evil_package"]), pytest.raises(UserError, match=r"cannot be imported|is not"):
        resolve("evil_package.open", "attack", "attack._target_")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("timm.create_model", "network"), ("timm.models.resnet18", "network"),
        ("torchvision.models.resnet18", "network"), ("torchvision.models.squeezenet1_1", "network"),
        ("timm.models.mlp_mixer.MlpMixer", "network"), ("timm.models.regnet.RegNetCfg", "network"),
        ("torch.nn.Linear", "network"), ("sat_exp.attacks.PGD", "attack"), ("sat_exp.datasets.Folder", "dataset"),
        ("sat_exp.tasks.matrix.run", "task"), ("sat_exp.modules.hardware.Hardware", "hardware"),
        ("sat_exp.tracking.Tracking", "tracking"), ("sat_exp.models.squeezenet.read", "checkpoint_reader"),
    ],
)  # fmt: skip
def test_known_code_may_be_named(name, kind):
    assert callable(resolve(name, kind, "setting"))


@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "os.system", "command": "true"},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "os.system", "command": "true"}]},
        {"_target_": "timm.create_model", "norm_layer": {"a": [{"_target_": "builtins.eval"}]}},
        {"_target_": "torch.nn.Sequential", "x": {"_target_": "hydra.utils.get_class", "path": "os._Environ"}},
        {"_target_": "hydra.utils.get_class", "path": "torch.nn.ReLU", "_partial_": True},
        {"_target_": "timm.task.distillation.DistillationTeacher", "model_name_or_module": "resnet18"},
        {"_target_": "hydra.utils.get_method", "path": "os.system"},
        {"_target_": "hydra.utils.instantiate", "config": {}},
    ],
)
def test_no_part_of_a_network_names_other_code(network):
    with pytest.raises(UserError, match=r"^model\.network"):
        check_network(network, "model.network")


@pytest.fixture
def installed(evil, tmp_path) -> Path:
    """A folder on the path of modules in which a plug-in, evil_package, is installed."""
    information = tmp_path / "evil_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: evil_package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[sat_exp.attacks]\nevil = evil_package:Thing\n")
    plugins.forget()
    yield tmp_path
    plugins.forget()


def test_the_code_of_an_installed_plug_in_may_be_named_where_it_belongs(installed, evil):
    for kind in KINDS.keys() - {"attack"}:
        with pytest.raises(UserError, match=r"type 'allow=\[evil_package\]'"):
            resolve("evil_package.Thing", kind, "setting")
    assert not evil.exists(), "looking for plug-ins imports none"
    assert resolve("evil_package.Thing", "attack", "attack._target_").__name__ == "Thing"


def test_a_package_in_the_current_folder_is_not_installed(installed, evil, monkeypatch):
    monkeypatch.chdir(installed)
    plugins.forget()
    with pytest.raises(UserError, match=r"type 'allow=\[evil_package\]'"):
        resolve("evil_package.Thing", "attack", "attack._target_")
    assert not evil.exists()


def test_a_function_of_another_name_is_no_task():
    with pytest.raises(
        UserError, match=r"^task\._target_=sat_exp\.tasks\.composing\.models is not a task, which is called run$"
    ):
        permitted("sat_exp.tasks.composing.models", "task", "task._target_")
