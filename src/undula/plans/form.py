"""What a declared plan is once its arguments are known: `StepForm`. Values only; no numpy here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undula.plans.adaptive import Adaptive
    from undula.plans.sweep import Sweep
    from undula.plans.trajectory import FloatArray, Trajectory
    from undula.plans.watch import Watch


@dataclass(frozen=True, slots=True)
class StepForm:
    """A declared plan: everything known of it before it starts.

    `trajectory` is None for plans that only count; `num` is None for those that go on until they
    are stopped. `count_times_s` has shape (points,), seconds at each point, when they differ.
    `settle_s` is waited before each trigger, `settle_after_s` behind it, `delay_s` after each
    point. `returns`: the axes go back to where they were. `bounds` stands for the points of a plan
    that finds them on its way (`adaptive`, `sweep`): nothing moves beyond them. `parts` are the
    runs of a plan that makes several, one after the other; before each the axes in `before` go to
    their targets and `rest_s` is waited; `conditions` are those it is taken at, `also_read` names
    devices read beside the detectors, as `also_monitored` beside the
    usual ones; `not_read` are read neither at a point nor before and after. `units` are those
    that its axes must have. `arguments` are those of the call.
    """

    plan: str
    trajectory: Trajectory | None = None
    num: int | None = None
    detectors: tuple[str, ...] | None = None
    count_time_s: float | None = None
    count_times_s: FloatArray | None = None
    delay_s: float = 0.0
    settle_s: float = 0.0
    settle_after_s: float = 0.0
    returns: bool = False
    bounds: Trajectory | None = None
    adaptive: Adaptive | None = None
    sweep: Sweep | None = None
    watch: Watch | None = None
    parts: tuple[StepForm, ...] = ()
    before: tuple[tuple[str, float], ...] = ()
    rest_s: float = 0.0
    conditions: dict[str, float] = field(default_factory=dict)
    also_read: tuple[str, ...] = ()
    also_monitored: tuple[str, ...] = ()
    not_read: tuple[str, ...] = ()
    units: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Trajectory | None:
        """What is checked against the limits: its points, or its bounds."""
        return self.trajectory if self.trajectory is not None else self.bounds

    @property
    def known(self) -> bool:
        """Its points are known before it starts, each a row of one run."""
        return self.bounds is None and self.watch is None and not self.parts

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes that move, those of its parts included."""
        own = self.path.axes if self.path is not None else ()
        named = [axis for axis, _ in self.before]
        return tuple(dict.fromkeys([*own, *named, *(a for p in self.parts for a in p.axes)]))
