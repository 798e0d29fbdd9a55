"""Lists that the scan queue gives, readable at a prompt: what was checked, what has ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from undula.client.shown import cut, html_table
from undula.core.shown import counted, duration_text
from undula.messages import CheckedItem, EndedItem, QueueStatus
from undula.messages.queue import UNTIL_STOPPED

WIDTH = 40


class CheckedScans(tuple[CheckedItem, ...]):
    """What the check says of scans, in the order in which they would run."""

    __slots__ = ()

    @property
    def faulty(self) -> list[CheckedItem]:
        """Those that would not run."""
        return [item for item in self if item.error is not None]

    def __repr__(self) -> str:
        return self.text(WIDTH)

    def text(self, longest: int = 10_000) -> str:
        """A line for each scan, its warnings and its fault below it, and the sum."""
        lines = []
        for number, item in enumerate(self, 1):
            lines.append(f"  {number}. {cut(item.command, longest)}  ({', '.join(_facts(item))})")
            lines += [f"     warning: {warning}" for warning in item.warnings]
            if item.error is not None:
                lines.append(f"     error: {item.error.to_exception()}")
        return "\n".join([*lines, self.total])

    @property
    def total(self) -> str:
        """How long they take together, as far as it is known."""
        known = [i for i in self if i.estimate_s is not None and i.repeats != UNTIL_STOPPED]
        seconds = sum((i.estimate_s or 0.0) * i.repeats for i in known)
        unknown = len(self) - len(known)
        scans = counted(len(self), "scan")
        if not known:
            return f"{scans} of unknown duration" if self else "no scan waits"
        more = f", and {unknown} of unknown duration" if unknown else ""
        return f"{scans}, {duration_text(seconds)}{more}"


def _facts(item: CheckedItem) -> Iterator[str]:
    yield "points unknown" if item.num_points is None else counted(item.num_points, "point")
    yield "time unknown" if item.estimate_s is None else duration_text(item.estimate_s)
    if item.repeats != 1:
        yield "until stopped" if item.repeats == UNTIL_STOPPED else counted(item.repeats, "time")
    if item.sample:
        yield f"sample {item.sample}"
    if item.starts_at:
        yield "from " + ", ".join(f"{name} {place:g}" for name, place in item.starts_at.items())


class EndedItems(tuple[EndedItem, ...]):
    """Items that have ended, the last one first."""

    __slots__ = ()

    def rows(self) -> list[Sequence[str]]:
        """When, how, which runs, whose, what, why, and the beginning of the id."""
        return [
            [
                f"{datetime.fromtimestamp(found.ended.time, UTC).astimezone():%Y-%m-%d %H:%M:%S}",
                found.ended.exit_status,
                ", ".join(map(str, found.ended.run_numbers)),
                found.item.user,
                found.item.command or found.item.plan,
                found.ended.reason,
                found.item.item_id[:8],
            ]
            for found in self
        ]

    def __repr__(self) -> str:
        lines = []
        for when, how, runs, user, command, reason, one in self.rows():
            run = f", run {runs}" if runs else ""
            why = f": {reason}" if reason else ""
            lines.append(f"{when}  {how}{run}  {cut(command, WIDTH)}  ({user}, {one}){why}")
        return "\n".join(lines) or "nothing has ended"


def id_of(one: Any) -> str:
    """The id, or its beginning, of an item that waits or has ended."""
    return one if isinstance(one, str) else str(getattr(one, "item", one).item_id)


def readable(ended: Iterable[Any]) -> Iterator[EndedItem]:
    """Those that this program can read, of items that older ones may have kept."""
    for found in ended:
        with contextlib.suppress(ValidationError):
            yield EndedItem.model_validate(found)


def queue_html(status: QueueStatus) -> str:
    """What runs and what waits, as a table for notebooks."""
    running = status.running
    rows: list[list[object]] = []
    if running is not None:
        rows.append([status.state, running.command, running.user, running.sample])
    rows += [[n, item.command, item.user, item.sample] for n, item in enumerate(status.waiting, 1)]
    return html_table(["place", "scan", "user", "sample"], rows)
