"""What makes a running scan pause, go on or end by itself: it is looked at, many times a second.

In: conditions, devices that are lost or cannot keep up, room for documents, what takes too long.
Out: the running scan is steered as a person would, and told why. Called by: the watch of
`scans.service`, on its thread; no look waits for a device. Not here: what people ask (`steering`).
"""

from __future__ import annotations

from undula.core.log import get_logger
from undula.scans.held_up import HeldUp
from undula.scans.lost import LostDevices
from undula.scans.steering import Steering
from undula.scans.watchdog import Late

RESUME_BELOW = 0.2
"""Filling of the outbox below which a scan that waited for room goes on."""
PAUSE_ABOVE, URGENT_ABOVE = 0.5, 0.8
"""Filling above which it pauses at its next point, and at once."""


class Watching:
    """Looks at the running scan. One thread calls it."""

    def __init__(self, steering: Steering, lost: LostDevices, held_up: HeldUp) -> None:
        self._steering, self._lost, self._held_up = steering, lost, held_up

    def conditions(self) -> None:
        """Pause or abort when a condition does not hold; go on when it has held for a while."""
        steering = self._steering
        trips = steering.trips()
        with steering.lock:
            running = steering.state == "running" and steering.on_its_way
            go_on = steering.hold_is_over(trips)
        if running and trips:
            steering.hold_for(trips)
            steering.nudge_if_possible()
        elif go_on:
            steering.go_on_by_itself()

    def room(self, fill: float, broker_full: bool) -> None:
        """Pause while documents cannot leave; go on by itself when there is room again.

        Args:
            fill: of the outbox, 0..1.
        """
        steering = self._steering
        with steering.lock:
            state, room = steering.state, steering.wanted.room
        urgent = fill >= URGENT_ABOVE
        again = state == "pausing" and room and urgent
        if (state == "running" and (fill >= PAUSE_ABOVE or broker_full)) or again:
            why = "the broker is nearly full" if broker_full else "documents wait for the broker"
            steering.pause_by_itself(f"paused by itself: {why}", at_point=not urgent, room=True)
        elif state != "paused" or not room or fill >= RESUME_BELOW or broker_full:
            return
        elif not (steering.trips() or self._lost.look()):
            steering.go_on_by_itself()

    def lost(self) -> None:
        """Pause while a device of the scan is out of reach; go on when it is back, or end."""
        steering = self._steering
        state = steering.state
        if state not in ("running", "pausing", "paused"):
            return
        if self._lost.look():
            if late := self._lost.overdue:
                steering.fail(late)
            elif state == "running":
                self._lost.paused = True
                steering.pause_by_itself(f"paused by itself: {self._lost.text}")
        elif state == "paused" and self._lost.paused and not steering.trips():
            steering.go_on_by_itself()

    def held_up(self) -> None:
        """Pause while a device cannot keep up, and go on by itself when it has caught up."""
        steering, why = self._steering, self._held_up.look()
        with steering.lock:
            running = steering.state == "running" and steering.in_plan
            waits = steering.state == "paused" and self._held_up.paused
        if (running or waits) and (late := self._held_up.overdue):
            steering.fail(late)
        elif running and why:
            self._held_up.paused = True
            steering.pause_by_itself(f"paused by itself: {why}")
        elif waits and not why and not (steering.trips() or self._lost.look()):
            self._held_up.paused = False
            steering.go_on_by_itself()

    def overdue(self) -> list[Late]:
        """What takes longer than it should: it is told, and what the beamline chose is done."""
        steering = self._steering
        with steering.lock:
            running = steering.state == "running" and steering.begun
        late = steering.watchdog.look(running)
        known = {one.source for one in steering.overdue}
        steering.overdue = late
        for one in late:
            if one.source not in known:
                get_logger().warning("overdue", what=one.text, action=steering.watchdog.action)
                self._act_on(one)
        return late

    def _act_on(self, late: Late) -> None:
        steering = self._steering
        if steering.watchdog.action == "stop":
            steering.pause(at_point=False, message=f"paused by the watchdog: {late.text}")
        elif steering.watchdog.action == "abort":
            steering.fail(f"ended by the watchdog: {late.text}")
        steering.changed()
