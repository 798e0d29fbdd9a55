"""What is odd about a reading: not a number, an old or impossible time. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from undula.messages import Severity

MAX_AGE_S = 7 * 24 * 3600.0
MAX_AHEAD_S = 60.0
FIRST_TIME = 631152000.0  # 1990-01-01: the epoch of EPICS, the stamp of a record never processed


SEVERITIES: dict[int, Severity] = {1: "minor", 2: "major", 3: "invalid", -1: "invalid"}


def severity_word(severity: Any) -> Severity | None:
    """An alarm as EPICS counts it (-1 as ophyd-async does), in a word; None for none.

    >>> severity_word(0), severity_word(2), severity_word(-1), severity_word(None)
    (None, 'major', 'invalid', None)
    """
    return SEVERITIES.get(int(severity)) if isinstance(severity, int) else None


def flags(values: Mapping[str, Any], timestamps: Mapping[str, float], now: float) -> list[str]:
    """What a person should know of these values; empty when all is well.

    >>> flags({"t": float("nan")}, {"t": 1e9}, 1e9)
    ['t: not a number']
    """
    found = []
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            found.append(f"{key}: not a number")
        stamp = timestamps.get(key)
        if stamp is None or stamp <= FIRST_TIME + MAX_AGE_S:
            found.append(f"{key}: never updated")
        elif stamp > now + MAX_AHEAD_S:
            found.append(f"{key}: its clock is {stamp - now:.0f} s ahead")
        elif now - stamp > MAX_AGE_S:
            found.append(f"{key}: {(now - stamp) / 86400:.0f} days old")
    return found
