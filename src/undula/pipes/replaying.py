"""Room: pipes. A run or a file as the source of a graph, mostly of the one that it was recorded by.

In: a file of frames, or the NeXus file of a run; a graph, or none. Out: where the frames are in it,
and the graph whose source makes those frames again. Files are only read. Not here: the node that
hands the frames on (`nodes.replay`), the runner, the command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from undula.core.errors import InputError, StorageError, UndulaError
from undula.files.frame_file import DATASET, graph_of
from undula.pipes.frame import Array, Frame
from undula.pipes.graph.check import checked
from undula.pipes.graph.load import read_graph
from undula.pipes.graph.model import Graph

TRANSPARENT = frozenset({"compress", "decompress"})
"""Nodes behind which the frames are still those of the source."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Frames in a file.

    Args:
        file: that is opened: of a run, or of frames.
        dataset: where the frames are in it, (frames, ...).
        graph: by which they were recorded; None when the file does not say.
        node: of that graph, which wrote them.
        of_run: the file is that of a run: its frames are numbered within the run.
    """

    file: Path
    dataset: str
    graph: Graph | None = None
    node: str = ""
    of_run: bool = False


def recordings(path: Path) -> list[Recording]:
    """All frames that a file holds or links to, those with a graph first. Raises: InputError."""
    import h5py

    try:
        file = _opened(path)
    except OSError as exc:
        raise InputError(
            f"{path} cannot be read: {exc}", remedy="name an HDF5 file of frames, or a run"
        ) from exc
    with file:
        if DATASET in file:
            return [_recording(path, DATASET, file, of_run=False)]
        found: dict[str, Recording] = {}
        instrument = file.get("entry/instrument")
        for device in instrument.values() if isinstance(instrument, h5py.Group) else ():
            for name in device if isinstance(device, h5py.Group) else ():
                if isinstance(device.get(name, getlink=True), h5py.SoftLink):
                    continue
                with suppress(KeyError, OSError):
                    data = device[name]
                    if isinstance(data, h5py.Dataset) and data.ndim >= 2:
                        made = _behind(path, data, f"{device.name}/{name}")
                        if made is not None:
                            found[made.dataset] = made
    return sorted(found.values(), key=lambda r: r.graph is None)


def _opened(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r", locking=False)
    except OSError:
        return h5py.File(path, "r", swmr=True, locking=False)


def _behind(path: Path, data: Any, place: str) -> Recording | None:
    """What is known of a dataset of a run's file: an external link, or a virtual dataset."""
    if data.is_virtual:
        first = data.virtual_sources()[0]
        with _opened(path.parent / first.file_name) as other:
            return _recording(path, place, other, of_run=True)
    if Path(data.file.filename).resolve() == path.resolve():
        return None
    return _recording(path, place, data.file, of_run=True)


def _recording(path: Path, dataset: str, file: Any, *, of_run: bool) -> Recording:
    text, node = graph_of(file)
    graph = None
    if text:
        with suppress(ValueError, UndulaError):
            graph = read_graph(json.loads(text))
    return Recording(path, dataset, graph, node, of_run)


def chosen(path: Path, dataset: str | None) -> Recording:
    """The frames to replay: those at `dataset`, or the only ones. Raises: InputError."""
    found = recordings(path)
    if dataset is not None:
        same = [r for r in found if r.dataset.strip("/") == dataset.strip("/")]
        return same[0] if same else Recording(path, dataset)
    if not found:
        raise InputError(
            f"{path} says not where its frames are", remedy="name them: --dataset /entry/..."
        )
    with_graph = [r for r in found if r.graph is not None]
    if len(with_graph) == 1 or len(found) == 1:
        return found[0]
    names = ", ".join(r.dataset for r in found)
    raise InputError(f"{path} has several frames", remedy=f"choose one by --dataset: {names}")


