"""A request that was checked. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from undula.messages import ScanRequest
from undula.plans import StepForm, Trajectory
from undula.plans.beam import Opens
from undula.plans.trajectory import FloatArray


@dataclass(frozen=True, slots=True)
class Driven:
    """The real axes that a scan moves: those named, and those under pseudo axes.

    `points` has shape (points, axes), in each axis's unit.
    """

    axes: tuple[str, ...] = ()
    points: FloatArray | None = None
    origin: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedScan:
    """A request that may run: its devices and, for a declared plan, its numbers.

    `bounds` are those of a plan that finds its points on the way, absolute.
    `conditions` are the axes that move before a run, `before_timeout_s` is the deadline of that.
    `parts` are the runs of a plan that makes several, each checked. `data_bytes` is the size of
    what is read, without frames that detectors write themselves; None when it is not known.
    """

    request: ScanRequest
    axes: tuple[str, ...]
    detectors: tuple[str, ...]
    form: StepForm | None = None
    trajectory: Trajectory | None = None
    bounds: Trajectory | None = None
    origin: tuple[float, ...] = ()
    driven: Driven = field(default_factory=Driven)
    shutters: tuple[str, ...] = ()
    opens: Opens = "per_scan"
    conditions: tuple[str, ...] = ()
    parts: tuple[CheckedScan, ...] = ()
    num_points: int | None = None
    data_bytes: int | None = None
    estimate_s: float | None = None
    move_timeout_s: float | None = None
    before_timeout_s: float | None = None
    warnings: tuple[str, ...] = field(default=())
    left_out: tuple[str, ...] = ()
    """Detectors that it would read if they were enabled and answered."""

    @property
    def first(self) -> int:
        """Index, from 0, of the first point; more than 0 when it goes on with another run."""
        return self.request.continues.first_point - 1 if self.request.continues else 0

    @property
    def count_time_s(self) -> float | None:
        """Seconds per point; the plan's own argument wins over the option."""
        own = self.form.count_time_s if self.form else None
        return own if own is not None else self.request.count_time_s

    @property
    def devices(self) -> tuple[str, ...]:
        """All devices that the scan uses."""
        return tuple(
            dict.fromkeys(
                (*self.axes, *self.detectors, *self.driven.axes, *self.conditions, *self.shutters)
            )
        )
