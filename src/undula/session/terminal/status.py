"""The status bar: what runs, how far it is, who does it. Pure.

In: the queue, the run, the prompt. Out: one line of the terminal's width.
"""

from __future__ import annotations

from undula.analysis.view import RunView
from undula.client.queue_text import steered_text, waits_text
from undula.core.shown import counted, duration_text
from undula.messages import QueueStatus


def status_line(
    status: QueueStatus | None,
    view: RunView | None,
    *,
    now: float,
    prompt: str,
    beam: str = "",
    user: str,
    width: int = 80,
) -> str:
    """What the bar says.

    Args:
        now: UTC epoch s.
        beam: values that stand always there, e.g. `ring_current 399.2 mA`.
        prompt: what the shared prompt does, e.g. `idle` or `rpc:anna: samx 0.5 mm`.
    """
    parts = [_scan(status, view, now)]
    if status is not None and status.waiting_for:
        parts.append(waits_text(status))
    if status is not None and status.waiting:
        parts.append(f"{len(status.waiting) + status.more} queued{_left(status)}")
    if status is not None and status.blocked:
        parts.append("nothing starts")
    parts += [beam, prompt, user]
    text = " | ".join(part for part in parts if part)
    return text if len(text) <= width else text[: width - 1] + "…"


def _left(status: QueueStatus) -> str:
    """How long the whole queue takes, where that is known."""
    if not status.left_s:
        return ""
    return f", {duration_text(status.left_s)}{' and more' if status.left_unknown else ''}"


def _scan(status: QueueStatus | None, view: RunView | None, now: float) -> str:
    if status is None:
        return "engine not heard"
    if status.running is None:
        return status.state
    number = f"run {status.run_number}" if status.run_number is not None else "scan"
    state = "" if status.state == "running" else f" {status.state.upper()}"
    total = status.running.num_points
    done = f" {status.points_done}/{total}" if total else f" {counted(status.points_done, 'point')}"
    done += steered_text(status.points_retaken, 0)
    share = f" {100 * status.points_done // total} %" if total else ""
    left = None
    if view is not None and view.number == status.run_number and state == "":
        left = view.left_s(now)
    ends = f", {duration_text(left)} left" if left is not None else ""
    by = f" by {status.running.user}" if status.running.user else ""
    return f"{number}{state}{done}{share}{ends}{by}"
