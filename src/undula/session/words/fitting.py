"""Fits and edges at the prompt: `fit`, `goto_fit`, `edge`, `goto_edge`.

In: the view of the last scan. Out: places and widths in the axis's unit, and moves to them, which
are checked as any other. A fit that must not be relied on moves nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undula.analysis.edges import Edge
from undula.analysis.edges import edge as edge_of
from undula.analysis.measured import measured_of
from undula.analysis.view import RunView
from undula.client.fits import USUAL_MODEL, Fit, fit_of, fitter_of
from undula.core.errors import InputError

NO_PLACES = frozenset(
    {"fwhm", "sigma", "sigma1", "sigma2", "r", "height", "amplitude", "slope", "intercept", "c"}
)
"""Ends of the names of parameters that nobody can mean to move to."""

View = Callable[[], RunView | None]
SignalOf = Callable[[RunView, Any], str | None]


class Fitting:
    """The words of one prompt.

    Args:
        view: gives the view of the last scan.
        signal_of: gives the data key that a person means.
        goto: moves the axis of the last scan, or the axes of a map.
        models: the folder of the beamline's own models.
    """

    def __init__(
        self,
        view: View,
        signal_of: SignalOf,
        goto: Callable[[float | tuple[float, ...]], None],
        models: Path | None,
    ) -> None:
        self._view, self._signal_of, self._goto, self._models = view, signal_of, goto, models
        self._last: tuple[RunView, Fit] | None = None

    def _measured(self, signal: Any) -> tuple[RunView, str]:
        view = self._view()
        if view is None or not view.rows:
            raise InputError("there is nothing to fit", remedy="scan an axis against a detector")
        key = self._signal_of(view, signal) or next(iter(view.signals), None)
        if key is None:
            raise InputError("nothing was measured", remedy="scan against a detector")
        return view, key

    def _curve(self, signal: Any) -> tuple[RunView, str]:
        view, key = self._measured(signal)
        if view.map_keys is not None:
            raise InputError("a map has no edge", remedy="scan one axis over it")
        return view, key

    def fit(self, model: str = USUAL_MODEL, signal: Any = None) -> Fit:
        """fit(), fit("gaussian + linear"), fit("step + constant", i0): fit the last scan.

        The line may fix or bound parameters: "gaussian(center=(0, 1), sigma=0.1) + linear".
        Gives back the fit: fit()["center"], fit().error("center"); of a map fit()["center_x"],
        fit()["fwhm_major"], fit()["angle"].
        """
        view, key = self._measured(signal)
        measured, last = measured_of(view, key), max(view.seq_nums, default=0)
        fit = fit_of(measured.fitted(fitter_of(self._models), model, last))
        self._last = view, fit
        view.fits = [fit.result]
        return fit

    def _known(self) -> Fit:
        """The last fit of the last scan, made at the prompt or while it ran."""
        view = self._view()
        if self._last is not None and self._last[0] is view:
            return self._last[1]
        if view is not None and view.fits:
            return Fit(view.fits[0])
        fit = self.fit()
        sys.stdout.write(f"{fit!r}\n")  # it is moved by what nobody has seen yet
        return fit

    def goto_fit(self, parameter: str = "center") -> None:
        """goto_fit(), goto_fit("center"): move to where the last fit says; on a map both axes.

        Without a fit of the last scan one is made and shown; one that is not to be relied on is
        refused.
        """
        fit = self._known()
        view = self._view()
        if view is not None and fit.result.of_map:
            self._goto(self._place_on_map(view, fit, parameter))
            return
        place = fit.trusted(parameter)
        named = fit.parameter(parameter).name
        if named.rpartition("_")[2] in NO_PLACES:
            raise InputError(f"{named} is no place", remedy='goto_fit("center")')
        _must_be_inside(named, place, view.x[2] if view is not None else [])
        self._goto(place)

    def _place_on_map(self, view: RunView, fit: Fit, parameter: str) -> tuple[float, ...]:
        """Where both axes are to go, in the order of the scan's."""
        if parameter.rpartition("_")[2] in ("x", "y"):
            raise InputError(
                f"{parameter} is the place of one axis of two",
                remedy=f'goto_fit("{parameter[:-2]}") moves both',
            )
        places = {}
        for axis, key in (("x", fit.result.axis), ("y", fit.result.axis_y)):
            place = fit.trusted(f"{parameter}_{axis}")
            named = fit.parameter(f"{parameter}_{axis}").name
            if named.removesuffix(f"_{axis}").rpartition("_")[2] in NO_PLACES:
                raise InputError(f"{named} is no place", remedy='goto_fit("center")')
            _must_be_inside(named, place, view.values(key))
            places[key] = place
        return tuple(places[column.key] for column in view.columns if column.axis)

    def edge(self, signal: Any = None) -> Edge:
        """edge(), edge(i0): the edge of the last scan, where it rises or falls most, and its width.

        Gives back .position and .width in the axis's unit, and .rising.
        """
        view, key = self._curve(signal)
        return edge_of(view.x[2], view.values(key))

    def goto_edge(self, signal: Any = None) -> None:
        """goto_edge(), goto_edge(i0): move to the edge of the last scan."""
        self._goto(self.edge(signal).position)


def _must_be_inside(named: str, place: float, scanned: list[float]) -> None:
    measured = [x for x in scanned if math.isfinite(x)]
    if not measured or not min(measured) <= place <= max(measured):
        raise InputError(
            f"{named} = {place:.5g} lies outside of what was scanned",
            remedy="scan where it is, or move there with mv",
        )