def as_replay(
    graph: Graph,
    recording: Recording,
    types: Mapping[str, Any],
    *,
    speed: float = 1.0,
    folder: Path | None = None,
) -> Graph:
    """The graph with the recorded frames in place of its source, checked; files go to `folder`.

    Args:
        graph: that was checked.
        speed: 1 as recorded, 10 ten times as fast, 0 as fast as frames are taken.
        folder: for each `frame_file` a folder below it, by the node's name.
    Raises: InputError when the frames are not those of the graph's only source; GraphError.
    """
    own = recording.graph is not None and recording.node in graph.nodes and (
        graph.plain()["edges"] == recording.graph.plain()["edges"]
    )  # fmt: skip
    source = _source(graph, types, recording.node if own else "")
    nodes = dict(graph.nodes)
    (port,) = {edge.source_port for edge in graph.out_of(source)}
    parameters = {
        "file": str(recording.file.absolute()), "dataset": recording.dataset, "speed": speed,
        "from_one": recording.of_run,
    }  # fmt: skip
    before = nodes[source]
    nodes[source] = replace(before, kind="replay", parameters=parameters)
    for name, node in nodes.items():
        if node.kind == "frame_file" and folder is not None:
            given = {**node.parameters, "folder": str(folder.absolute() / name)}
            nodes[name] = replace(node, parameters=given)
    edges = tuple(
        replace(edge, source_port="frames") if (edge.source, edge.source_port) == (source, port)
        else edge
        for edge in graph.edges
    )  # fmt: skip
    return checked(replace(graph, nodes=nodes, edges=edges), types)


def _source(graph: Graph, types: Mapping[str, Any], writer: str) -> str:
    """The source whose frames were written by `writer`; the only one when nobody knows."""
    sources = [name for name, node in graph.nodes.items() if not types[node.kind].inputs]
    if writer:
        above = writer
        while above not in sources:
            into = [edge for edge in graph.into(above) if not edge.feedback]
            passed = above == writer or graph.nodes[above].kind in TRANSPARENT
            if len(into) != 1 or not passed:
                raise InputError(
                    f"{writer} wrote what {above} made, which is not what came from the detector",
                    remedy="replay frames that were written as they came, or name a graph for them",
                )
            above = into[0].source
        sources = [s for s in sources if s != above]
        if not sources:
            return above
        raise InputError(
            f"the graph also has the sources {', '.join(sources)}",
            remedy="name a graph with one source",
        )
    if len(sources) != 1:
        raise InputError(
            f"the graph has {len(sources)} sources", remedy="name a graph with one source"
        )
    return sources[0]


class Values:
    """What comes to the channels of a graph, kept in the order of coming, by edge.

    Kept in memory, as numbers and small arrays are; `save` writes them into one file.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[int, int, float, Array]]] = {}

    def take(self, edge: str, frame: Frame) -> None:
        """One value; a copy of it is kept."""
        trigger = -1 if frame.trigger is None else frame.trigger
        row = (frame.seq_num, trigger, frame.time, np.array(frame.data))
        self._rows.setdefault(edge.partition(" ")[0], []).append(row)

    def newest(self) -> dict[str, Any]:
        """The last value of each, by the port that it came from."""
        return {port: rows[-1][3].tolist() for port, rows in self._rows.items()}

    def save(self, path: Path) -> bool:
        """Write all into a new file: for each port `seq_num`, `trigger`, `time`, `data`.

        `data` has one row a value; values whose shape changed lie in `data_NUMBER` one by one.
        Returns: whether there were any. Raises: StorageError when there is such a file.
        """
        import h5py

        if not self._rows:
            return False
        try:
            file = h5py.File(path, "x")
        except FileExistsError as exc:
            raise StorageError(f"{path} exists", remedy="choose another folder") from exc
        with file:
            for port, rows in self._rows.items():
                group = file.create_group(port)
                for column, name in enumerate(("seq_num", "trigger", "time")):
                    group[name] = [row[column] for row in rows]
                group["time"].attrs["units"] = "s"
                data = [row[3] for row in rows]
                if len({value.shape for value in data}) == 1:
                    group["data"] = np.array(data)
                else:
                    for seq_num, _, _, value in rows:
                        group[f"data_{seq_num}"] = value
        return True
