"""Wrong settings that people typed, and errors that no single field shows, such as combinations. All run every time."""

from collections.abc import Iterator

from .harness import Case
from .values import EMPTY, FINITE, HUGE, LONG, MISSING, NESTED, NULL, PATHS, RANGE, REFERENCE, SYNTAX, TYPE, UNKNOWN

SECRETS, TOGETHER, FOLDERS, SWEEP = "secrets", "together", "files of one's own", "sweeps"
KEY = "0123456789abcdefSECRET"
POOL = "task=matrix pool=any pool.models=[fashion_convnext,fashion_nfnet]"
TIMM = "model=timm model.id=resnet18.a1_in1k"

REPORTED: tuple[tuple[str, str, str, str], ...] = (
    ("score", TYPE, "score.resamples=abc", "score.resamples"),
    ("score", RANGE, "score.resamples=0", "score.resamples"),
    ("score", RANGE, "score.confidence=0", "score.confidence"),
    ("score", RANGE, "score.confidence=1", "score.confidence"),
    ("score", RANGE, "score.confidence=-1", "score.confidence"),
    ("score", FINITE, "score.floor=nan", "score.floor"),
    ("score", FINITE, "score.floor=inf", "score.floor"),
    ("score", RANGE, "score.floor=101", "score.floor"),
    ("score", TYPE, "score.seed=1.5", "score.seed"),
    ("score", NULL, "score=null", "score"),
    ("common", TYPE, "seed=true", "seed"),
    ("common", TYPE, "seed=abc", "seed"),
    ("common", PATHS, "name=../../x", "name"),
    ("common", NULL, "name=null", "name"),
    ("common", EMPTY, "name=''", "name"),
    ("common", PATHS, "name=store", "name"),
    ("common", NULL, "output_dir=null", "output_dir"),
    ("common", EMPTY, "output_dir=''", "output_dir"),
    ("common", RANGE, "labels=abc", "labels"),
    ("common", RANGE, "protocol=abc", "protocol"),
    ("common", RANGE, "adversarial=abc", "adversarial"),
    ("common", NULL, "attack=null", "attack"),
    ("common", NULL, "dataset=null", "dataset"),
    ("common", NULL, "hardware=null", "hardware"),
    ("common", NULL, "task=null", "task"),
    ("common", NULL, "tracking=null", "tracking"),
    ("common", NULL, "model=null", "model"),
    ("common", TYPE, "attack=[pgd,fgsm]", "attack"),
    ("common", TYPE, "model=[fashion_vit,fashion_resnet]", "model"),
    ("common", TYPE, "task=[attack,matrix]", "task"),
    ("common", UNKNOWN, "experiment=abc", "experiment"),
    ("common", UNKNOWN, "no_such_group=abc", "no_such_group"),
    ("common", UNKNOWN, "+no_such_setting=1", "no_such_setting"),
    ("common", NESTED, "+attack._partial_=true", "attack._partial_"),
    ("common", NESTED, "attack._target_=os.getcwd", "attack._target_"),
    ("common", NESTED, "task._target_=sat_exp.tasks.composing.models", "task._target_"),
    ("common", NESTED, "dataset._target_=sat_exp.attacks.PGD", "dataset._target_"),
    ("model", EMPTY, "model.name=''", "model.name"),
    ("model", EMPTY, "model.family=[]", "model.family"),
    ("model", TYPE, "model.components.hierarchical=abc", "model.components.hierarchical"),
    ("model", UNKNOWN, "model.components.base_architecture=abc", "model.components.base_architecture"),
    ("model", UNKNOWN, "+model.components.new=1", "model.components.new"),
    ("model", NULL, "model.network=null", "model.network"),
    ("model", TYPE, "model.checkpoint=5", "model.checkpoint"),
    ("model", RANGE, "model.classes=11", "model"),
    ("model", TYPE, "model.pretrained=abc", "model.pretrained"),
    ("model", RANGE, "model.input.interpolation=abc", "model.input.interpolation"),
    ("model", TYPE, "model.input.size=abc", "model.input.size"),
    ("model", RANGE, "model.input.std=[0]", "model.input.std"),
    ("model", RANGE, "model.input.mean=[0.1,0.2]", "input.mean"),
    ("model", TYPE, "model.input=5", "model.input"),
    ("model", TYPE, "model.checkpoint={given}/complex.pt", "complex.pt"),
    ("model", TYPE, "model.checkpoint={given}/text.txt", "text.txt"),
    ("model", PATHS, "model.checkpoint={given}", "GIVEN"),
    ("model", MISSING, "model=timm", "model.id"),
    ("model", UNKNOWN, "model=timm model.id=no_such_network.abc", "no_such_network"),
    ("model", NESTED, "model.network._target_=os.system", "model.network._target_"),
    ("model", NESTED, "+model.network.block={_target_:os.getcwd}", "model.network.block._target_"),
    ("model", PATHS, "task=train model.name=../../../../escaped dataset.root={given}/fashion", "model.name"),
    ("pool", TYPE, "task=matrix pool=any pool.models=[5]", "pool"),
    ("pool", EMPTY, "task=matrix pool=any pool.models=[]", "pool.models"),
    ("pool", UNKNOWN, "task=matrix pool=any pool.models=[no_such_model]", "no_such_model"),
    ("hardware", RANGE, "hardware.precision=16-mixed", "hardware.precision"),
    ("hardware", TYPE, "hardware.precision=abc", "hardware.precision"),
    ("hardware", RANGE, "hardware.accelerator=abc", "hardware.accelerator"),
    ("hardware", TYPE, "hardware.batch_size=true", "hardware.batch_size"),
    ("hardware", RANGE, "hardware.accelerator=gpu", "hardware"),
    ("dataset", RANGE, "dataset=folder dataset.root={given}/images dataset.resize=1000000", "dataset.resize"),
    ("dataset", TOGETHER, "dataset=folder dataset.root={given}/images dataset.crop=300", "dataset.crop"),
    ("dataset", MISSING, "model=vit_b16 dataset=imagenet", "dataset.root"),
    ("dataset", MISSING, "dataset=folder", "dataset.root"),
    ("task", NULL, "task=compare reference=null", "reference"),
    ("task", MISSING, "task=compare", "reference"),
    ("task", RANGE, "task=ensemble task.runs=-1", "task.runs"),
    ("task", RANGE, "task=ensemble task.least_accuracy=-1", "task.least_accuracy"),
    ("task", EMPTY, "task=ensemble task.sizes=[]", "task.sizes"),
    ("task", TOGETHER, "task=ensemble pool=null", "pool"),
    ("task", TOGETHER, "task=ensemble labels=own", "labels"),
    ("task", TOGETHER, "task=ensemble pool=any pool.models=[fashion_vit,fashion_mixer] task.sizes=[2]", "task.sizes"),
    ("task", RANGE, "task=pick task.purpose=teacher", "task.purpose"),
    ("task", RANGE, "task=pick task.most_latency=0", "task.most_latency"),
    ("task", TOGETHER, "task=pick model@target=fashion_vit", "target"),
    ("task", TOGETHER, "task=pick labels=own task.least_accuracy=0.5", "task.least_accuracy"),
    ("task", TOGETHER, "task=matrix pool=null", "pool"),
    ("task", TOGETHER, "task=transfer", "model@target"),
    ("task", TOGETHER, "task=transfer model@target=fashion_vit pool=bundled", "pool"),
    ("task", TOGETHER, "task=attack model@target=fashion_vit", "target"),
    ("task", TOGETHER, f"{POOL} model.name=abc", "model.name"),
    ("task", TOGETHER, "task=transfer model@target=fashion_vit target.name=fashion_resnet", "fashion_resnet"),
    ("task", TOGETHER, "task=train task.mixup=0.5 task.batch_size=5 dataset.root={given}/fashion", "batch_size"),
    ("task", TOGETHER, "task=train task.seeds=[0,1] dataset.root={given}/fashion", "model.name"),
    ("task", TOGETHER, "task=train", "dataset.root"),
    ("task", MISSING, "task=distill", "task.students"),
    ("task", TOGETHER, "task=distill task.students=[fashion_vit] task.teachers=[vit_b16] dataset.root={given}/fashion",
     "vit_b16"),
    ("task", PATHS, "task=report task.run=no_such_folder", "task.run"),
    ("task", PATHS, "task=report task.run={given}", "GIVEN"),
    ("task", MISSING, "task=report", "task.run"),
    ("task", MISSING, "task=analyze", "task.run"),
    ("task", MISSING, "task=place", "task.run"),
    ("task", RANGE, "task=plan task.width=0", "task.width"),
    ("tracking", SECRETS, f"+tracking.api_key={KEY}", "tracking.api_key"),
    ("common", SECRETS, f"+hydra.job.env_set.WANDB_API_KEY={KEY}", "hydra.job.env_set.WANDB_API_KEY"),
    ("common", SECRETS, f"hydra.job.env_set.WANDB_API_KEY={KEY}", "hydra.job.env_set.WANDB_API_KEY"),
    ("common", SECRETS, f"hydra.job.env_set={{WANDB_API_KEY:{KEY}}}", "WANDB_API_KEY"),
    ("common", SECRETS, f"+hydra.job.env_set.AWS_SECRET_ACCESS_KEY={KEY}", "AWS_SECRET_ACCESS_KEY"),
    ("model", SECRETS, f"+model.network.token={KEY}", "model.network.token"),
    ("tracking", SECRETS, f"+tracking.password={KEY}", "tracking.password"),
    ("tracking", REFERENCE, "tracking.project=${oc.env:NO_SUCH_VARIABLE}", "tracking.project"),
    ("common", REFERENCE, "name=${nowhere}", "name"),
    ("common", REFERENCE, "output_dir=${name} name=${output_dir}", "name"),
    ("common", REFERENCE, "seed=${seed}", "seed"),
    ("common", SYNTAX, "attack.steps=[", "attack.steps=["),
    ("common", SYNTAX, "attack.steps={", "attack.steps={"),
    ("common", SYNTAX, "attack.steps='5", "attack.steps='5"),
    ("common", SYNTAX, "attack..steps=5", "attack..steps"),
    ("common", SYNTAX, "=5", "=5"),
    ("common", SYNTAX, "attack.steps", "attack.steps"),
    ("common", SYNTAX, "attack.steps=1,2", "attack.steps"),
    ("common", SYNTAX, "attack.steps.deeper=1", "attack.steps"),
    ("common", SYNTAX, "attack@nowhere=pgd", "attack@nowhere"),
    ("common", SYNTAX, "+attack=pgd", "attack"),
    ("common", SYNTAX, "++attack.steps=", "attack.steps"),
    ("common", SYNTAX, "~attack.nothing", "attack.nothing"),
    ("common", SYNTAX, "--config-name=nowhere", "--config-dir"),
    ("common", SYNTAX, "--config-dir=nowhere", "nowhere"),
    ("common", SYNTAX, "--config-path=nowhere", "--config-dir"),
    ("common", SYNTAX, "hydra.mode=abc", "hydra.mode"),
    ("common", SYNTAX, "hydra/launcher=abc", "hydra/launcher"),
    ("common", SYNTAX, "hydra.run.dir=''", "hydra.run.dir"),
    ("common", SYNTAX, "hydra=null", "hydra"),
    ("common", SYNTAX, "hydra/launcher=5", "hydra/launcher"),
    ("common", SYNTAX, "hydra.nothing=1", "hydra.nothing"),
    ("common", SYNTAX, "hydra.callbacks=null", "hydra.callbacks"),
    ("common", SYNTAX, "~hydra.callbacks.checks", "hydra.callbacks"),
    ("common", SYNTAX, "hydra.callbacks.checks._target_=os.getcwd", "hydra.callbacks"),
    ("common", SYNTAX, "hydra.job.chdir=abc", "hydra.job.chdir"),
    ("common", HUGE, f"attack={LONG}", "attack"),
    ("common", HUGE, f"{LONG}=1", "aaa"),
    ("common", TOGETHER, "allow=[os] model.network._target_=os.getcwd", "network._target_"),
)  # fmt: skip

