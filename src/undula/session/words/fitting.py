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
        goto: moves the axis of the last scan.
        models: the folder of the beamline's own models.
    """

    def __init__(
        self,
        view: View,
        signal_of: SignalOf,
        goto: Callable[[float], None],
        models: Path | None,
    ) -> None:
        self._view, self._signal_of, self._goto, self._models = view, signal_of, goto, models
        self._last: tuple[RunView, Fit] | None = None

    def _curve(self, signal: Any) -> tuple[RunView, str]:
        view = self._view()
        if view is None or not view.rows or view.is_map:
            raise InputError("there is no curve yet", remedy="scan an axis against a detector")
        key = self._signal_of(view, signal) or next(iter(view.signals), None)
        if key is None:
            raise InputError("nothing was measured", remedy="scan against a detector")
        return view, key

    def fit(self, model: str = USUAL_MODEL, signal: Any = None) -> Fit:
        """fit(), fit("gaussian + linear"), fit("step + constant", i0): fit the last scan.

        The line may fix or bound parameters: "gaussian(center=(0, 1), sigma=0.1) + linear".
        Gives back the fit: fit()["center"], fit().error("center").
        """
        view, key = self._curve(signal)
        axis, unit, x = view.x
        found = fitter_of(self._models).fit(model, x, view.values(key))
        about = {
            "axis": axis,
            "axis_unit": unit,
            "signal": key,
            "signal_unit": view.unit(key),
            "last_seq_num": max(view.seq_nums, default=0),
        }
        fit = fit_of(found.model_copy(update=about))
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
        """goto_fit(), goto_fit("center"): move to a place that the last fit found.

        Without a fit of the last scan one is made and shown; one that is not to be relied on is
        refused.
        """
        fit = self._known()
        place = fit.trusted(parameter)
        view = self._view()
        measured = [x for x in (view.x[2] if view is not None else []) if math.isfinite(x)]
        named = fit.parameter(parameter).name
        if named.rpartition("_")[2] in NO_PLACES:
            raise InputError(f"{named} is no place", remedy='goto_fit("center")')
        if not measured or not min(measured) <= place <= max(measured):
            raise InputError(
                f"{named} = {place:.5g} lies outside of what was scanned",
                remedy="scan where it is, or move there with mv",
            )
        self._goto(place)

    def edge(self, signal: Any = None) -> Edge:
        """edge(), edge(i0): the edge of the last scan, where it rises or falls most, and its width.

        Gives back .position and .width in the axis's unit, and .rising.
        """
        view, key = self._curve(signal)
        return edge_of(view.x[2], view.values(key))

    def goto_edge(self, signal: Any = None) -> None:
        """goto_edge(), goto_edge(i0): move to the edge of the last scan."""
        self._goto(self.edge(signal).position)
