"""What is wanted of the scan that runs, as a value: pause, go on, skip, end early, abort. Pure.

In: what people and watchers ask, and what the RunEngine does. Out: the next value, from which
`scans.steering` reads what to do. A pause that is asked for is taken, whenever it comes: only who
asks for something else later takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from undula.messages.queue import QueueState

Phase = Literal["running", "pausing", "paused", "resuming", "aborting"]
"""`resuming`: it is to go on; devices, shutters and hooks are seen to, the plan stands still."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the scan is, and what was asked and is not done yet."""

    phase: Phase = "running"
    pause: bool = False
    """A pause that was not taken yet."""
    steered: bool = False
    """The plan is interrupted to give up its point."""
    go_on: bool = False
    """It is paused and is to go on."""
    stays: bool = False
    """Somebody has to say that it goes on: it does not by itself."""
    room: bool = False
    """It pauses until documents have room."""
    ends: bool = False
    """It is to end early, as good: nothing but a person's later pause holds it."""

    @property
    def state(self) -> QueueState:
        """What people are told."""
        if self.phase == "resuming":
            return "pausing" if self.pause else "paused"
        return self.phase

    @property
    def stands(self) -> bool:
        """The plan stands still."""
        return self.phase in ("paused", "resuming")

    @property
    def aborting(self) -> bool:
        """It is to end, with its clean-up."""
        return self.phase == "aborting"

    @property
    def interrupts(self) -> bool:
        """The plan has to be interrupted for it."""
        return self.pause or self.steered or self.aborting

    @property
    def moves_on(self) -> bool:
        """A paused scan has nothing to wait for."""
        return self.aborting or self.go_on or (self.ends and not self.stays)

    # ---- asked ----------------------------------------------------------------------------

    def paused_by(self, *, person: bool, room: bool = False) -> Wanted:
        """A person, or whoever looks only once, wants a pause; else it ends by itself."""
        if self.aborting:
            return self
        new = replace(self, stays=self.stays or person, room=self.room or room)
        if self.phase == "paused":
            return replace(new, go_on=self.go_on and not person)
        return replace(new, pause=True, phase="resuming" if self.phase == "resuming" else "pausing")

    def resumed(self) -> Wanted:
        """It is to go on."""
        new = replace(self, stays=False, room=False)
        if self.phase == "paused":
            return replace(new, go_on=True)
        return replace(new, pause=False) if self.phase == "resuming" else self

    def steered_by(self, *, now: bool) -> Wanted:
        """A point is skipped or taken again, `now`: the one under way is given up for it."""
        if self.phase == "paused":
            return self.resumed()
        return replace(self, steered=True) if now and not self.stands else self

    def completed(self, *, interrupt: bool = False) -> Wanted:
        """It ends early; `interrupt` a plan that does not see to that itself."""
        if self.aborting:
            return self
        phase: Phase = "running" if self.phase == "pausing" else self.phase
        return replace(self, phase=phase, ends=True, stays=False, room=False, pause=interrupt)

    def aborted(self) -> Wanted:
        """It ends now; nothing takes that back."""
        return replace(self, phase="aborting")

    # ---- done -----------------------------------------------------------------------------

    def interrupted(self, *, lost: bool = False) -> Wanted:
        """The RunEngine stands. `paused` or `aborting`, or it goes on at once.

        What was asked of its points is seen to when it goes on, so a pause comes first.

        Args:
            lost: the plan waits for a device.
        """
        if self.aborting:
            return self
        only_steered = self.steered and not (self.pause or lost)
        if only_steered or self.moves_on:
            return replace(self, phase="running", pause=False, steered=False, go_on=False)
        return replace(self, phase="paused", pause=False, steered=False)

    def resuming(self) -> Wanted:
        """What it was paused for is over."""
        if self.phase != "paused":
            return self
        return replace(self, phase="resuming", pause=False, go_on=False, stays=False, room=False)

    def off(self) -> Wanted:
        """All is ready for it to go on; `paused` again where that was wanted meanwhile."""
        if self.phase != "resuming":
            return self
        return replace(self, phase="paused" if self.pause else "running", pause=False)
