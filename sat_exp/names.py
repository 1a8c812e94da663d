"""Names typed on the command line, checked against what there is before Hydra composes anything."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from sat_exp.errors import UserError


def check_choices(arguments: Sequence[str], conf: Path) -> None:
    """Raise UserError, with the nearest names, for a group choice among `arguments` that `conf` does not have."""
    overrides = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except OverrideParseException:
        return
    for override in parsed:
        group = override.key_or_group.split("@")[0]
        if not (conf / group).is_dir() or override.is_delete():
            continue
        known = sorted(path.stem for path in (conf / group).glob("*.yaml"))
        chosen = override.value()
        if not isinstance(chosen, str) or override.is_sweep_override() or chosen in known:
            continue
        near = difflib.get_close_matches(chosen, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise UserError(f"no {group} called {chosen!r}; {hint}")