SWEPT: tuple[tuple[str, str, str], ...] = (
    ("attack", "attack.steps=4,abc", "attack.steps"),
    ("attack", "attack.steps=1,0", "attack.steps"),
    ("attack", "attack.epsilon=8,256", "attack.epsilon"),
    ("attack", "attack=pgd,null", "attack"),
    ("attack", "attack=pgd,nowhere", "nowhere"),
    ("model", "model=fashion_vit,no_such_model", "no_such_model"),
    ("model", "model=fashion_vit,fashion_mixer attack.steps=1,abc", "attack.steps"),
    ("model", "model=fashion_vit,fashion_mixer model.name=''", "model.name"),
    ("model", "model=glob(no_such_*)", "no_such_*"),
    ("model", "model=fashion_vit,timm", "model.id"),
    ("model", "model.classes=10,11", "model"),
    ("model", "model.checkpoint={given}/complex.pt,{given}/text.txt", "GIVEN"),
    ("common", "seed=0,true", "seed"),
    ("common", "name=a,../../x", "name"),
    ("common", "labels=truth,abc", "labels"),
    ("common", "output_dir=''", "output_dir"),
    ("common", "seed=0,1 +no_such_setting=1", "no_such_setting"),
    ("common", "seed=0,1 hydra/launcher=abc", "hydra/launcher"),
    ("common", "seed=0,1 hydra.sweeper.max_batch_size=abc", "hydra.sweeper.max_batch_size"),
    ("common", "seed=0,1 hydra.sweeper.merge=5", "hydra.sweeper.merge"),
    ("common", "seed=0,1 hydra.callbacks=null", "hydra.callbacks"),
    ("score", "score.confidence=0.9,1", "score.confidence"),
    ("hardware", "hardware.batch_size=8,true", "hardware.batch_size"),
    ("hardware", "hardware.precision=32-true,abc", "hardware.precision"),
    ("dataset", "dataset.size=8,0", "dataset.size"),
    ("tracking", f"seed=0,1 +tracking.api_key={KEY}", "tracking.api_key"),
    ("tracking", f"seed=0,1 +hydra.job.env_set.WANDB_API_KEY={KEY}", "WANDB_API_KEY"),
    ("task", "task=attack,nowhere", "nowhere"),
    ("task", "task=matrix,ensemble pool=null", "pool"),
    ("task", "task=plan task.width=0.1,0", "task.width"),
    ("task", "task=transfer model=fashion_vit,fashion_mixer", "model@target"),
    ("task", "task=transfer model=fashion_vit model@target=fashion_mixer,nowhere", "nowhere"),
    ("pool", "task=matrix pool=any pool.models=[fashion_vit],[5]", "pool"),
)

