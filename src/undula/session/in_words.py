"""How results are shown at a prompt, where their own text is for programs.

In: an IPython. Out: the queue, an accepted plan in words after `Out[5]:`. Called by: the shells.
"""

from __future__ import annotations

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
