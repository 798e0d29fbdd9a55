"""Room: pipes. When a camera is told to take a frame, and whose frame it is that comes. Pure.

In: triggers by number, what is heard of the camera's image, answers to puts. Out: the next put, and
the number of each frame. One put at a time: the next one when the camera answered the last one,
which it does when it is done. Called by: `pva_images`, which does the puts.
"""

from __future__ import annotations

from collections.abc import Mapping

Value = int | float | str


class Firing:
    """A camera that takes one frame for each trigger.

    Args:
        pv: that makes it take one.
        value: that is written there.
        settings: values by PV, written before the first trigger and when the camera came back.

    >>> firing = Firing("CAM:Acquire", 1, {"CAM:NumImages": 1})
    >>> firing.ask(1)
    >>> firing.put() is None  # nobody has heard of it yet
    True
    >>> firing.heard("old image"), firing.put()
    (0, ('CAM:NumImages', 1))
    >>> firing.answered("CAM:NumImages")
    >>> firing.put(), firing.heard("new image"), firing.heard("nobody asked")
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
        self._lost = 0
        """The last trigger whose frame will not come: the camera was done, and it was not there."""

    def ask(self, number: int) -> None:
        """Trigger `number` is given; who gives it waits for no frame before it any more.

        Triggers that were not put yet are put all the same, in order: each has its frame.
        """
        if not self.busy and self.up:
            self._lost = self.fired
        self.asked = max(self.asked, number)

    def resume(self, made: int) -> None:
        """The frames up to `made` came, to who was here before."""
        self.asked = self.fired = self.made = max(made, self.made)

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
        number = self.fired if new and self.fired > self.made else 0
        self.made = max(self.made, number)
        if back:
            self._to_set = list(self._settings)
            self.busy, self.fired = "", self.made
        return number

    def lost(self) -> None:
        """The image is not served any more."""
        self.up = False

    def put(self) -> tuple[str, Value] | None:
        """What is to be written now, PV and value; None: nothing. It is busy until the answer."""
        if not self.up or self.busy:
            return None
        if self._to_set:
            self.busy = self._to_set.pop(0)
            return self.busy, self._settings[self.busy]
        if self.asked > self.fired and self.fired <= max(self.made, self._lost):
            self.fired, self.busy = self.fired + 1, self._pv
            return self._pv, self._value
        return None

    def answered(self, pv: str) -> None:
        """The camera did what was written."""
        if self.busy == pv:
            self.busy = ""
