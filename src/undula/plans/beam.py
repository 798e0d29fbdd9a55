"""The beam of a scan: shutters that open and close, dark points taken while they are closed.

In: shutters with their values. Out: messages. Shutters are closed however the points end; while a
scan is paused, whoever runs it closes them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from undula.plans.verbs import MOVE, Told

Messages = Generator[Msg, Any, Any]
Opens = Literal["per_scan", "per_point", "closed"]
SHUTTER_TIMEOUT_S = 10.0
DARK = "dark"


@dataclass(frozen=True, slots=True)
class Shutter:
    """A device that lets the beam through, and what it is set to for that."""

    device: Any
    open: float | int | str
    close: float | int | str


@dataclass(frozen=True, slots=True)
class Beam:
    """How a scan has its beam.

    `opens`: once for all points, for each point, or never. `darks`: points taken before, closed.
    """

    shutters: Sequence[Shutter]
    opens: Opens = "per_scan"
    darks: int = 0

    @property
    def per_point(self) -> bool:
        """Opened and closed at each point."""
        return self.opens == "per_point"

    def opened(self, told: Told) -> Messages:
        """Open, and wait until it is open."""
        targets = [(s.device, s.open) for s in self.shutters]
        yield Msg(MOVE, None, targets, SHUTTER_TIMEOUT_S, told)

    def closed(self, told: Told) -> Messages:
        """Close, and wait until it is closed."""
        targets = [(s.device, s.close) for s in self.shutters]
        yield Msg(MOVE, None, targets, SHUTTER_TIMEOUT_S, told)

    def around(self, points: Messages, told: Told) -> Messages:
        """`points` with the beam on, as declared; closed at their end, whatever it was."""

        def inside() -> Messages:
            if self.opens == "per_scan":
                yield from self.opened(told)
            return (yield from points)

        return (yield from bpp.finalize_wrapper(inside(), self.closed(told)))
