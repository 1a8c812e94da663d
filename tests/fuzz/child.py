"""The command line in a process that is forked from one with everything imported.

runpy runs this file with `settings`, the fields of `harness.Start`.
"""

import os
import runpy
import sys
from typing import Any


def become(settings: dict[str, Any]) -> None:
    """Be `python -m sat_exp ARGUMENTS`, in its folder and environment, without input."""
    output = os.open(settings["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, file in ((0, nothing), (1, output), (2, output)):
        os.dup2(file, stream)
    os.chdir(settings["folder"])
    os.environ.clear()
    os.environ.update(settings["environment"])
    sys.argv = ["sat_exp", *settings["arguments"]]
    if settings["begin"] is not None:
        import hydra._internal.hydra as hydra

        def begin(**_: Any) -> None:
            sys.stderr.write(settings["begin"] + "\n")
            raise SystemExit(0)

        hydra.run_job = begin
    runpy.run_module("sat_exp", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    become(settings)  # type: ignore[name-defined]  # noqa: F821
