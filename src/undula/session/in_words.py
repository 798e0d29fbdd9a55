"""How results are shown at a prompt, where their own text is for programs.

In: an IPython. Out: the queue, an accepted plan, a word that was not called, in words after
`Out[5]:`. Called by: the shells.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from undula.client import Accepted
from undula.client.queue import LONGEST
from undula.client.queue_text import queue_text
from undula.core.shown import counted
from undula.messages import QueueStatus


def accepted_text(accepted: Accepted) -> str:
    """A plan that the engine would run, in one line."""
    number = accepted.num_points
    points = "points unknown" if number is None else counted(number, "point")
    return f"<{accepted.command}: {points}, accepted>"


def show_in_words(shell: Any) -> None:
    """Have an IPython show these in words."""
    text = shell.display_formatter.formatters["text/plain"]
    text.for_type(QueueStatus, lambda status, out, _: out.text(queue_text(status, LONGEST)))
    text.for_type(Accepted, lambda found, out, _: out.text(accepted_text(found)))
    for kind in (FunctionType, MethodType):
        text.for_type(kind, _words_or(text.for_type(kind)))


def word_text(function: Callable[..., Any]) -> str:
    """How a word of the beamline is called, for who has only named it; "" for other functions."""
    if not str(function.__module__).startswith("undula."):
        return ""
    first = (function.__doc__ or "").strip().partition("\n")[0]
    return f"{first}  ({function.__name__}? tells more)" if first else ""


def _words_or(usual: Any) -> Callable[[Any, Any, Any], None]:
    def show(function: Any, out: Any, cycle: Any) -> None:
        text = word_text(function)
        if text or usual is None:
            out.text(text or repr(function))
        else:
            usual(function, out, cycle)

    return show
