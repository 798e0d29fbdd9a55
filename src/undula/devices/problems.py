"""Why a device does not answer, short enough for a line and never cut inside a name.

In: what a driver raised. Out: one line.
"""

from __future__ import annotations

import re

from undula.core.errors import UndulaError

LIMIT = 300
SHOWN = 2
_ASYNC_PV = re.compile(r"\b(?:ca|pva)://[^\s,]+")
_OPHYD_PV = re.compile(r"\(([^()\s]+)\)")
_ONE_PV = re.compile(r"(\S+) could not connect within ([\d.]+)-second timeout")


def problem_text(exc: BaseException) -> str:
    """One line about what a driver raised while its device was connected.

    >>> problem_text(TimeoutError("Failed to connect to all signals: m.a (X:M.RBV), m.b (X:M.VAL)"))
    'no answer from X:M.RBV, X:M.VAL'
    >>> problem_text(TimeoutError("X:SIG could not connect within 1.0-second timeout."))
    'no answer from X:SIG within 1 s'
    """
    if isinstance(exc, UndulaError):
        return shortened(str(exc))
    text = str(exc)
    one = _ONE_PV.match(text)
    if one is not None:
        return f"no answer from {one[1]} within {float(one[2]):g} s"
    names: list[str] = []
    if type(exc).__name__ == "NotConnectedError":
        names = _ASYNC_PV.findall(text)
    elif text.startswith("Failed to connect to all signals"):
        names = _OPHYD_PV.findall(text)
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"no answer from {', '.join(names[:SHOWN])}{more}"
    return shortened(f"{type(exc).__name__}: {text}" if text else type(exc).__name__)


def shortened(text: str, limit: int = LIMIT) -> str:
    """One line of at most `limit` letters, cut between words.

    >>> shortened("no answer from  X:MOTOR", 18)
    'no answer from …'
    """
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    return line[: limit - 1].rpartition(" ")[0].rstrip(" ,;") + " …"
