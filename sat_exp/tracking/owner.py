"""Starts, feeds and finishes one W&B run.

Nothing here imports wandb before a run is really recorded, so `disabled` costs nothing. Whatever goes wrong inside W&B
(no network, no credentials, a crashed service, a full upload) becomes a line in the log; only the body's own exceptions
leave the context manager.
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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from sat_exp import stopping, strict_json
from sat_exp.settings import checked
from sat_exp.settings.types import Seconds, Text

if TYPE_CHECKING:
    import wandb

    from sat_exp import runs

logger = logging.getLogger(__name__)

Recording = Literal["online", "offline", "disabled"]
Mode = Literal["auto", "online", "offline", "disabled"]


def project(name: str) -> str:
    """`name` if W&B takes it as that of a project; ValueError for others."""
    if set(name) & set("/\\#?%:"):
        raise ValueError("a name without / \\ # ? % :")
    return name


Project = Annotated[Text, Field(max_length=128), AfterValidator(project)]
Label = Annotated[Text, Field(max_length=128)]
Tag = Annotated[Text, Field(max_length=64)]
"""Within the limits of W&B."""

ENVIRONMENT_MODES: dict[str, Recording] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
STOPPED = "stopped"
"""The state in `tracking.json`, and the tag in W&B, of a run that a signal ended."""
PATIENCE = 2.5
"""Seconds for W&B to take note of that, and for its service to end with any process."""


@dataclass(frozen=True)
class Tracking:
    """Where a run is mirrored to.

    `auto` is online where W&B finds credentials and offline elsewhere; `WANDB_MODE` in the environment decides first.
    `connect_seconds` is how long to wait for the server at the start before recording offline, `upload_seconds` how
    long to wait for outstanding uploads at the end before leaving them to `wandb sync`. Without a `group` runs whose
    folders lie together are one, as the jobs of a sweep.
    """

    mode: Mode = "auto"
    project: Project = "sat_exp"
    entity: Project | None = None
    group: Label | None = None
    tags: Sequence[Tag] = ()
    connect_seconds: Seconds = 15.0
    upload_seconds: Seconds = 300.0

    def __post_init__(self) -> None:
        checked(type(self), vars(self), "tracking")


class Run:
    """A running mirror; every method is safe to call whatever the state of W&B.

    `mode` is what came of the settings: online, offline or disabled. `id`, `url` and `folder` (the W&B folder of this
    run) are None where there is none.
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
        """Add one row of metrics, drawn against `step` where given; steps may start again at 0 for the next model."""
        if self.client is None:
            return
        with self._mirroring("metrics"):
            row = {key: float(value) for key, value in metrics.items()}
            self.client.log(row if step is None else {**row, "step": int(step)})

    def log_results(self, finished: "runs.Run") -> None:
        """Mirror a finished run: config, tables, figures, report, key numbers, and artifacts of the files."""
        if self.client is None:
            return
        uploads: Sequence[Any] = ()
        with self._mirroring("results"):
            from sat_exp.tracking import results

            uploads = results.UPLOADS
        with staging_under(self.directory):
            for upload in uploads:
                with self._mirroring(upload.__name__.replace("_", " ")):
                    upload(self.client, finished)

    def _finish(self, exit_code: int) -> None:
        if self.client is None:
            return
        sync = f"to upload: wandb sync {shlex.quote(str(self.folder))}"
        self._warned = False
        with self._mirroring("the end of the run", remedy=sync):
            self.client.finish(exit_code=exit_code)
        if self.mode == "offline":
            logger.info("W&B: recorded offline; %s", sync)

    def _stop(self, exit_code: int) -> None:
        """Finish within `PATIENCE`, as a run that a signal ended; quietly, as that was said already."""
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
        """Turn W&B's failures into one warning while the run lasts and one at its end."""
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

    W&B's files go to `directory`/wandb, and `directory`/tracking.json says what was recorded where. An exception of
    the body marks the run as failed (exit code 1) and propagates. A signal marks it as stopped, at the process's end.
    """
    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    owned = start(settings, name=name, job_type=job_type, directory=directory, config=config, tags=tags)

    def stop() -> None:
        write_pointer(owned, settings, name, state=STOPPED)
        owned._stop(128 + (stopping.stopped_by() or 0))

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
                owned._finish(exit_code)
                write_pointer(owned, settings, name, state=state)


def start(
    settings: Tracking, *, name: str, job_type: str, directory: Path, config: Mapping[str, Any], tags: Sequence[str]
) -> Run:
    """Begin recording in the wanted mode, or in the next one that works: online, offline, not at all."""
    mode = settings.mode
    if mode == "auto":
        mode = ENVIRONMENT_MODES.get(os.environ.get("WANDB_MODE", ""), "auto")
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
        "git_commit": find_commit(plain),
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
        logger.warning("W&B cannot record (%s): going on without it", brief(error))
        return Run(None, "disabled", directory)


def credentials(explicit: bool) -> bool:
    """Whether W&B itself finds an API key or identity token: environment, netrc or its settings file. Never prompts.

    `explicit`: online was asked for, so W&B's own settings that say offline do not count.
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
    """`wandb.init` without any console output, bounded in time, beside whatever other run is open."""
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
        atexit.register(end_service)  # after W&B's own, since what is registered last comes first
    client.define_metric("*", step_metric="step", step_sync=False)
    return client


def end_service() -> None:
    """End W&B's service at exit, waiting for no longer than `PATIENCE`; W&B itself would wait without end."""
    import wandb

    with suppress(TimeoutError):
        within(PATIENCE, wandb.teardown)


def find_commit(config: Mapping[str, Any]) -> str | None:
    """The git commit in a run's config, given as `versions.git_commit` or `git_commit`."""
    versions = config.get("versions")
    commit = versions.get("git_commit") if isinstance(versions, Mapping) else config.get("git_commit")
    return str(commit) if commit else None


def write_pointer(owned: Run, settings: Tracking, name: str, state: str) -> None:
    """Write `tracking.json`, at once: of several processes the last wins. `folder` is relative to it, so that a moved
    run folder still finds its W&B files."""
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
        with TemporaryDirectory(prefix=".tracking-", dir=owned.directory) as place:
            whole = Path(place) / path.name
            whole.write_text(strict_json.dumps(pointer), encoding="utf-8")
            whole.replace(path)
    except OSError as error:
        logger.warning("could not write %s (%s)", path, brief(error))


@contextmanager
def staging_under(directory: Path) -> Iterator[None]:
    """Keep W&B's copies of artifact files under `directory`/wandb unless `WANDB_DATA_DIR` already says where.

    W&B reads the variable whenever an artifact is made and warns if it differs at the next init, hence only for a time.
    """
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(directory / "wandb")
    try:
        yield
    finally:
        os.environ.pop("WANDB_DATA_DIR", None)


def within(seconds: float, work: Callable[[], object]) -> None:
    """Do `work`, but wait no longer than so many seconds for it; TimeoutError where it takes longer."""
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
    """The first line of an error, for a one-line message."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
