"""The scan queue in words, for terminals and prompts. Pure."""

from __future__ import annotations

from undula.client.shown import cut
from undula.core.shown import counted, duration_text
from undula.messages import QueueItem, QueueStatus
from undula.messages.queue import UNTIL_STOPPED


def queue_text(status: QueueStatus, longest: int = 10_000) -> str:
    """The queue in a few lines; commands cut to `longest` characters."""
    lines = [status.did, _head(status, longest)] if status.did else [_head(status, longest)]
    if status.waiting_for:
        lines.append(waits_text(status))
    lines += [f"overdue: {text}" for text in status.overdue]
    if status.message:
        ended = status.state == "idle" and "new scans are accepted" not in status.message
        lines.append(f"the last scan ended: {status.message}" if ended else status.message)
    if status.stop_after:
        lines.append(f"stops after this scan, for {status.stop_after}")
    if status.blocked:
        lines.append(f"nothing starts: {status.blocked}")
    elif status.locks:
        lines += [f"locked by {k.owner}: {k.reason or 'no reason'}" for k in status.locks]
    lines += [
        f"  {n}. {cut(item.command or item.plan, longest)}  ({_about(item)})"
        for n, item in enumerate(status.waiting, 1)
    ]
    if left := left_text(status):
        lines.append(left)
    return "\n".join(lines)


def held_up(status: QueueStatus | None) -> list[str]:
    """A line for whoever comes along: scans wait, and why none starts; none when there is nothing.

    >>> held_up(QueueStatus(state="idle", blocked="locked by anna"))
    ['Scans wait in the queue, and nothing starts: locked by anna']
    """
    if status is None or not status.blocked:
        return []
    return [f"Scans wait in the queue, and nothing starts: {status.blocked}"]


def waits_text(status: QueueStatus) -> str:
    """What the running scan waits for; '' when it does not.

    >>> waits_text(QueueStatus(state="running", waiting_for="mounting S3, since 12 s"))
    'mounting S3, since 12 s'
    """
    text = status.waiting_for
    return text if not text or text.startswith("mounting ") else f"waiting for {text}"


def left_text(status: QueueStatus) -> str:
    """How long it all takes, and what of it nobody knows; '' for an empty queue.

    >>> left_text(QueueStatus(state="idle", left_s=75.0, left_unknown=2))
    'left: 1 min 15 s, and 2 scans of unknown duration'
    """
    if not status.left_s and not status.left_unknown:
        return ""
    parts = [duration_text(status.left_s)] if status.left_s else []
    if status.left_unknown:
        scans = counted(status.left_unknown, "scan")
        parts.append(f"{scans} of unknown duration")
    return "left: " + ", and ".join(parts)


def _head(status: QueueStatus, longest: int) -> str:
    head: str = status.state
    running = status.running
    if running is None:
        return head
    head += f": {cut(running.command or running.plan, longest)}"
    if running.sample:
        head += f" on {running.sample}"
    if running.turn > 1:
        head += f", time {running.turn}"
    if status.run_number is not None:
        head += f", run {status.run_number}"
    total = running.num_points
    points = counted(total or status.points_done, "point")
    done = f", {status.points_done} of {points}" if total else f", {points}"
    return head + done + steered_text(status.points_retaken, status.points_skipped)


def steered_text(retaken: int, skipped: int) -> str:
    """What was taken again or left out; '' for nothing.

    >>> steered_text(1, 0), steered_text(2, 1)
    (', 1 retaken', ', 2 retaken, 1 skipped')
    """
    return f", {retaken} retaken" * bool(retaken) + f", {skipped} skipped" * bool(skipped)


def _about(item: QueueItem) -> str:
    """Who asked, its id, and all that is out of the ordinary."""
    parts = [item.user, item.item_id[:8] if not item.origin else item.item_id[:8] + f".{item.turn}"]
    if item.sample:
        parts.append(f"sample {item.sample}")
    if item.repeats == UNTIL_STOPPED:
        parts.append("until stopped")
    elif item.repeats > 1:
        parts.append(f"{item.repeats} times")
    if item.held_by:
        parts.append(f"held by {item.held_by}" + (f": {item.hold_reason}" * bool(item.hold_reason)))
    if item.needs_approval:
        parts.append(f"approved by {item.approved_by}" if item.approved_by else "not approved")
    if item.edited_by:
        parts.append(f"changed by {item.edited_by}")
    if item.notice:
        parts.append(item.notice)
    return ", ".join(parts)
