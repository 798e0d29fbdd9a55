"""Devices that fail or hang on request, for tests of what happens then."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

from undula.devices.sim import SimPositioner
from undula.devices.sim.status import DoneStatus, SimStatus


class Faulty:
    """A value that can be set; while it is negative, reading it raises OSError."""

    parent = None
    hints: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str) -> None:
        self.name, self._value = name, 1.0

    @property
    def position(self) -> float:
        """The value, whatever it is."""
        return self._value

    def set(self, value: float) -> DoneStatus:
        """Set it; done on return."""
        self._value = float(value)
        return DoneStatus(self)

    def read(self) -> dict[str, Any]:
        """The value and now. Raises: OSError while it is negative."""
        if self._value < 0:
            raise OSError("the line is dead")
        return {self.name: {"value": self._value, "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        """Data key of the value."""
        return {self.name: {"source": "faulty", "dtype": "number", "shape": []}}

    def read_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class Hanging(Faulty):
    """While the file `flag` exists, reading it and asking for its limits never end."""

    def __init__(self, name: str, flag: str) -> None:
        super().__init__(name)
        self._flag = Path(flag)

    def _hang(self) -> None:
        while self._flag.exists():
            time.sleep(0.01)

    @property
    def limits(self) -> tuple[float, float]:
        """-10 to 10, after some time."""
        self._hang()
        return -10.0, 10.0

    def read(self) -> dict[str, Any]:
        """The value and now, after some time."""
        self._hang()
        return super().read()


class HangingSettings(Hanging):
    """While the file `flag` exists, asking for its settings never ends."""

    def read_configuration(self) -> dict[str, Any]:
        """Nothing, after some time."""
        self._hang()
        return super().read_configuration()


class HangingGraph(Hanging):
    """A detector with a graph whose nodes never answer while the file `flag` exists."""

    @property
    def live_graph(self) -> HangingGraph:
        """Its graph."""
        return self

    def look(self) -> list[str]:
        """Nothing is wrong with it."""
        return []

    def clear(self, *_: Any) -> dict[str, Any]:
        """Nothing, after some time."""
        self._hang()
        return {}


class HangingMotor(Hanging):
    """The same, with a stop: a motor."""

    def stop(self, *, success: bool = False) -> None:
        """It stands always."""


class StuckPositioner(SimPositioner):
    """A positioner that takes its time; while the file `flag` exists, a move begins and never ends.

    Only a stop ends it.
    """

    def __init__(self, name: str, flag: str, **config: Any) -> None:
        super().__init__(name, delay=1, **config)
        self._flag = Path(flag)
        self._held: SimStatus | None = None

    def set(self, target: float) -> SimStatus:
        """Go there, or only say so."""
        if not self._flag.exists():
            return super().set(target)
        self._held = SimStatus(self)
        return self._held

    def arrive(self) -> None:
        """End the move that was stuck, after all."""
        held, self._held = self._held, None
        if held is not None:
            held.finish()

    def stop(self, *, success: bool = False) -> None:
        """Stop where it is."""
        held, self._held = self._held, None
        if held is not None:
            held.finish(None if success else RuntimeError("it was stopped on its way"))
        super().stop(success=success)
