"""The only uses of private parts of W&B's libraries, for which they have no public way."""

import hashlib
from typing import TYPE_CHECKING

import wandb

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace


def use_artifact(client: wandb.Run, artifact: wandb.Artifact) -> None:
    """Send an artifact along as an input of the run.

    The public `use_artifact` refuses to do so offline, and online waits for the server without limit. `_log_artifact`,
    which it calls, does neither.
    """
    client._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def name_by_title(workspace: "Workspace", title: str) -> None:
    """Derive the internal name of a workspace, by default random, from its title, so that it can be found again."""
    workspace._internal_name = f"nw-{hashlib.sha256(title.encode()).hexdigest()[:11]}-v"
