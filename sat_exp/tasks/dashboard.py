"""task=dashboard: a W&B workspace and a W&B report that show the runs of a project."""

from importlib.util import find_spec

from omegaconf import DictConfig

from sat_exp.errors import UserError, one_line
from sat_exp.settings import build
from sat_exp.settings.types import FileName, Text
from sat_exp.tasks import printing
from sat_exp.tracking.owner import credentials


def run(config: DictConfig, *, name: FileName, title: Text) -> None:
    tracking = build(config.tracking, "tracking")
    if find_spec("wandb_workspaces") is None:
        raise UserError("task=dashboard needs W&B's library for dashboards: pip install 'sat_exp[dashboard]'")
    if not credentials(explicit=True):
        advice = "wandb login, or set WANDB_API_KEY, then wandb sync the runs that were recorded offline"
        raise UserError(f"a dashboard needs a connection, and W&B has no credentials: {advice}")
    from sat_exp.tracking import dashboard

    try:
        made = dashboard.create(tracking, title)
    except LookupError as error:
        raise UserError(f"{error}: run with tracking=online, or wandb sync what was recorded offline") from error
    except Exception as error:
        raise UserError(f"W&B made no dashboard of {tracking.project}: {one_line(error)}") from error
    for kind, address in made.items():
        printing.console().print(f"{kind}: {address}", soft_wrap=True, highlight=False)