FILES: tuple[tuple[str, str, str], ...] = (
    ("model/own.yaml", "name: own\n", "model."),
    ("model/own.yaml", "- a\n- b\n", "model"),
    ("model/own.yaml", "name: [\n", "own"),
    ("model/own.yaml", "", "model.name"),
    ("model/own.yaml", "{}\n", "model"),
    ("model/own.yaml", "\x00\n", "own"),
    ("model/own.yaml", "5\n", "own"),
    ("model/own.yaml", "{model}name: 'a\\0b'\n", "model.name"),
    ("model/own.yaml", "{model}family: !!python/object/apply:os.getcwd []\n", "own"),
    ("model/own.yaml", "{model}classes: '10'\n", "model.classes"),
    ("model/own.yaml", "{model}extra: 1\n", "model.extra"),
    ("model/own.yaml", "{model}network: {_target_: own.Network}\n", "model.network"),
    ("model/own.yaml", "{model}defaults: [nowhere]\n", "nowhere"),
    ("attack/own.yaml", "epsilon: 8\n", "attack"),
    ("attack/own.yaml", "_target_: sat_exp.attacks.PGD\n", "attack."),
    ("attack/own.yaml", "_target_: 5\n", "attack._target_"),
    ("dataset/own.yaml", "_target_: own.Images\nroot: null\n", "dataset._target_"),
    ("pool/own.yaml", "name: own\nmodels: 5\n", "pool.models"),
    ("pool/own.yaml", "name: own\nmodels: [5.5]\n", "pool.models"),
    ("pool/own.yaml", "models: [fashion_vit]\n", "pool.name"),
    ("experiment/own.yaml", "# @package _global_\nattack: null\n", "attack"),
    ("experiment/own.yaml", "# @package _global_\nallow: [own]\n", "allow"),
    ("experiment/own.yaml", "# @package _global_\nnew: 1\n", "new"),
    ("experiment/own.yaml", f"# @package _global_\ntracking: {{api_key: {KEY}}}\n", "tracking.api_key"),
    ("experiment/own.yaml", f"# @package _global_\nhydra: {{job: {{env_set: {{WANDB_API_KEY: {KEY}}}}}}}\n",
     "own.yaml"),
    ("experiment/own.yaml", "# @package _global_\nhydra: {callbacks: null}\n", "own.yaml"),
    ("task/own.yaml", "_target_: sat_exp.tasks.attack.run\nname: own\nextra: 1\n", "task.extra"),
)  # fmt: skip
"""File in a folder for -cd, its text, what must be named. {model} is a sound model."""

