"""Room: scans. What people ask of the points of the scan that runs, and how it ends for that. Pure.

In: its points when they are known, and what is asked: skip, retake, complete. Out: what will be
done, in words; how its runs end. Called by: `scans.steering`, which holds its lock and interrupts.
"""

from __future__ import annotations

from collections.abc import Callable

from undula.core.errors import BusyError
from undula.core.shown import counted
from undula.messages.runs import ExitStatus
from undula.plans.steps import Done, Steps


class Course:
    """The way of one scan through its points."""

    def __init__(self) -> None:
        self.steps: Steps | None = None
        """Its points; None: nobody knows them beforehand."""
        self.begun = False
        """Its plan has begun."""
        self.completed_by = ""
        """Who asked it to end early, as good; '' for nobody."""

    def follows(self, steps: Steps | None) -> bool:
        """The plan that begins has these points. Returns: it is to be interrupted to end early."""
        self.steps, self.begun = steps, True
        if not self.completed_by:
            return False
        if steps is not None:
            steps.complete(now=False)
        return steps is None

    @property
    def done(self) -> Done | None:
        """How far it is; None when its points are not known."""
        return None if self.steps is None else self.steps.done

    @property
    def stops(self) -> bool:
        """A plan whose points nobody knows is to end where it is, as good."""
        return bool(self.completed_by) and self.begun and self.steps is None

    def complete(self, user: str, *, now: bool) -> str:
        """It is to end early, `now` or at the end of its point. Returns: what will be done."""
        self.completed_by = user or "somebody"
        if self.steps is None:
            return "it ends at its next checkpoint"
        return self.steps.complete(now=now)

    def steer(self, what: str, ask: Callable[[Steps], str]) -> tuple[str, bool]:
        """Ask something of its points.

        Returns: what will be done; whether the point under way is given up for it.
        Raises: BusyError when they have not begun, or are not known; what `ask` raises.
        """
        if not self.begun:
            raise BusyError("its points have not begun", remedy="see undula queue list")
        if self.steps is None:
            raise BusyError(
                f"the points of this plan are not known, none can be {what}",
                remedy="pause it, complete it (it counts as good) or abort it",
            )
        said = ask(self.steps)
        return said, self.steps.now

    def ended_as(self, rows: int) -> tuple[ExitStatus | None, str]:
        """How a run ends that was completed early, and why; None when it was not.

        Args:
            rows: of the run, where its points are not known.
        """
        steps, early = self.steps, f"completed by {self.completed_by} after "
        if steps is None and self.completed_by:
            return "success", early + counted(rows, "point")
        if steps is not None and steps.completed:
            points = counted(steps.total or steps.reached, "point")
            done = points if steps.total is None else f"{steps.reached} of {points}"
            return "success", early + done
        return None, ""

    @property
    def emptied(self) -> str:
        """Why a run that ends has no point, where all were left out; else ''."""
        steps = self.steps
        left_out = 0 if steps is None or steps.completed else steps.emptied
        return f"no point was measured: {counted(left_out, 'point')} left out" if left_out else ""
