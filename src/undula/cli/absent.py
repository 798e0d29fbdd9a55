"""What `undula up` says beside: which devices do not answer, and why; what waits in the queue.

In: the beamline's name. Out: lines. The engine is asked: what it had published may be older.
"""

from __future__ import annotations

from undula.cli.output import connected
from undula.core.errors import UndulaError


def absent_devices(beamline: str) -> dict[str, str]:
    """Device to why it does not answer; empty as well when the engine cannot be asked."""
    try:
        with connected(beamline) as client:
            return client.config.status().absent
    except UndulaError:
        return {}  # what is wrong with the engine itself is told by `undula status`


def waiting_lines(beamline: str) -> list[str]:
    """What waits in the queue, and why nothing of it starts; for people, none when nothing does."""
    from undula.client.queue_text import held_up

    try:
        with connected(beamline) as client:
            return held_up(client.queue.last)
    except UndulaError:
        return []


def absent_lines(absent: dict[str, str]) -> list[str]:
    """Lines for people; none when all answer.

    >>> print("\\n".join(absent_lines({"samx": "no answer from X:M.RBV"})))
    1 device does not answer, the others work:
      samx  no answer from X:M.RBV
    What is switched on is taken in by itself (at once: undula devices enable samx)
    """
    if not absent:
        return []
    head = "1 device does" if len(absent) == 1 else f"{len(absent)} devices do"
    wide = max(map(len, absent))
    name = next(iter(absent)) if len(absent) == 1 else "NAME"
    return [
        f"{head} not answer, the others work:",
        *(f"  {device.ljust(wide)}  {why}" for device, why in absent.items()),
        f"What is switched on is taken in by itself (at once: undula devices enable {name})",
    ]
