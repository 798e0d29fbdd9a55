"""Room: scans. Devices of the running scan that cannot keep up, in their own words.

In: the names of a scan's devices. Out: what to say while one is held up; '' when all keep up. A
device says so by an attribute `held_up` (`undula.pipes.detector`). Pausing is the steering's.
"""

from __future__ import annotations

from collections.abc import Iterable

from undula.devices.registry import Registry


class HeldUp:
    """Follows the devices of a scan that may be held up. `text` is asked often, by one thread."""

    def __init__(self, devices: Registry) -> None:
        self._devices = devices
        self._names: tuple[str, ...] = ()
        self.paused = False
        """The scan pauses because of one, or is about to."""

    def begin(self, names: Iterable[str]) -> None:
        """A scan with these devices begins: what held the one before up is over."""
        self._names = tuple(
            n for n in names if n in self._devices and hasattr(self._devices[n].obj, "held_up")
        )
        self.paused = False

    @property
    def text(self) -> str:
        """e.g. `[cam] edge det.frames -> file.frames cannot keep up: frame 12 is on its way`."""
        said = ((name, self._devices[name].obj.held_up) for name in self._names)
        return ", ".join(f"[{name}] {why}" for name, why in said if why)
