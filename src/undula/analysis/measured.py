"""Room: analysis. What is fitted: a curve, or a map with the places of its points.

In: a view of a run, or columns of its file. Out: `Measured`, and the fit of it by whoever makes
fits, with the names and units of its axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from undula.core.errors import InputError
from undula.messages import FitResult

if TYPE_CHECKING:
    import numpy.typing as npt

    from undula.analysis.view import RunView

MIN_LINES = 3
"""A map is fitted from so many of its lines on."""
TURNS_BACK = 0.1
"""Share of the range of an axis by which it must go back for two axes to make a map."""
WIDE = 0.1
"""A trail whose width is less than this share of its length is a curve."""
_OF_ONE_UNIT = ("fwhm_major", "fwhm_minor", "angle")


class FitMaker(Protocol):
    """Makes fits; `undula.analysis.fitter.Fitter` is one."""

    def start(self) -> None:
        """Be ready soon."""

    def fit(self, model: str, x: Any, y: Any) -> FitResult:
        """The result, with a `problem` when there is none."""

    def fit_map(self, model: str, x: Any, y: Any, values: Any) -> FitResult:
        """The same of a map."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A data key with its unit and its values, shape (points,)."""

    key: str
    unit: str
    values: Any


@dataclass(frozen=True, slots=True)
class Measured:
    """A signal over one axis, or, of a map, over `x` and `y`."""

    signal: Axis
    x: Axis
    y: Axis | None = None

    def fitted(self, maker: FitMaker, model: str, last_seq_num: int) -> FitResult:
        """A fit of it, with names and units."""
        about: dict[str, object] = {
            "signal": self.signal.key,
            "signal_unit": self.signal.unit,
            "axis": self.x.key,
            "axis_unit": self.x.unit,
            "last_seq_num": last_seq_num,
        }
        if self.y is None:
            found = maker.fit(model, self.x.values, self.signal.values)
            return found.model_copy(update=about)
        found = maker.fit_map(model, self.x.values, self.y.values, self.signal.values)
        about |= {"axis_y": self.y.key, "axis_y_unit": self.y.unit}
        if self.x.unit != self.y.unit:  # between mm and deg there are no angles
            about["parameters"] = [p for p in found.parameters if not p.name.endswith(_OF_ONE_UNIT)]
        return found.model_copy(update=about)


def fills_area(first: npt.ArrayLike, second: npt.ArrayLike) -> bool:
    """Two axes that moved together have covered an area, and did not just go along a line.

    Args:
        first, second: positions, shape (points,), in the order in which they were taken.

    >>> fills_area([0, 1, 2, 3], [0, 2, 4, 6]), fills_area([0, 1, 0, -1, 0], [0, 0, 1, 0, -1])
    (False, True)
    """
    import numpy as np

    places = np.asarray([first, second], dtype=np.float64)
    places = places[:, np.isfinite(places).all(axis=0)]
    if places.shape[1] < 4:
        return False
    spans = np.ptp(places, axis=1)
    if not np.all(spans > 0):
        return False
    scaled = (places - places.mean(axis=1, keepdims=True)) / spans[:, None]
    steps = np.diff(scaled[0])
    back = min(float(steps[steps > 0].sum()), -float(steps[steps < 0].sum()))
    length, width = np.linalg.svd(scaled, compute_uv=False)
    return back > TURNS_BACK and bool(width > WIDE * length)


def measured_of(view: RunView, signal: str = "") -> Measured:
    """What a run has measured so far: a signal (device or data key; '': the first) over its axes.

    Raises: InputError when there is nothing to fit, or not yet.
    """
    names = view.signals
    wanted = [key for key in view.keys_of(signal) if key in names] if signal else names[:1]
    if not wanted:
        raise InputError(
            f"{signal} was not measured" if signal else "there is no signal to fit",
            remedy=f"choose one of {', '.join(names)}" if names else "name a detector",
        )
    values = Axis(wanted[0], view.unit(wanted[0]), view.values(wanted[0]))
    keys = view.map_keys
    if keys is None:
        if len(view.shape) > 2:
            raise InputError(
                f"a grid of {len(view.shape)} axes is neither a curve nor a map",
                remedy="fit one line of it in a script",
            )
        return Measured(values, Axis(*view.x))
    if view.is_map and (lines := _lines(view)) < MIN_LINES:
        raise InputError(
            f"the map has {lines} of the {MIN_LINES} lines that a fit needs",
            remedy="wait for more lines, or measure them",
        )
    x, y = (Axis(key, view.unit(key), view.values(key)) for key in keys)
    return Measured(values, x, y)


def _lines(view: RunView) -> int:
    points = view.points
    return len({(points[row] - 1) // view.shape[1] for row in view.kept})


def columns_measured(signal: Axis, axes: Sequence[Axis], shape: Sequence[int]) -> Measured:
    """The same of a file's columns.

    Args:
        axes: those of the run, slow first.
        shape: of a grid; empty of anything else.
    Raises: InputError when it is neither a curve nor a map.
    """
    if len(shape) == 2:
        return Measured(signal, axes[1], axes[0])
    if len(shape) > 2:
        raise InputError(
            f"a grid of {len(shape)} axes is neither a curve nor a map",
            remedy="fit one line of it in a script",
        )
    if len(axes) == 2 and fills_area(axes[0].values, axes[1].values):
        return Measured(signal, axes[0], axes[1])
    return Measured(signal, axes[0])
