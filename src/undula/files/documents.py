"""Room: files. What start and descriptor documents say about layout and default plot. Pure.

In: event-model documents (dicts). Out: small frozen values. Not here: HDF5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from undula.core.grid_order import cells

Document = Mapping[str, Any]
Kind = Literal["positioner", "detector", "monitor", "signal"]

STRING_BYTES = 128
"""Room for one text reading in a file that is followed live; longer ones are widened at close."""


def h5_name(name: str) -> str:
    """A data key as the name of an HDF5 link.

    >>> h5_name("a/b")
    'a_b'
    """
    return re.sub(r"[/\0]", "_", name).strip(".") or "unnamed"


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """One data key as a growing dataset: element type, shape per point, unit."""

    key: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    unit: str
    external: bool
    description: str
    declared: bool
    frame_dims: int = 0
    frame_shape: tuple[int, ...] = ()

    @property
    def scalar(self) -> bool:
        """One number a point."""
        return self.shape == () and self.dtype.kind in "fiub"

    @property
    def numeric(self) -> bool:
        """It can be drawn."""
        return self.dtype.kind in "fiub"


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a stream and the data keys that it gives."""

    name: str
    kind: Kind
    keys: tuple[str, ...]
    hinted: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A rectilinear map: points per axis (slow first), which axes run to and fro, midpoints."""

    shape: tuple[int, ...]
    snaking: tuple[bool, ...]
    axes: tuple[npt.NDArray[np.float64] | None, ...]
    relative: bool

    def indices(self, points: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
        """Cell of each point, point numbers from 0 in the order of time, one array an axis.

        >>> Grid((2, 3), (False, True), (None, None), False).indices(np.array([2, 3]))
        (array([0, 1]), array([2, 2]))
        """
        return cells(points, self.shape, self.snaking)


def _dtype(data_key: Document) -> tuple[np.dtype[Any], bool]:
    """Element type, and whether the device declared it exactly."""
    named = data_key.get("dtype_numpy")
    if isinstance(named, str) and named:
        try:
            exact = np.dtype(named)
        except TypeError:
            exact = np.dtype("O")
        if exact.kind in "fiub":
            return exact, True
        if exact.kind in "US":
            return np.dtype(f"S{STRING_BYTES}"), True
    words = {"integer": "<i8", "boolean": "?", "string": f"S{STRING_BYTES}"}
    return np.dtype(words.get(str(data_key.get("dtype")), "<f8")), False


def key_layout(key: str, data_key: Document) -> KeyLayout:
    """How to store one data key. An unknown extent of an array counts as 0 and grows."""
    dtype, declared = _dtype(data_key)
    shape = tuple(int(n) if isinstance(n, int | float) and n else 0 for n in data_key["shape"])
    if data_key.get("dtype") != "array" and not (declared and shape):
        shape = ()
    external = str(data_key.get("external", ""))
    unit = data_key.get("units")
    return KeyLayout(
        key=key,
        dtype=np.dtype(f"S{STRING_BYTES}") if external and "STREAM" not in external else dtype,
        shape=() if external else shape,
        unit="" if unit is None else str(unit),
        external="STREAM" in external,
        description=str(data_key.get("source", "")),
        declared=declared,
        frame_dims=len(shape),
        frame_shape=shape[1:] if external and shape[:1] == (1,) else (),
    )


def dimensions(start: Document) -> list[tuple[list[str], str]]:
    """Axes as hinted: the data keys of each dimension (slow first) and their stream."""
    found = []
    for entry in (start.get("hints") or {}).get("dimensions") or []:
        if isinstance(entry, Sequence) and len(entry) == 2:
            fields, stream = entry
            found.append(([str(f) for f in fields], str(stream)))
    return found


def expected_streams(start: Document) -> set[str] | None:
    """Streams that must be declared before a reader may look; None: not said."""
    said = start.get("expects_streams")
    return {str(name) for name in said} if said else None


def _kind(name: str, start: Document, axis_keys: set[str], keys: Sequence[str]) -> Kind:
    entry = (start.get("devices") or {}).get(name) or {}
    if entry.get("nx_class") == "NXmonitor":
        return "monitor"
    if name in (start.get("motors") or ()) or axis_keys & set(keys):
        return "positioner"
    if name in (start.get("detectors") or ()):
        return "detector"
    said = entry.get("kind")
    if said in ("positioner", "detector", "signal"):
        kind: Kind = said
        return kind
    return "detector"


def devices(start: Document, descriptor: Document) -> list[Device]:
    """The devices of a stream: positioners in scan order, detectors as asked for, then others."""
    data_keys = descriptor["data_keys"]
    objects: dict[str, list[str]] = {
        str(name): [k for k in keys if k in data_keys]
        for name, keys in (descriptor.get("object_keys") or {}).items()
    }
    known = {key for keys in objects.values() for key in keys}
    for key, entry in data_keys.items():
        if key not in known:
            objects.setdefault(str(entry.get("object_name", key)), []).append(key)
    objects = _by_owner(start, objects)
    axis_keys = {key for fields, _ in dimensions(start) for key in fields}
    hints = descriptor.get("hints") or {}
    order = [*(start.get("motors") or ()), *(start.get("detectors") or ())]
    found = []
    for name in sorted(objects, key=lambda n: order.index(n) if n in order else len(order)):
        keys = objects[name]
        entry = (start.get("devices") or {}).get(name) or {}
        fields = (hints.get(name) or {}).get("fields") or entry.get("hinted") or []
        found.append(
            Device(
                name=name,
                kind=_kind(name, start, axis_keys, keys),
                keys=tuple(keys),
                hinted=tuple(f for f in fields if f in keys),
                description=str(entry.get("description") or ""),
            )
        )
    return found


def _by_owner(start: Document, objects: dict[str, list[str]]) -> dict[str, list[str]]:
    """Keys that one object gives for several devices (points taken in blocks), by device."""
    about = start.get("devices") or {}
    owner = {key: name for name, words in about.items() for key in words.get("keys") or ()}
    found: dict[str, list[str]] = {}
    for name, keys in objects.items():
        for key in keys:
            found.setdefault(name if name in about else owner.get(key, name), []).append(key)
    return found


def configurations(start: Document, descriptor: Document) -> dict[str, Document]:
    """Configuration by device; what one object says for several devices is told apart by name."""
    about = sorted(start.get("devices") or (), key=len, reverse=True)
    found: dict[str, dict[str, Any]] = {}
    for name, config in (descriptor.get("configuration") or {}).items():
        for key, value in (config.get("data") or {}).items():
            owner = name
            if name not in about:
                owner = next((n for n in about if key == n or key.startswith(f"{n}_")), name)
            parts = found.setdefault(owner, {"data": {}, "timestamps": {}, "data_keys": {}})
            parts["data"][key] = value
            for part in ("timestamps", "data_keys"):
                if key in (config.get(part) or {}):
                    parts[part][key] = config[part][key]
    return dict(found)


def _midpoints(start: Document, shape: tuple[int, ...]) -> list[npt.NDArray[np.float64] | None]:
    given = start.get("axes_values")
    if given is not None and [len(v) for v in given] == list(shape):
        return [np.asarray(v, dtype=np.float64) for v in given]
    extents = start.get("extents") or ()
    if len(extents) == len(shape):
        return [np.linspace(e[0], e[1], n) for e, n in zip(extents, shape, strict=True)]
    return [None] * len(shape)


def grid(start: Document) -> Grid | None:
    """The map that a run is, or None: two or more dimensions whose points fill a rectangle."""
    shape = tuple(int(n) for n in start.get("shape") or ())
    if len(shape) < 2 or len(dimensions(start)) != len(shape) or min(shape) < 1:
        return None
    num_points = start.get("num_points")
    if num_points is not None and int(num_points) != int(np.prod(shape)):
        return None
    if (start.get("hints") or {}).get("gridding", "rectilinear") != "rectilinear":
        return None
    snaking = tuple(bool(s) for s in start.get("snaking") or ())
    return Grid(
        shape=shape,
        snaking=snaking if len(snaking) == len(shape) else (False,) * len(shape),
        axes=tuple(_midpoints(start, shape)),
        relative="axes_values" not in start and str(start.get("plan_name", "")).startswith("rel_"),
    )
