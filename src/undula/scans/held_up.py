"""Room: scans. Devices of the running scan that cannot keep up, in their own words.

In: the names of a scan's devices, how long the beamline waits for one that is away. Out: what to
say while one is held up, '' when all keep up; when nobody should wait any longer. A device says so
by an attribute `held_up`, and by `away_s` that what it hears is away (`undula.pipes.detector`).
Pausing is the steering's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from undula.devices.registry import Registry


class HeldUp:
    """Follows the devices of a scan that may be held up. `look` is called often, by one thread.

    One that cannot keep up may take as long as it likes. One whose source is away has until what
    its frame should have taken, and `deadline_s` of the beamline, are over.
    """

    def __init__(
        self, devices: Registry, deadline_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._devices, self._deadline_s, self._clock = devices, deadline_s, clock
        self._names: tuple[str, ...] = ()
        self._away: dict[str, tuple[float, float]] = {}
        self.paused = False
        """The scan pauses because of one, or is about to."""

    def begin(self, names: Iterable[str]) -> None:
        """A scan with these devices begins: what held the one before up is over."""
        self._names = tuple(
            n for n in names if n in self._devices and hasattr(self._devices[n].obj, "held_up")
        )
        self._away, self.paused = {}, False

    def look(self) -> str:
        """What holds the scan up now; '' when nothing does.

        e.g. `[cam] edge det.frames -> file.frames cannot keep up: frame 12 is on its way`
        """
        said = []
        for name in self._names:
            device = self._devices[name].obj
            why, expected_s = device.held_up, getattr(device, "away_s", None)
            if not why or expected_s is None:
                self._away.pop(name, None)
            else:
                limit_s = expected_s + self._deadline_s
                self._away.setdefault(name, (self._clock(), limit_s))
                why = f"{why}; the scan waits for {limit_s:.0f} s at most"
            if why:
                said.append(f"[{name}] {why}")
        return ", ".join(said)

    @property
    def overdue(self) -> str:
        """Why nobody should wait any longer; '' while one should."""
        now = self._clock()
        late = [n for n, (since, limit_s) in self._away.items() if now - since > limit_s]
        if not late:
            return ""
        whys = ", ".join(f"[{name}] {self._devices[name].obj.held_up}" for name in late)
        limit_s = self._away[late[0]][1]
        return (
            f"{whys}: it did not come back within {limit_s:.0f} s. Remedy: start its IOC or "
            "detector server, then go on with undula runs continue; how long a scan waits is "
            "lost_deadline_s of the beamline file."
        )
