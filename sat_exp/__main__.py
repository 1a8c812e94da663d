"""The command line: help, versions and completion at once; all else is a run."""

from sat_exp import stopping

if __name__ == "__main__":
    stopping.begin()  # before the imports, which take time

import atexit
import gc
import logging
import sys

from sat_exp.console import completion, help
from sat_exp.errors import user_error


@stopping.handled()
def main() -> None:
    logging.raiseExceptions = False  # on a full disk a log would print tracebacks
    atexit.register(gc.freeze)  # else the interpreter searches for garbage before it ends, for seconds
    arguments = sys.argv[1:]
    try:
        text = completion.answer(arguments)
        text = help.answer(arguments) if text is None else text
        if text is None:
            from sat_exp import running  # imports Hydra

            running.run(arguments)
        else:
            print(text)
        print(end="", flush=True)  # a failure to write is an error here, not while the interpreter ends
    except Exception as error:
        if (known := user_error(error)) is None:
            raise
        sys.exit(f"error: {known}")


if __name__ == "__main__":
    main()
