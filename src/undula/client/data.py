"""The data of a run as xarray and pandas: axes as coordinates, units, read when looked at.

In: the run's file, open or closed. Out: `xarray.Dataset`, `pandas.DataFrame`. Both libraries are
the extra `data`: `pip install undula[data]`. Nothing of a file is held open.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undula.client.fits import USUAL_MODEL
from undula.core.errors import InputError, ServiceError
from undula.files.joined import JoinedData
from undula.files.reading import RunData, open_file

if TYPE_CHECKING:
    from undula.analysis.measured import Measured
    from undula.client.fits import Fit

STEERING = "steering"
"""The stream that says where rows do not simply go on with the next point."""
FRAME_DIMS = ("y", "x")
_OWN = ("seq_num", "elapsed_time", "time")


def _library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as exc:
        raise ServiceError(
            f"{name} is not installed", remedy="pip install 'undula[data]', or use to_dict()"
        ) from exc


@dataclass(frozen=True, slots=True)
class Layout:
    """How the points of a run lie: axes (data keys), shape, and which lines run back.

    `shape` is that of a grid, slowest axis first; empty when the points are a sequence.
    """

    axes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    back: tuple[bool, ...] = ()

    @classmethod
    def of(cls, start: dict[str, Any]) -> Layout:
        """From a start document."""
        dimensions = (start.get("hints") or {}).get("dimensions") or []
        fields = [list(names) for names, stream in dimensions if stream == "primary"]
        keys = tuple(str(k) for names in fields for k in names if k != "time")
        shape = tuple(int(n) for n in start.get("shape") or ())
        gridded = len(shape) >= 2 and len(fields) == len(shape) and len(keys) == len(shape)
        if not gridded:
            return cls(keys)
        snaking = [bool(s) for s in start.get("snaking") or ()]
        return cls(keys, shape, tuple(snaking) or (False,) * len(shape))

    def rows(self) -> Any:
        """The row of the file that holds each place of the grid: integers of `shape`.

        >>> Layout(("y", "x"), (2, 3), (False, True)).rows().tolist()
        [[0, 1, 2], [5, 4, 3]]
        """
        from undula.core.grid_order import point_of_each_cell

        return point_of_each_cell(self.shape, self.back)


class Tables(RunData, ABC):
    """What runs and joined runs have in common: `to_xarray()`, `to_pandas()`, `fit()`."""

    models: Path | None = None
    """The folder of the beamline's own models."""

    @property
    def start(self) -> dict[str, Any]:
        """The start document."""
        return start_of(self.path)

    def to_pandas(self) -> Any:
        """Scalar readings as a `pandas.DataFrame`, one row a point, indexed by `seq_num`.

        `frame.attrs["units"]` has the units. Works while the run is open: the rows so far.
        Raises: ServiceError when pandas is not installed.
        """
        import numpy as np

        pandas = _library("pandas")
        columns = {k: v for k, v in self.to_dict().items() if np.ndim(v) == 1}
        length = min((len(v) for v in columns.values()), default=0)
        frame = pandas.DataFrame({k: v[:length] for k, v in columns.items()})
        frame = frame.set_index("seq_num")
        frame.attrs["units"] = {k: u for k, u in self.units.items() if u and k in frame}
        return frame

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` with the axes as coordinates; arrays are read when looked at.

        A scan has the dimension of its axis, or `seq_num` where several move together or none; a
        grid one dimension for each axis, with points not measured yet as NaN, and each readback as
        `NAME_readback`. Frames have `y` and `x`. Units are in `attrs["units"]`. While the run is
        open it has the points so far; ask again for more.
        Raises: ServiceError when xarray is not installed.
        """
        xarray = _library("xarray")
        from undula.client.lazy import variable_of

        layout = Layout.of(self.start) if self.stream_name == "primary" else Layout()
        shapes, units, points = self.shapes, self.units, len(self)
        if any(key not in shapes for key in layout.axes):
            layout = Layout()
        dims = layout.axes if layout.shape else (self._dimension(layout),)
        place = self._rows_at(layout.rows(), points) if layout.shape else self._kept(points)
        variables: dict[str, Any] = {}
        coordinates: dict[str, Any] = {}
        for key, shape in shapes.items():
            if shape is None or shape[0] < points:
                continue  # its file is missing, or its frames are still on their way
            name = f"{key}_readback" if layout.shape and key in dims else key
            inner = _inner_dims(key, len(shape) - 1)
            array = self._array(key, place, points)
            variable = variable_of(array, (*dims, *inner), units.get(key, ""))
            (coordinates if key in (*layout.axes, *_OWN) else variables)[name] = variable
        if layout.shape:
            coordinates.update(self._grid_axes(layout, coordinates, units))
        start = self.start
        facts = {k: start[k] for k in ("uid", "scan_id", "plan_name", "command") if k in start}
        return xarray.Dataset(variables, coords=coordinates, attrs=facts)

    def measured(self, signal: str = "") -> Measured:
        """The curve or map of a signal, the last row of each point.

        Args:
            signal: a data key; '': that of the default plot.
        Raises: InputError when it is neither.
        """
        import numpy as np

        from undula.analysis.measured import Axis, columns_measured

        layout, units = Layout.of(self.start), self.units
        chosen = signal or self.plot()["signal"]
        if not chosen:
            raise InputError("nothing was measured", remedy="choose a scan against a detector")
        keys = [*layout.axes] or ["elapsed_time"]
        if chosen not in self:
            known = [k for k, s in self.shapes.items() if s is not None and len(s) == 1]
            raise InputError(f"{chosen} was not measured", remedy=f"choose of {', '.join(known)}")
        columns = [np.asarray(self[key], float) for key in (chosen, *keys)]
        if columns[0].ndim != 1:
            raise InputError(
                f"{chosen} has shape {columns[0].shape}",
                remedy="choose a signal of one number a point",
            )
        length = min(map(len, columns))
        kept = self._kept(length)
        rows = slice(length) if kept is None else kept
        found = [
            Axis(key, units.get(key, ""), column[rows])
            for key, column in zip((chosen, *keys), columns, strict=True)
        ]
        return columns_measured(found[0], found[1:], layout.shape)

    def fit(self, model: str = USUAL_MODEL, signal: Any = "") -> Fit:
        """Fit it, also runs that were joined: `runs[12].joined().fit("gaussian + linear")`.

        Raises: InputError when it is neither a curve nor a map, or cannot be fitted.
        """
        from undula.client.fits import fit_data

        return fit_data(self, model, str(signal), self.models)

    def _rows_at(self, trajectory: Any, points: int) -> Any:
        """The row of each place of a grid; `points` where there is none (yet)."""
        import numpy as np

        taken = self._taken(points)
        rows = np.full(trajectory.size, points)
        inside = (taken >= 0) & (taken < trajectory.size)
        rows[taken[inside]] = np.flatnonzero(inside)
        return rows[trajectory]

    def _kept(self, points: int) -> Any | None:
        """The rows that count, the last of each point, by point; None when all of them do."""
        import numpy as np

        taken = self._taken(points)
        if self.stream_name != "primary" or len(np.unique(taken)) == points:
            return None
        _, last = np.unique(taken[::-1], return_index=True)
        return points - 1 - last

    @abstractmethod
    def _taken(self, points: int) -> Any:
        """The point of each row, from 0."""

    @abstractmethod
    def _array(self, key: str, place: Any | None, points: int) -> Any:
        """An array that xarray takes: by row, or by the place of each row in a grid."""

    def _dimension(self, layout: Layout) -> str:
        return layout.axes[0] if len(layout.axes) == 1 else "seq_num"

    def _grid_axes(
        self, layout: Layout, readbacks: dict[str, Any], units: dict[str, str]
    ) -> dict[str, Any]:
        """One value for each line of the grid: as it was meant, else the middle of readbacks."""
        import numpy as np

        xarray = _library("xarray")
        start = self.start
        meant = start.get("axes_values") or [
            np.linspace(float(ends[0]), float(ends[1]), size)
            for ends, size in zip(start.get("extents") or [], layout.shape, strict=False)
        ]
        found = {}
        for place, (axis, size) in enumerate(zip(layout.axes, layout.shape, strict=True)):
            if place < len(meant) and len(meant[place]) == size:
                values = np.asarray(meant[place], dtype=np.float64)
            else:
                others = tuple(i for i in range(len(layout.shape)) if i != place)
                read = np.asarray(readbacks[f"{axis}_readback"].values, dtype=np.float64)
                values = _middle(read, others)
            found[axis] = xarray.Variable((axis,), values, {"units": units.get(axis, "")})
        return found


class Data(Tables):
    """Readings of one stream of a run, by data key; `to_xarray()`, `to_pandas()`."""

    def stream(self, name: str) -> Data:
        """Another stream of the same run, e.g. `baseline`."""
        return Data(self._home_of(name), name)

    def _taken(self, points: int) -> Any:
        """Rows do not go on with the next point where one was skipped or taken again, and begin
        later in a run that continues another; of two rows of a point the last one counts."""
        import numpy as np

        first = (self.start.get("continues") or {}).get("first_point", 1)
        taken = np.arange(points) + int(first) - 1
        if STEERING in self.streams():
            turns = self.stream(STEERING)
            for row, following in zip(
                turns[f"{STEERING}_row"], turns[f"{STEERING}_next"], strict=True
            ):
                taken[int(row) - 1 :] = int(following) - 1 + np.arange(points - int(row) + 1)
        return taken

    def _array(self, key: str, place: Any | None, points: int) -> Any:
        from undula.client.lazy import FileArray

        return FileArray(self, key, place, points)


class JoinedTables(Tables, JoinedData):
    """Runs that continue each other as one data set; arrays are read at once."""

    @property
    def start(self) -> dict[str, Any]:
        """The start document of the first run."""
        return start_of(self.parts[0].data.path)

    def _taken(self, points: int) -> Any:
        return self["point"][:points] - 1

    def _array(self, key: str, place: Any | None, points: int) -> Any:
        from undula.client.lazy import placed

        return placed(self[key][:points], place)


def start_of(path: Path) -> dict[str, Any]:
    """The start document that a file keeps."""
    with open_file(path) as file:
        text = file["entry/collection/metadata/start_document"].asstr()[()]
    found: dict[str, Any] = json.loads(text)
    return found


def _middle(values: Any, axes: tuple[int, ...]) -> Any:
    import warnings

    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a line that has no point yet is NaN
        return np.nanmedian(values, axis=axes)


def _inner_dims(key: str, count: int) -> tuple[str, ...]:
    if count == 2:
        return FRAME_DIMS
    return tuple(f"{key}_dim{i}" for i in range(count))


def open_data(path: Path) -> Data:
    """The data of a run, while it runs and afterwards. Raises: StorageError without a file."""
    data = Data(path)
    with open_file(path):
        return data
