"""What is shown while a scan runs: a table that grows, below it progress and plot.

At a terminal the part below is redrawn, at most 10 times a second; elsewhere plain lines are
written. In: steps of a `ScanHandle`. Out: text on a stream. Never slows the scan: it only reads.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from undula.analysis.text import fit_lines
from undula.analysis.view import RunView
from undula.client import ScanHandle, Step
from undula.client.queue_text import waits_text
from undula.core.clock import now
from undula.core.shown import counted
from undula.messages import QueueStatus, RunOpened
from undula.session.table import WIDTH, TableText, plot_lines, progress_text, summary_lines

REDRAW_S = 0.1
RESTS = 4
"""So many times what a redraw took passes before the next: a slow terminal holds up no table."""
MAX_ROWS_A_REDRAW = 25


class Display(Protocol):
    """Where the steps of a scan are shown."""

    views: list[RunView]

    def step(self, step: Step, status: QueueStatus | None = None) -> None:
        """Take one step of the scan."""

    def note(self, text: str) -> None:
        """Say something to the person."""

    def close(self) -> None:
        """Leave the screen in order."""


class Views:
    """Folds the steps of a scan into a `RunView` for each run."""

    def __init__(self) -> None:
        self.views: list[RunView] = []

    @property
    def view(self) -> RunView | None:
        """The run that is open, or was last."""
        return self.views[-1] if self.views else None

    def fold(self, step: Step) -> int:
        """Take a step in; returns how many points it brought."""
        if step.opened is not None:
            self.views.append(RunView(step.opened.number, step.opened.path))
        if step.document is not None and self.view is not None:
            return self.view.feed(step.document.name, step.document.doc)
        return 0


def wants_colour(stream: TextIO) -> bool:
    """A terminal, and nobody said NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class TextDisplay(Views):
    """Table, progress, plot and summary as text; the lower part redrawn at a terminal."""

    def __init__(
        self,
        stream: TextIO | None = None,
        plot: bool = True,
        listener: Callable[[str, dict[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._listener, self._clock = listener, clock
        self._out = stream or sys.stdout
        self._live = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = wants_colour(self._out)
        self._plot = plot
        self._table: TableText | None = None
        self._printed = 0
        self._footer = 0
        self._due = 0.0
        self._status: QueueStatus | None = None

    def step(self, step: Step, status: QueueStatus | None = None) -> None:
        """Take one step; redraw when it is time."""
        self._status = status or self._status
        self.fold(step)
        if self._listener is not None and step.document is not None:
            self._listener(step.document.name, step.document.doc)
        if step.opened is not None:
            self._open(step.opened)
        ended = step.document is not None and step.document.name == "stop"
        if ended:
            self._draw(final=True)
        elif self._clock() >= self._due:
            self._draw()

    def _open(self, opened: RunOpened) -> None:
        self._table, self._printed = None, 0
        self._clear()
        self._write([f"run {opened.number}: {opened.command}"])

    def _draw(self, final: bool = False) -> None:
        view = self.view
        if view is None:
            self._waiting()
            return
        began = self._clock()
        new = self._new_rows(view)
        if self._live:
            self._clear()
            self._write(new)
            if not final:
                self._foot(view)
        else:
            self._write(new)
        if final:
            self._finish(view)
        self._out.flush()
        ended = self._clock()
        self._due = max(began + REDRAW_S, ended + RESTS * (ended - began))

    def _new_rows(self, view: RunView) -> list[str]:
        if not view.columns:
            return []
        lines = []
        if self._table is None:
            self._table = TableText(view.columns, WIDTH)
            lines += self._table.head()
        fresh = len(view.rows) - self._printed
        if self._live and fresh > MAX_ROWS_A_REDRAW:
            hidden = fresh - MAX_ROWS_A_REDRAW
            lines.append(f"     ⋮ {counted(hidden, 'point')} not shown")
            self._printed += hidden
        table, printed = self._table, self._printed
        points = view.points_since(printed)
        lines += [
            table.row(point, row) for point, row in zip(points, view.rows[printed:], strict=True)
        ]
        self._printed = len(view.rows)
        return lines

    def _foot(self, view: RunView) -> None:
        lines = plot_lines(view, WIDTH, self._colour) if self._plot else []
        for fit in view.fits[:1]:
            lines += [line[:WIDTH] for line in fit_lines(fit)[:2]]
        lines.append(progress_text(view, now(), self._state_text()))
        self._write(lines)
        self._footer = len(lines)

    def _state_text(self) -> str:
        if self._status is None:
            return ""
        state = self._status.state if self._status.state not in ("running", "idle") else ""
        waiting = waits_text(self._status)
        return ", ".join(part for part in (state, waiting) if part)

    def _waiting(self) -> None:
        if not self._live or self._status is None or self._status.running is None:
            return
        self._due = self._clock() + REDRAW_S
        self._clear()
        self._write([f"waiting in the queue behind {self._status.running.command}"[:WIDTH]])
        self._footer = 1
        self._out.flush()

    def _finish(self, view: RunView) -> None:
        if self._plot:
            self._write(plot_lines(view, WIDTH, self._colour))
        self._write(summary_lines(view, now()))

    def note(self, text: str) -> None:
        """A line for the person, above the part that is redrawn."""
        self._clear()
        self._write([text])
        self._out.flush()

    def close(self) -> None:
        """Show what is not yet shown."""
        view = self.view
        if view is not None and not view.stop:
            self._clear()
            self._write(self._new_rows(view))
        self._out.flush()

    def _clear(self) -> None:
        if self._live and self._footer:
            self._out.write(f"\x1b[{self._footer}F\x1b[J")
        self._footer = 0

    def _write(self, lines: list[str]) -> None:
        self._out.write("".join(line + "\n" for line in lines))


class QuietDisplay(Views):
    """Shows nothing; keeps the views."""

    def step(self, step: Step, status: QueueStatus | None = None) -> None:  # noqa: ARG002  # protocol
        """Take one step of the scan."""
        self.fold(step)

    def note(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Nothing to do."""


def result_dict(handle: ScanHandle, views: list[RunView]) -> dict[str, Any]:
    """How a scan ended, as data: item, exit status, runs with their statistics and files."""
    finished = handle.finished
    return {
        "item_id": handle.item_id,
        "exit_status": finished.exit_status if finished else None,
        "reason": finished.reason if finished else "",
        "warnings": list(finished.warnings) if finished else [],
        "runs": [run_dict(view) for view in views],
    }


def run_dict(view: RunView) -> dict[str, Any]:
    """One run as data."""
    stats, signal = view.stats(), next(iter(view.signals), None)
    found = None
    if stats is not None:
        found = {
            "signal": signal,
            "axis": view.x[0],
            "peak": list(stats.peak),
            "com": stats.com,
            "cen": stats.cen,
            "fwhm": stats.fwhm,
        }
    return {
        "number": view.number,
        "uid": view.start.get("uid"),
        "path": view.path,
        "points": len(view.rows),
        "status": view.status,
        "stats": found,
        "fits": [fit.model_dump(mode="json") for fit in view.fits],
    }
