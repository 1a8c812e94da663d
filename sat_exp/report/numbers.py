"""Numbers in readable form: rates, times, durations."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import humanize
import numpy as np


def in_percent(fraction: float) -> str:
    """A rate with one decimal; '–' where it is missing, '>99.9' rather than '100.0' where it is less than 1."""
    if not np.isfinite(fraction):
        return "–"
    return ">99.9" if 0.9995 <= fraction < 1 else f"{100 * fraction:.1f}"


def percent(fraction: float) -> str:
    """For instance '37.0 %', with a space that does not break; '–' where it is missing."""
    return f"{in_percent(fraction)}\N{NO-BREAK SPACE}%" if np.isfinite(fraction) else "–"


def percent_interval(row: Mapping[Any, Any], column: str) -> str:
    """For instance '37.0 % (34.1–39.8)', from `column`, `column`_low and `column`_high."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    return percent(row[column]) + (f" ({100 * low:.1f}–{100 * high:.1f})" if np.isfinite(low) else "")


def moment(iso: str) -> str:
    """For instance '2026-11-23 04:40 UTC' from an ISO time with its zone."""
    return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M %Z").strip() if iso else ""


def duration(seconds: float) -> str:
    """For instance '0.42 seconds' or '2 minutes and 34 seconds'."""
    return humanize.precisedelta(round(seconds) if seconds >= 10 else seconds, format="%.2g")
