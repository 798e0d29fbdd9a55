"""Room: pipes. A graph as a detector of scans: what it must be like, and what its data are. Pure.

In: a graph that was checked, the classes of its nodes, the name of its device. Out: its source, the
writers of its frames, the values that a point has; their data keys, and its settings as plain
values. Called by: `detector`. Not here: the frames and values themselves (`points`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import numpy as np

from undula.core.errors import InputError
from undula.core.text_keys import with_text_keys
from undula.pipes.frame import Array
from undula.pipes.graph.faults import Faults
from undula.pipes.graph.model import CHANNEL, EdgeSpec, Graph
from undula.pipes.graph.units import unit_of
from undula.pipes.nodes.user_nodes import own_texts

WRITER = "frame_file"
SET_BY_DETECTOR = ("folder", "name_of_files", "flush_s")
"""Parameters of a writer that are another's in each run."""
DIGEST = 16
Configuration = dict[str, tuple[Any, str]]
"""By key: a plain value, and its unit."""
Grid = tuple[tuple[int, ...], tuple[bool, ...]]
"""Points of each axis of a scan, the fast one last; and which run back on every other pass."""


@dataclass(frozen=True, slots=True)
class Value:
    """What comes over one edge to a channel: a value of each point.

    `ndim` is None where its port may give any shape.
    """

    edge: EdgeSpec
    key: str
    unit: str
    ndim: int | None

    def nothing(self, known: Array | None) -> Array:
        """What stands where there is none: NaN, in the shape that is known."""
        if known is not None:
            return np.full(known.shape, np.nan)
        return np.full((0,) * (self.ndim or 0), np.nan)


@dataclass(frozen=True, slots=True)
class ScanGraph:
    """A graph that scans can use."""

    device: str
    graph: Graph
    types: Mapping[str, Any]
    source: str
    writers: tuple[str, ...]
    values: Mapping[str, Value]
    """By the name of the edge."""

    @property
    def exposure_s(self) -> float | None:
        """So long its source counts unless a scan says how long; None where it takes no time."""
        spec = self.graph.nodes[self.source]
        kind = self.types[spec.kind]
        found = kind.count_time_s(kind.checked(**spec.parameters))
        return None if found is None else float(found)

    def frames_key(self, writer: str) -> str:
        """The data key of the frames that a writer keeps."""
        return self.device if len(self.writers) == 1 else f"{self.device}_{writer}"

    def frames_unit(self, writer: str) -> str:
        """The unit of these frames."""
        edge = self.graph.into(writer)[0]
        return unit_of(self.graph, self.types, edge.source, edge.source_port)

    def changed(self, node: str, parameters: Mapping[str, Any]) -> ScanGraph:
        """The same with other parameters of a node."""
        spec = self.graph.nodes[node]
        spec = replace(spec, parameters={**spec.parameters, **parameters})
        return replace(self, graph=replace(self.graph, nodes={**self.graph.nodes, node: spec}))

    def grid_parameters(
        self, shape: tuple[int, ...], snaking: tuple[bool, ...]
    ) -> dict[str, dict[str, Any]]:
        """Parameters, by node, that nodes without a shape of their own have from the scan.

        Raises: InputError when nobody knows the shape of the scan.
        """
        found: dict[str, dict[str, Any]] = {}
        for name, spec in self.graph.nodes.items():
            kind = self.types[spec.kind]
            if not kind.on_grid or kind.checked(**spec.parameters).shape is not None:
                continue
            if not shape:
                raise InputError(
                    f"{name} is to have the shape of the scan, and this scan does not say it",
                    remedy=f"give it one: undula pipes set {self.device} {name}.shape [21, 11]",
                    device=self.device,
                )
            found[name] = {"shape": list(shape), "snake": list(snaking)}
        return found

    def value_keys(self, last: Mapping[str, Array]) -> dict[str, Any]:
        """Data keys of the values: numbers always, arrays when one has been there."""
        found: dict[str, Any] = {}
        for value in self.values.values():
            known = last.get(value.key)
            if known is None and value.ndim != 0:
                continue
            found[value.key] = {
                "source": f"pipes:{self.graph.name}/{value.edge.start}",
                "dtype": "array" if known is not None and known.ndim else "number",
                "dtype_numpy": "<f8" if known is None else known.dtype.str,
                "shape": [] if known is None else list(known.shape),
                "units": value.unit,
            }
        return found

    def frames_data_key(self, writer: str, shape: Iterable[int], dtype: str) -> dict[str, Any]:
        """The data key of frames in files."""
        return {
            "source": f"pipes:{self.graph.name}/{writer}",
            "dtype": "array",
            "dtype_numpy": dtype,
            "shape": [1, *shape],
            "units": self.frames_unit(writer),
            "external": "STREAM:",
        }

    def configuration(
        self, of_scan: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    ) -> Configuration:
        """The graph in plain values: its name, a digest, edges, and each node's parameters.

        `NAME_NODE_code` of a node of the beamline's own is a digest of its file.

        Args:
            of_scan: parameters, by node, that the scan gave.
        """
        graph, name = self.graph, self.device
        code = {
            node: _digest(*own_texts(self.types, [spec.kind]).values())
            for node, spec in graph.nodes.items()
        }
        own = {node: digest for node, digest in code.items() if digest}
        text = json.dumps(with_text_keys(graph.plain()), sort_keys=True, default=str)
        found: Configuration = {
            f"{name}_graph": (graph.name, ""),
            f"{name}_graph_digest": (_digest(text, *own.values()), ""),
            f"{name}_graph_edges": ([f"{e.name}: {e.policy.text}" for e in graph.edges], ""),
        }
        for node, spec in graph.nodes.items():
            kind = self.types[spec.kind]
            found[f"{name}_{node}"] = (spec.kind, "")
            if node in own:
                found[f"{name}_{node}_code"] = (own[node], "")
            given = {**spec.parameters, **of_scan.get(node, {})}
            values = kind.checked(**given).model_dump(mode="json")
            for key, value in values.items():
                if spec.kind == WRITER and key in SET_BY_DETECTOR:
                    continue
                extra = kind.declared[key].json_schema_extra
                unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
                found |= _flat(f"{name}_{node}_{key}", value, unit)
        return found


