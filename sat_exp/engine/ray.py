"""Ray: this machine or a cluster, which Ray's autoscaler may enlarge."""

import logging
import os
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from sat_exp.engine.engine import Engine, Piece
from sat_exp.errors import UserError, explained
from sat_exp.progress import Advance, ignored
from sat_exp.settings.types import Text


@dataclass
class Ray(Engine):
    """address: of a running cluster, or `auto` for the one that this machine belongs to; null starts one here, which
    ends with this program. gpus, cpus: what a piece of work needs. seconds: about how long it takes. Ray repeats a
    piece whose worker or machine dies, as often as needed."""

    address: Text | None = None
    gpus: Annotated[float, Field(ge=0, le=16)] = 0
    cpus: Annotated[float, Field(gt=0, le=1024)] = 1
    seconds: Annotated[float, Field(gt=0)] = 60

    def __enter__(self) -> "Ray":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ModuleNotFoundError as error:
            raise UserError("engine=ray needs Ray: pip install 'sat_exp[ray]'") from error
        place = f"engine.address={self.address}"
        with explained(f"{place}: no Ray cluster answers", "start one with `ray start --head`, or give null"):
            ray.init(self.address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
        remote: Any = ray.remote
        self.ray, self.work = ray, remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=-1)(work)
        return self

    def submit(self, piece: Piece, advance: Advance) -> Future[Any]:
        future: Future[Any] = Future()
        reference = self.work.options(name=piece.name).remote(piece.work)

        def take(found: Future[Any]) -> None:
            error = found.exception()
            if error is None:
                advance(piece.images)
                future.set_result(found.result())
            else:
                future.set_exception(getattr(error, "cause", None) or error)

        reference.future().add_done_callback(take)
        return future

    def __exit__(self, *error: object) -> None:
        self.ray.shutdown()


def work(piece: Any) -> Any:
    """The result of a piece of work, in a worker."""
    return piece(ignored)
