"""Follows every link within a built site, also to headings. It reads a copy, because linkchecker, run by root, becomes
the user nobody, who cannot read private folders."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main(folder: str) -> int:
    """The exit status of linkchecker; prints what it says if a link is broken."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        copy = shutil.copytree(folder, Path(place, "site"))
        program = Path(sys.executable).with_name("linkchecker")
        command = [program, "--config", Path(__file__).with_name("linkchecker.ini"), copy / "index.html"]
        ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        print(ended.stdout, ended.stderr, sep="\n")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
