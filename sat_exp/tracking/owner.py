"""The owner of one W&B run: starts, feeds and finishes it.

wandb is imported only when a run is really recorded, so `disabled` costs nothing. A failure of W&B (no network, no
credentials, a crashed service, a full upload) is a line in the log. Only the body's own exceptions leave `run`.
"""

import atexit
import json
import logging
import os
import shlex
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sat_exp import files, stopping, strict_json
from sat_exp.deferred import uncollected
from sat_exp.tracking.settings import Recording, Tracking

if TYPE_CHECKING:
    import wandb

    from sat_exp import runs

logger = logging.getLogger(__name__)

PATIENCE = 2.5  # seconds to wait for W&B when a signal ends the run, and for its service when a process ends
OLD_MODES: dict[str, Recording] = {"run": "online", "dryrun": "offline"}  # other values of `WANDB_MODE`
STOPPED = "stopped"  # the state in `tracking.json`, and the tag in W&B, of a run that a signal ended


class Run:
    """A W&B run in progress, or none; every method is safe to call whatever the state of W&B.

    mode: online, offline or disabled, as it turned out. id, url, folder (W&B's folder of the run): None without one.
    """

    def __init__(self, client: "wandb.Run | None", mode: Recording, directory: Path) -> None:
        self.client = client
        self.mode = mode
        self.directory = directory
        self.id: str | None = client.id if client else None
        self.url: str | None = client.url if client and mode == "online" else None
        self.folder: Path | None = Path(client.settings.sync_dir) if client else None
        self._warned = False

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add one row of metrics, drawn against `step`, which may start again at 0 for the next model."""
        if self.client is None:
            return
        with self._mirroring("metrics"):
            row = {key: float(value) for key, value in metrics.items()}
            self.client.log(row if step is None else {**row, "step": int(step)})

    def log_results(self, finished: "runs.Run") -> None:
        """Send a finished run: config, tables, figures, page, key numbers, and artifacts of its files."""
        if self.client is None:
            return
        with self._mirroring("results"), staging_under(self.directory):
            from sat_exp.tracking import results

            for upload in results.UPLOADS:
                with self._mirroring(upload.__name__.replace("_", " ")):
                    upload(self.client, finished)

    def finish(self, exit_code: int) -> None:
        if self.client is None:
            return
        sync = f"to upload: wandb sync {shlex.quote(str(self.folder))}"
        self._warned = False
        with self._mirroring("the end of the run", remedy=sync):
            self.client.finish(exit_code=exit_code)
        if self.mode == "offline":
            logger.info("W&B: recorded offline; %s", sync)

    def stop(self, exit_code: int) -> None:
        """Finish within `PATIENCE` a run that a signal ended; without a warning, because the signal was reported."""
        client, self._warned = self.client, True
        if client is None:
            return

        def finish() -> None:
            client.tags = (*(client.tags or ()), STOPPED)
            client.finish(exit_code=exit_code)

        with self._mirroring("the end of the run"):
            within(PATIENCE, finish)

    @contextmanager
    def _mirroring(self, what: str, remedy: str = "the local files are complete") -> Iterator[None]:
        """Turn failures of W&B into one warning during the run and one at its end."""
        try:
            yield
        except Exception as error:
            level = logging.DEBUG if self._warned else logging.WARNING
            logger.log(level, "W&B could not record %s (%s); %s", what, brief(error), remedy)
            self._warned = True


@contextmanager
def run(
    settings: Tracking,
    *,
    name: str,
    job_type: str,
    directory: Path,
    config: Mapping[str, Any],
    tags: Sequence[str] = (),
) -> Iterator[Run]:
    """Own one W&B run for the length of the body.

    W&B's files go to `directory`/wandb, and `directory`/tracking.json states where the run is recorded. An exception of
    the body marks the run as failed (exit code 1) and propagates. A signal marks it as stopped when the process ends.
    """
    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    with uncollected():  # it imports
        owned = start(settings, name=name, job_type=job_type, directory=directory, config=config, tags=tags)

    def stop() -> None:
        write_pointer(owned, settings, name, state=STOPPED)
        owned.stop(128 + (stopping.stopped_by() or 0))

    with stopping.marking(stop):
        write_pointer(owned, settings, name, state="running")
        state, exit_code = "failed", 1
        try:
            yield owned
            state, exit_code = "finished", 0
        except BaseException as error:
            stopping.note_lost_output(error)
            raise
        finally:
            if stopping.stopped_by() is None:
                owned.finish(exit_code)
                write_pointer(owned, settings, name, state=state)


def start(
    settings: Tracking, *, name: str, job_type: str, directory: Path, config: Mapping[str, Any], tags: Sequence[str]
) -> Run:
    """Begin recording in the chosen mode, or in the next one that works: online, offline, not at all."""
    mode = settings.mode
    if mode == "auto":
        wanted = os.environ.get("WANDB_MODE", "")
        mode = next((known for known in get_args(Recording) if known == OLD_MODES.get(wanted, wanted)), "auto")
    if mode == "disabled":
        return Run(None, "disabled", directory)

    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # W&B's reports about itself: 20 s where no server answers
    plain: dict[str, Any] = json.loads(strict_json.dumps(config, default=str))
    options: dict[str, Any] = {
        "root_dir": str(directory),
        "project": settings.project,
        "entity": settings.entity,
        "run_group": settings.group or os.environ.get("WANDB_RUN_GROUP") or name.rpartition("/")[0] or None,
        "run_name": name,
        "run_job_type": job_type,
        "run_tags": tuple(dict.fromkeys([*settings.tags, *tags])),
        "git_commit": plain.get("versions", {}).get("git_commit"),
    }
    if mode != "offline":
        before = set(directory.glob("wandb/run-*"))
        try:
            if credentials(explicit=mode == "online"):
                client = open_client("online", options, plain, settings)
                logger.info("W&B: %s", client.url)
                return Run(client, "online", directory)
            if mode == "online":
                logger.warning("W&B has no credentials (`wandb login` or WANDB_API_KEY): recording offline instead")
        except Exception as error:
            logger.warning("W&B is not reachable (%s): recording offline instead", brief(error))
            for leftover in set(directory.glob("wandb/run-*")) - before:
                shutil.rmtree(leftover, ignore_errors=True)
    try:
        return Run(open_client("offline", options, plain, settings), "offline", directory)
    except Exception as error:
        logger.warning("W&B cannot record (%s): the run continues without it", brief(error))
        return Run(None, "disabled", directory)


def write_pointer(owned: Run, settings: Tracking, name: str, state: str) -> None:
    """Write `tracking.json`; of several processes the last wins. `folder` is relative to it, so that it stays valid
    when the run's folder is moved."""
    folder = Path(os.path.relpath(owned.folder, owned.directory)).as_posix() if owned.folder else None
    pointer = {
        "mode": owned.mode,
        "state": state,
        "name": name,
        "project": settings.project,
        "id": owned.id,
        "url": owned.url,
        "folder": folder,
    }
    path = owned.directory / "tracking.json"
    try:
        files.write_atomic(path, strict_json.dumps(pointer).encode())
    except OSError as error:
        logger.warning("could not write %s (%s)", path, brief(error))


@contextmanager
def staging_under(directory: Path) -> Iterator[None]:
    """Keep W&B's copies of artifact files under `directory`/wandb unless `WANDB_DATA_DIR` is set. It is set for this
    time only, because W&B warns if it differs at the next init."""
    chosen = "WANDB_DATA_DIR" in os.environ
    os.environ.setdefault("WANDB_DATA_DIR", str(directory / "wandb"))
    try:
        yield
    finally:
        if not chosen:
            os.environ.pop("WANDB_DATA_DIR", None)


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
