"""Which point of a scan comes next, and which row it makes: skipped, retaken, ended early. Pure.

In: what people ask while a scan runs. Out: the next point, and a `Turn` for each time that rows do
not simply go on with the next point. A row is an event of the stream `primary`, its number is its
`seq_num`; the point of a row is its `seq_num` plus a constant from one turn to the next, so that
nothing has to be said at each point. Asked on any thread, read by the plan.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal, NamedTuple

from undula.core.errors import BusyError, InputError

Action = Literal["skipped", "retaken", "resumed", "completed"]


class SteeredError(Exception):
    """The point under way is given up, because something else was asked; a way out of it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """From row `row` on, rows are of point `next` and those after it; all counted from 1.

    `point` is the one that was skipped, is taken again, was taken again before the scan went on
    (`resumed`), or before which the scan was ended (`completed`).
    """

    action: Action
    point: int
    row: int
    next: int


@dataclass(frozen=True, slots=True)
class _Ask:
    action: Literal["skip", "retake", "complete"]
    point: int = 0


class Done(NamedTuple):
    """Points of a scan so far, those of all its runs."""

    points: int = 0
    """Distinct points that were taken: at most as many as there are."""
    retaken: int = 0
    """Rows beside those, of points that were taken again."""
    skipped: int = 0
    """Points that were left out and not taken later."""

    def plus(self, other: Done) -> Done:
        """Both together."""
        return Done(*(a + b for a, b in zip(self, other, strict=True)))


class Steps:
    """The place of a scan in its trajectory.

    Args:
        total: number of points of the trajectory; None when it goes on until it is ended.
        first: index of the first point to take, from 0; more than 0 when a run is continued.
    """

    def __init__(self, total: int | None = None, first: int = 0) -> None:
        self.total = total
        self.first = first
        self.point = first
        """Index, from 0, of the point that is under way or comes next."""
        self.rows = 0
        """Rows that the points have made so far."""
        self.open = False
        """Points are being taken."""
        self.asked = False
        """Something was asked that the plan has to see to before the next point."""
        self.now = False
        """The point under way is to be given up for it."""
        self.between = False
        """The row of the point is made and what stands behind it is done: nothing to give up."""
        self.completed = False
        """It was ended early, as good."""
        self.turns: list[Turn] = []
        """Turns that the plan has to tell."""
        self._asks: list[_Ask] = []
        self._last: int | None = None
        self._back: int | None = None
        self._retaken = 0
        self._left_out: set[int] = set()
        self._earlier = Done()
        self._lock = threading.Lock()

    # ---- asked by people ------------------------------------------------------------------

    def skip(self) -> str:
        """Leave out the point that is under way or comes next. Returns: what will be done.

        Raises: BusyError while no points are being taken.
        """
        with self._lock:
            self._must_be_open("skipped")
            self._ask(_Ask("skip", self.point), now=True)
            return f"point {self.point + 1} is left out"

    def retake(self, number: int | None, *, now: bool) -> str:
        """Take a point again, by its number from 1; None: the last one that was taken.

        Args:
            now: give up the point under way for it, which is taken afterwards.
        Raises: BusyError while no points are being taken; InputError for a point that was not
            reached yet.
        """
        with self._lock:
            self._must_be_open("retaken")
            reached = self.point if self._back is None else self._back
            point = self._last if number is None else number - 1
            if point is None:
                raise BusyError("no point was taken yet", remedy="wait for the first point")
            if not 0 <= point < reached:
                raise InputError(
                    f"point {number} was not taken yet", remedy=f"choose one of 1..{reached}"
                )
            self._ask(_Ask("retake", point), now=now)
            return f"point {point + 1} is taken again"

    def complete(self, *, now: bool) -> str:
        """End the points early and count the scan as good: at the end of the point under way.

        Args:
            now: give up the point under way.
        """
        with self._lock:
            self._ask(_Ask("complete"), now=now and self.open)
            return "it ends" if now else "it ends after this point"

    def _must_be_open(self, what: str) -> None:
        if not self.open:
            raise BusyError(
                f"no points are being taken that could be {what}",
                remedy="wait until the scan takes its points; see undula queue list",
            )

    def _ask(self, ask: _Ask, *, now: bool) -> None:
        self._asks.append(ask)
        self.now = self.now or (now and not self.between)
        self.asked = True

    def begin(self, total: int | None) -> None:
        """Points of the next run of a scan of several: from its first one."""
        with self._lock:
            self._earlier = self._earlier.plus(self._of_run())
            self.total, self.point, self.rows = total, self.first, 0
            self._last = self._back = None
            self._retaken, self._left_out = 0, set()

    @property
    def reached(self) -> int:
        """Points up to here that were taken, in this run and those that it continues."""
        return (self.point if self._back is None else self._back) - len(self._left_out)

    @property
    def emptied(self) -> int:
        """Points of this run that were left out, where none was taken; else 0."""
        return 0 if self.rows else len(self._left_out)

    @property
    def done(self) -> Done:
        """How far the scan is, all its runs together."""
        with self._lock:
            return self._earlier.plus(self._of_run())

    def _of_run(self) -> Done:
        rows = self.rows  # read before `_retaken`, which grows first
        return Done(rows - self._retaken, self._retaken, len(self._left_out))

    # ---- by the plan ----------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """No point is left."""
        return self.completed or (self.total is not None and self.point >= self.total)

    @property
    def retaking(self) -> bool:
        """The next row is of a point that is taken again."""
        return self._back is not None

    def took(self, rows: int = 1) -> None:
        """So many points made a row each; one while `retaking`."""
        if self._back is not None and self.point not in self._left_out:
            self._retaken += 1
        elif self._back is not None:
            self._left_out.discard(self.point)
        self.rows += rows
        self._last = self.point + rows - 1
        if self._back is None:
            self.point += rows
        else:
            self._go_back("resumed")

    def turn(self) -> None:
        """See to what was asked; `turns` has what is to be told of it.

        What is to be left out first: it is of the point that was under way when it was asked, from
        which a point that is taken again leads away.
        """
        with self._lock:
            asks, self._asks, self.asked, self.now = self._asks, [], False, False
        for ask in sorted(asks, key=lambda ask: ask.action != "skip"):
            if ask.action == "complete":
                self.completed = True
                self._tell("completed", self.point)
            elif ask.action == "retake":
                self._back = self.point if self._back is None else self._back
                self.point = ask.point
                self._tell("retaken", ask.point)
            elif ask.point != self.point or self.over:
                continue  # it was complete before it could be left out
            elif self._back is not None:
                self._go_back("skipped")
            else:
                self._leave_out()

    def missed(self) -> None:
        """The point made no row, although nobody asked for that: it counts as left out."""
        if self._back is not None:
            self._go_back("skipped")
        else:
            self._leave_out()

    def _leave_out(self) -> None:
        point = self.point
        self._left_out.add(point)
        self.point += 1
        self._tell("skipped", point)

    def _go_back(self, action: Action) -> None:
        point = self.point
        if self._back is not None:
            self.point, self._back = self._back, None
        self._tell(action, point)

    def _tell(self, action: Action, point: int) -> None:
        self.turns.append(Turn(action, point + 1, self.rows + 1, self.point + 1))
