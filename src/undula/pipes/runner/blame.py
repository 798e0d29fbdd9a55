"""Room: pipes. What a node's own code raised, in words for whoever wrote it.

In: an exception. Out: what it says, and the line of the node's file that it came from.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

from undula.core.errors import UndulaError


def blamed(exc: Exception, node: Any, seq_num: int) -> str:
    """One line: which exception, where in the node's file, at which frame (0: at none)."""
    place = _place(exc, node)
    where = f" ({place.filename.rpartition('/')[2]}, line {place.lineno})" if place else ""
    at = f" at frame {seq_num}" if seq_num else ""
    return f"{type(exc).__name__}: {exc}{where}{at}"


def _place(exc: Exception, node: Any) -> traceback.FrameSummary | None:
    """Where an exception came from: the last line of the node's own file, if it went through it.

    None when it was never raised, and for an error of ours that did not: it says by itself what to
    look at.
    """
    frames = traceback.extract_tb(exc.__traceback__)
    home = getattr(sys.modules.get(type(node).__module__), "__file__", None)
    own = [frame for frame in frames if frame.filename == home]
    if isinstance(exc, UndulaError):
        return next(reversed(own), None)
    return next(reversed(own or frames), None)