MODEL = (
    "name: own\nfamily: Own\nlabel_space: fashion_mnist\nclasses: 10\npretrained: false\ncheckpoint: null\n"
    "network: {_target_: timm.create_model, model_name: resnet10t, in_chans: 1, num_classes: 10}\n"
    "input: {size: 32, mean: [0.3], std: [0.4], interpolation: bicubic, crop: 1.0}\n"
)


def cases() -> Iterator[Case]:
    """The table, and what is swept."""
    for group, kind, typed, names in REPORTED:
        yield Case(group, kind, tuple(typed.split(" ")), names)
    for group, typed, names in SWEPT:
        yield Case(group, SWEEP, ("-m", *typed.split(" ")), names)


def files() -> Iterator[tuple[Case, str, str]]:
    """Cases with a file of one's own: its path in the folder given, and its text."""
    for index, (path, text, names) in enumerate(FILES):
        group, choice = path.removesuffix(".yaml").split("/")
        typed = (f"+{group}" if group == "experiment" else group) + f"={choice}"
        needed = ("task=matrix",) if group == "pool" else ()
        arguments = ("-cd", f"{{given}}/own{index}", *needed, typed.removeprefix("+"))
        replaced = dict(line.split(": ", 1) for line in MODEL.splitlines())
        body = text.removeprefix("{model}")
        if body != text:
            replaced.pop(body.split(":")[0], None)
            body = "\n".join(f"{key}: {value}" for key, value in replaced.items()) + "\n" + body
        yield Case(group, FOLDERS, arguments, names), f"own{index}/{path}", body
