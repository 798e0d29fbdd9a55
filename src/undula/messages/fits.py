"""Conversation: fits. What was fitted to a run, and how well."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from undula.messages.base import Event


class FitParameter(Event):
    """One parameter of a model after the fit."""

    name: str = Field(description="e.g. center; of a sum with two of a kind gaussian1_center")
    value: float = Field(description="best value")
    error: float | None = Field(default=None, description="one standard deviation; None: unknown")
    fixed: bool = Field(default=False, description="held at its value")
    derived: bool = Field(default=False, description="computed from the others, e.g. fwhm")


class FitResult(Event):
    """A model fitted to a signal over an axis, or to a map over two."""

    tag: ClassVar[str] = "fit_result"

    model: str = Field(description="as it was asked for, e.g. gaussian + linear")
    signal: str = Field(default="", description="data key of the values")
    axis: str = Field(
        default="", description="data key of the positions, or time; of a map that of its x"
    )
    axis_y: str = Field(default="", description="data key of the y of a map; '' of a curve")
    signal_unit: str = Field(default="", description="unit of the values")
    axis_unit: str = Field(default="", description="unit of the positions")
    axis_y_unit: str = Field(default="", description="unit of the y of a map")
    parameters: list[FitParameter] = Field(default_factory=list, description="all of them")
    curve_x: list[float] = Field(default_factory=list, description="positions, ascending")
    curve_y: list[float] = Field(default_factory=list, description="the model there")
    map_x: list[float] = Field(default_factory=list, description="x of a map, ascending")
    map_y: list[float] = Field(default_factory=list, description="y of a map, ascending")
    map_values: list[list[float]] = Field(
        default_factory=list, description="the model there, a list for each y"
    )
    points: int = Field(default=0, ge=0, description="points that were fitted")
    left_out: int = Field(default=0, ge=0, description="points without a finite value")
    last_seq_num: int = Field(default=0, ge=0, description="the last point that was there")
    r_squared: float | None = Field(default=None, description="share of the variance explained")
    reduced_chi_square: float | None = Field(
        default=None, description="sum of squares for each degree of freedom, in squared units"
    )
    problem: str = Field(default="", description="why it must not be relied on; '' when it may")
    remedy: str = Field(default="", description="what to do about the problem")

    @property
    def of_map(self) -> bool:
        """Fitted to a map."""
        return bool(self.axis_y or self.map_values)

    def parameter(self, name: str) -> FitParameter | None:
        """A parameter by its name, or by the end of it where that is unique (`center`)."""
        exact = [p for p in self.parameters if p.name == name]
        found = exact or [p for p in self.parameters if p.name.endswith(f"_{name}")]
        return found[0] if len(found) == 1 else None


class RunFits(Event):
    """All fits of one run as they stand."""

    tag: ClassVar[str] = "run_fits"

    uid: str = Field(description="uid of the run's start document")
    number: int = Field(ge=1, description="run number")
    fits: list[FitResult] = Field(default_factory=list, description="one for each that was wanted")
    final: bool = Field(default=False, description="the run has ended: all its points are in")
