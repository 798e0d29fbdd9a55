"""One axis of a motion controller that speaks the ESP language of lines, over TCP.

Source: the command set of Newport's ESP300 and ESP301 (`PA`, `TP`, `MD?`, `ST`, `VA`, `SL`, `SR`,
`TB?`) as its user's manual describes it. It has never met its hardware.
"""

from __future__ import annotations

from typing import Any

from undula.core.errors import DeviceError
from undula.devices.driver import Axis, signal

NO_ERROR = 0


class EspAxis(Axis):
    """An axis. `deviceConfig`: `address: HOST:PORT`, `axis: 1`, and `limits`, `tolerance`.

    Args:
        axis: its number on the controller, from 1.
    """

    terminator = "\r"

    def __init__(self, name: str, *, axis: int = 1, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._axis = int(axis)

    @signal(unit="mm", kind="hinted", precision=4)
    def readback(self) -> float:
        """Where it is."""
        return float(self.link.ask(f"{self._axis}TP"))

    @signal(unit="mm/s", kind="config", limits=(0.001, 100.0))
    def velocity(self) -> float:
        """How fast it moves."""
        return float(self.link.ask(f"{self._axis}VA?"))

    @velocity.setter
    def set_velocity(self, velocity: float) -> None:
        """From the next move on."""
        self.link.tell(f"{self._axis}VA{velocity:g}")
        self._complain()

    def open(self) -> None:
        """Connect; without limits in the device file, the controller's own travel limits hold."""
        super().open()
        while not self.link.ask("TB?").startswith(f"{NO_ERROR},"):
            pass  # errors of the past
        if self.limits is None:
            low, high = (float(self.link.ask(f"{self._axis}{end}?")) for end in ("SL", "SR"))
            self.limits = (low, high) if low < high else None

    def begin(self, target: float) -> None:
        """Move there."""
        self.link.tell(f"{self._axis}PA{target:.6f}")
        self._complain()

    def arrived(self) -> bool:
        """The motion is done. Raises: DeviceError with the controller's words."""
        done = self.link.ask(f"{self._axis}MD?") == "1"
        if done:
            self._complain()
        return done

    def halt(self) -> None:
        """Stop with its deceleration."""
        self.link.tell(f"{self._axis}ST")

    def _complain(self) -> None:
        said = self.link.ask("TB?")  # e.g. "108, 451322, MOTOR NOT ENABLED"
        code, _, words = said.partition(",")
        if int(code) != NO_ERROR:
            text = words.rpartition(",")[2].strip()
            raise DeviceError(
                f"its controller says {text} ({code})", remedy="see to the axis, then move it again"
            )
