"""W&B servers that refuse, hang, die or send nonsense: the run completes, with the files of a run without W&B."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .harness import Undisturbed, continues, discard
from .servers import ONLINE, SERVERS, settings

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS.keys())
def test_a_bad_server_changes_nothing(
    request: pytest.FixtureRequest, tally: Any, tmp_path: Path, pair: Undisturbed, server: Callable[[], Any]
) -> None:
    folder = tmp_path / "trial"
    with server() as port:
        wrong = continues(folder, pair, [*pair.arguments, *ONLINE], environment=settings(port))
    name = request.node.callspec.id
    tally("W&B server", name, "ended well, the same files" if wrong is None else "WENT WRONG")
    assert wrong is None, wrong
    discard(folder)
