"""A W&B client, opened and ended within bounded time. wandb is imported only when a run is really recorded."""

import atexit
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from sat_exp.tracking.settings import Tracking

if TYPE_CHECKING:
    import wandb

PATIENCE = 2.5  # seconds to wait for W&B when a signal ends the run, and for its service when a process ends


def credentials(explicit: bool) -> bool:
    """Whether W&B finds an API key or an identity token in the environment, netrc or its settings file. Never prompts.

    explicit: the user chose online, so an offline mode in W&B's own settings is ignored.
    """
    import wandb

    wanted = wandb.Settings(silent=True)
    if explicit:
        wanted.mode = "online"
    wandb.setup(settings=wanted)
    return wandb.login(prompt=False, verify=False)


def open_client(
    mode: Literal["online", "offline"], options: Mapping[str, Any], config: dict[str, Any], settings: Tracking
) -> "wandb.Run":
    """`wandb.init` without console output, bounded in time, whatever other runs are open."""
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True))
    try:
        client = wandb.init(
            config=config,
            settings=wandb.Settings(
                **{key: value for key, value in options.items() if value is not None},
                mode=mode,
                reinit="create_new",
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                save_code=False,
                init_timeout=settings.connect_seconds,
                finish_timeout=settings.upload_seconds,
                finish_timeout_raises=True,
            ),
        )
    finally:
        atexit.unregister(end_service)
        atexit.register(end_service)  # runs before W&B's own, which was registered earlier
    client.define_metric("*", step_metric="step", step_sync=False)
    return client


def end_service() -> None:
    """End W&B's service at exit within `PATIENCE`; W&B itself would wait without limit."""
    import wandb

    with suppress(TimeoutError):
        within(PATIENCE, wandb.teardown)


def within(seconds: float, work: Callable[[], object]) -> None:
    """Run `work` and wait up to so many seconds for it; TimeoutError where it takes longer."""
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            work()
        except Exception as error:
            failures.append(error)

    working = threading.Thread(target=attempt, daemon=True)
    working.start()
    working.join(seconds)
    if working.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    if failures:
        raise failures[0]


def brief(error: BaseException) -> str:
    """The first line of an error."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
