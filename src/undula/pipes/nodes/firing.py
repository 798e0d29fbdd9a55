"""Room: pipes. When a camera is told to take a frame, and whose frame it is that comes. Pure.

In: triggers by number, what is heard of the camera's image, answers to puts. Out: the next put, and
the number of each frame. One put at a time: the next one when the camera answered the last one,
which it does when it is done; its frame may come before the answer or a little after it, on another
way. Pure but for the clock that is handed in. Called by: `pva_images`, which does the puts.
"""

from __future__ import annotations

from collections.abc import Mapping

Value = int | float | str

LATE_S = 2.0
"""A frame may come so long after the camera's answer; then it is lost."""


class Firing:
    """A camera that takes one frame for each trigger.

    Args:
        pv: that makes it take one.
        value: that is written there.
        settings: values by PV, written before the first trigger and when the camera came back.

    >>> firing = Firing("CAM:Acquire", 1, {"CAM:NumImages": 1})
    >>> firing.ask(1)
    >>> firing.put(0.0) is None  # nobody has heard of it yet
    True
    >>> firing.heard("old image"), firing.put(0.1)
    (0, ('CAM:NumImages', 1))
    >>> firing.answered("CAM:NumImages", 0.2)
    >>> firing.put(0.2), firing.heard("new image"), firing.heard("nobody asked")
    (('CAM:Acquire', 1), 1, 0)
    """

    def __init__(self, pv: str, value: Value, settings: Mapping[str, Value]) -> None:
        self._pv, self._value = pv, value
        self._settings = dict(settings)
        self._to_set: list[str] = []
        self.up = False
        """The image is served."""
        self.busy = ""
        """The PV whose put is not answered yet."""
        self._stamp: object = None
        self.asked = self.fired = self.made = 0
        """The last trigger that was given, that was put, and whose frame came."""
        self._due = 0
        """The trigger whose frame the camera owes, 0 for none; -1: of one that nobody waits for."""
        self._done_at = 0.0
        """When the camera answered that it was taken; monotonic, s."""

    def ask(self, number: int) -> None:
        """Trigger `number` is given; who gives it waits for no frame before it any more.

        Triggers that were not put yet are put all the same, in order: each has its frame.
        """
        self.asked = max(self.asked, number)

    def resume(self, made: int) -> None:
        """The frames up to `made` came, or nobody waits for them any more.

        One that the camera still owes is none, when it comes.
        """
        self.asked = self.fired = self.made = max(made, self.made)
        self._due = -1 if self._due else 0

    def change(self, pv: str, value: Value) -> None:
        """Write another setting before the next trigger."""
        self._settings[pv] = value
        if pv not in self._to_set:
            self._to_set.append(pv)

    def heard(self, stamp: object) -> int:
        """An image is served; the number of the trigger that it was taken for, 0 for none.

        The first word after a connection is what was there before, unless a frame is waited for
        and it is another image than the last one: then only the word of it was late. What was put
        and did not come is put again.

        Args:
            stamp: by which an image is known; None: there is no image yet.
        """
        back, self.up = not self.up, True
        new = stamp is not None and stamp != self._stamp and (self._stamp is not None or not back)
        self._stamp = self._stamp if stamp is None else stamp
        number = max(0, self._due) if new else 0
        self.made = max(self.made, number)
        if new:
            self._due = 0
        if back:
            self._to_set = list(self._settings)
            self.busy, self.fired, self._due = "", self.made, 0
        return number

    def lost(self) -> None:
        """The image is not served any more."""
        self.up = False

    def put(self, now: float) -> tuple[str, Value] | None:
        """What is to be written now, PV and value; None: nothing. It is busy until the answer.

        While a frame may still come that the camera owes, no other is asked for: the one would be
        taken for the other.
        """
        if not self.up or self.busy:
            return None
        if self._to_set:
            self.busy = self._to_set.pop(0)
            return self.busy, self._settings[self.busy]
        if self.asked > self.fired and (not self._due or now >= self._done_at + LATE_S):
            self.fired, self.busy = self.fired + 1, self._pv
            self._due = self.fired
            return self._pv, self._value
        return None

    def answered(self, pv: str, now: float) -> None:
        """The camera did what was written."""
        if self.busy == pv:
            self.busy = ""
            if pv == self._pv:
                self._done_at = now