def _digest(*texts: str) -> str:
    """Of the texts, in few characters; none when they are empty."""
    text = "".join(texts)
    return sha256(text.encode()).hexdigest()[:DIGEST] if text else ""


def _flat(key: str, value: Any, unit: str) -> Configuration:
    """A parameter as plain values: mappings by their keys, lists of numbers as they are."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        parts = (
            _flat(f"{key}_{name}".replace(".", "_"), item, unit) for name, item in value.items()
        )
        return {name: item for part in parts for name, item in part.items()}
    if isinstance(value, list) and not all(type(item) in (int, float) for item in value):
        return {key: (json.dumps(value), unit)}
    return {key: (value, unit)}


def configuration_key(value: Any, unit: str, source: str) -> dict[str, Any]:
    """The data key of one plain value.

    >>> configuration_key(3.0, "px", "pipes:live")
    {'source': 'pipes:live', 'dtype': 'number', 'shape': [], 'units': 'px'}
    """
    words = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    shape = [len(value)] if isinstance(value, list) else []
    key = {"source": source, "dtype": words[type(value)], "shape": shape}
    return key | ({"units": unit} if unit else {})


def for_scans(graph: Graph, types: Mapping[str, Any], device: str) -> ScanGraph:
    """The graph as a detector. Raises: GraphError listing every reason why it cannot be one."""
    faults = Faults()
    scan = judge_for_scans(graph, types, device, faults)
    faults.finish(graph.name)
    return scan


def judge_for_scans(
    graph: Graph, types: Mapping[str, Any], device: str, faults: Faults
) -> ScanGraph:
    """The graph as a detector; `faults` has every reason why it cannot be one."""
    sources = [n for n, spec in graph.nodes.items() if not types[spec.kind].inputs]
    if len(sources) != 1:
        faults.add(
            "nodes", f"the graph of {device} has {len(sources)} sources: {', '.join(sources)}",
            "give it one, which makes a frame for each trigger",
        )  # fmt: skip
    for source in sources:
        given = graph.nodes[source].parameters
        pv = given.get("exposure")
        if pv and given.get("exposure_s") is None:
            faults.add(
                f"nodes.{source}.parameters.exposure_s", f"a scan sets {pv} to its count time, and "
                "nothing says how long one without a count time takes",
                "give exposure_s, e.g. exposure_s: 0.1",
            )  # fmt: skip
    writers = tuple(n for n, spec in graph.nodes.items() if spec.kind == WRITER)
    for writer in writers:
        _lossless_to(graph, writer, faults)
    channels = {n for n, spec in graph.nodes.items() if spec.kind == CHANNEL}
    values: dict[str, Value] = {}
    keys = [device if len(writers) == 1 else f"{device}_{writer}" for writer in writers]
    for number, edge in enumerate(graph.edges):
        if edge.target not in channels:
            continue
        key = f"{device}_{edge.source}_{edge.source_port}"
        if key in keys:
            faults.add(
                f"edges.{number}", f"there would be two data {key}",
                "name the nodes apart, or leave one of these edges out",
            )  # fmt: skip
        keys.append(key)
        kind = types[graph.nodes[edge.source].kind]
        ndim = next(port.ndim for port in kind.outputs if port.name == edge.source_port)
        unit = unit_of(graph, types, edge.source, edge.source_port)
        values[edge.name] = Value(edge, key, unit, ndim)
    return ScanGraph(device, graph, types, next(iter(sources), ""), writers, values)


def _lossless_to(graph: Graph, node: str, faults: Faults) -> None:
    """Each point has its frame in a file only when no edge before it leaves frames out."""
    waiting, seen = [node], {node}
    while waiting:
        name = waiting.pop()
        for number, edge in enumerate(graph.edges):
            if edge.target != name or edge.feedback:
                continue
            if edge.policy.kind in ("latest", "sample"):
                faults.add(
                    f"edges.{number}.policy", f"{edge.name} is {edge.policy.text}, and {node} "
                    "must have the frame of every point",
                    "write lossless or spill(SIZE), or let the file hear the source",
                )  # fmt: skip
            if edge.source not in seen:
                seen.add(edge.source)
                waiting.append(edge.source)
