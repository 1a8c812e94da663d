"""Asks a vulnerability service about every locked package. Exit status: 0 none is known, 1 some are, 2 not all could be
checked."""

import json
import subprocess
import sys
from pathlib import Path

LOCKS = ("build", "dev", "torch")
"""The locks asked about; torch-cpu holds the same versions as torch."""

UNREACHABLE = "the vulnerability service cannot be reached from here"


def asked(locks: list[Path]) -> list[dict]:
    """pip-audit's answer for every package of the locks; SystemExit of one line where it gave none."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    chosen = [part for lock in locks for part in ("--requirement", str(lock))]
    answer = subprocess.run([*command, "--format=json", *chosen], capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        said = (answer.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        print(f"error: no package was checked: {UNREACHABLE if 'onnect' in said else said}", file=sys.stderr)
        raise SystemExit(2) from None


def findings(packages: list[dict]) -> list[str]:
    """A line for each known vulnerability."""
    lines = []
    for package in packages:
        for known in package.get("vulns", []):
            names = ", ".join([known["id"], *known["aliases"]])
            mended = " or ".join(known["fix_versions"]) or "no version"
            lines.append(f"{package['name']} {package['version']}: {names}; mended in {mended}")
    return lines


def main(folder: Path) -> int:
    packages = asked([folder / f"{name}.txt" for name in LOCKS])
    found = findings(packages)
    print(*found, sep="\n", end="\n" if found else "")
    unknown = sorted({package["name"] for package in packages if "skip_reason" in package})
    checked = len({package["name"] for package in packages}) - len(unknown)
    if unknown:
        which = ", ".join(unknown) if checked else UNREACHABLE
        print(f"error: {len(unknown)} of {checked + len(unknown)} packages were not checked: {which}", file=sys.stderr)
    elif not found:
        print(f"No vulnerability is known in {checked} packages.")
    return 1 if found else 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parents[1] / "requirements"))
