"""Room: pipes. A run or a file as the source of a graph, mostly of the one that it was recorded by.

In: a file of frames, or the NeXus file of a run; a graph, or none. Out: where the frames are in it,
and the graph whose source makes those frames again. Files are only read. Not here: the node that
hands the frames on (`nodes.replay`), the runner, the command.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undula.core.errors import InputError, StorageError, UndulaError
from undula.files.frame_file import DATASET, graph_of
from undula.files.repair import truncated
from undula.pipes.frame import Array, Frame
from undula.pipes.graph.check import checked
from undula.pipes.graph.load import read_graph
from undula.pipes.graph.model import Graph
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import Missing, Report

if TYPE_CHECKING:
    from undula.pipes.nodes.replay import Replay

TRANSPARENT = frozenset({"compress", "decompress"})
"""Nodes behind which the frames are still those of the source."""
NAME_ONE = "name the number of a run (undula runs), or an HDF5 file of frames"
OF_A_GRAPH = "choose a run of a detector with a graph (undula runs), or an HDF5 file of frames"
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Recording:
    """Frames in a file.

    Args:
        file: that is opened: of a run, or of frames.
        dataset: where the frames are in it, (frames, ...).
        graph: by which they were recorded; None when the file does not say.
        node: of that graph, which wrote them.
    """

    file: Path
    dataset: str
    graph: Graph | None = None
    node: str = ""


def recordings(path: Path) -> list[Recording]:
    """All frames that a file holds or links to, those with a graph first.

    Raises: InputError, also when a file that it links is not there.
    """
    import h5py

    _check_file(path)
    try:
        file = _opened(path)
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc}", remedy=NAME_ONE) from exc
    found: dict[str, Recording] = {}
    gone: list[str] = []
    with file:
        if DATASET in file:
            return [_recording(path, DATASET, file)]
        instrument = file.get("entry/instrument")
        for device in instrument.values() if isinstance(instrument, h5py.Group) else ():
            for name in device if isinstance(device, h5py.Group) else ():
                link = device.get(name, getlink=True)
                if isinstance(link, h5py.SoftLink):
                    continue
                if isinstance(link, h5py.ExternalLink):
                    gone += [link.filename] * (not (path.parent / link.filename).exists())
                with suppress(KeyError, OSError):
                    data = device[name]
                    if isinstance(data, h5py.Dataset) and data.ndim >= 2:
                        gone += _not_there(path, data)
                        made = _behind(path, data, f"{device.name}/{name}")
                        if made is not None:
                            found[made.dataset] = made
    if gone:
        raise InputError(
            f"{path} links frames in {', '.join(dict.fromkeys(gone))}, which is not there",
            remedy="put it back beside the file that links it",
        )
    return sorted(found.values(), key=lambda r: r.graph is None)


def _check_file(path: Path) -> None:
    """Raises: InputError for what is no HDF5 file that can be read."""
    import h5py

    what = ""
    if not path.exists():
        what = f"there is no file {path}"
    elif path.is_dir():
        what = f"{path} is a folder"
    elif not os.access(path, os.R_OK):
        what = f"{path} may not be read by you"
    elif not h5py.is_hdf5(path):
        what = f"{path} is no HDF5 file"
    if what:
        raise InputError(what, remedy=NAME_ONE)
    if truncated(path):
        raise InputError(
            f"the end of {path} is missing, so nothing of it can be read",
            remedy="take a copy of it that is whole, or frames of another run",
        )


def _not_there(path: Path, data: Any) -> list[str]:
    """Files of a virtual dataset that are not there."""
    if not data.is_virtual:
        return []
    names = dict.fromkeys(source.file_name for source in data.virtual_sources())
    return [name for name in names if not (path.parent / name).exists()]


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
            return _recording(path, place, other)
    if Path(data.file.filename).resolve() == path.resolve():
        return None
    return _recording(path, place, data.file)


def _recording(path: Path, dataset: str, file: Any) -> Recording:
    text, node = graph_of(file)
    graph = None
    if text:
        with suppress(ValueError, UndulaError):
            graph = read_graph(json.loads(text))
    return Recording(path, dataset, graph, node)


def chosen(path: Path, dataset: str | None) -> Recording:
    """The frames to replay: those at `dataset`, or the only ones. Raises: InputError."""
    found = recordings(path)
    if dataset is not None:
        same = [r for r in found if r.dataset.strip("/") == dataset.strip("/")]
        return same[0] if same else Recording(path, _checked_dataset(path, dataset, found))
    if not found:
        stacks = _stacks(path)
        remedy = f"name one: --dataset {', '.join(stacks)}" if stacks else OF_A_GRAPH
        raise InputError(f"{path} has no frames that a graph wrote", remedy=remedy)
    with_graph = [r for r in found if r.graph is not None]
    if len(with_graph) == 1 or len(found) == 1:
        return found[0]
    names = ", ".join(r.dataset for r in found)
    raise InputError(f"{path} has several frames", remedy=f"choose one by --dataset: {names}")


def _checked_dataset(path: Path, dataset: str, found: Sequence[Recording]) -> str:
    """The dataset, when there is one with frames. Raises: InputError."""
    import h5py

    with _opened(path) as file:
        data = file.get(dataset)
        if isinstance(data, h5py.Dataset) and data.ndim >= 2:
            return dataset
    known = [*(recording.dataset for recording in found), *_stacks(path)]
    raise InputError(
        f"{path} has no frames at {dataset}",
        remedy=f"there is {', '.join(dict.fromkeys(known))}" if known else OF_A_GRAPH,
    )


def _stacks(path: Path) -> list[str]:
    """Datasets of a file that may be frames, (frames, y, x), at most a few."""
    import h5py

    found: list[str] = []

    def look(name: str, data: Any) -> bool | None:
        if isinstance(data, h5py.Dataset) and data.ndim == 3 and data.dtype.kind in "biuf":
            found.append(f"/{name}")
        return True if len(found) >= MOST_NAMED else None

    with _opened(path) as file:
        file.visititems(look)
    return found


@contextmanager
def _replayed(recording: Recording) -> Iterator[Replay]:
    from undula.pipes.nodes.replay import Replay

    node = Replay(file=str(recording.file.absolute()), dataset=recording.dataset)
    try:
        yield node
    finally:
        node.close()


def of_no_point(recording: Recording) -> IntervalSet:
    """Frames of a run whose points were taken again: they were made, and no replay makes them."""
    with _replayed(recording) as node:
        return IntervalSet((number, number + 1) for number in sorted(node.beside))


def without(report: Report, frames: IntervalSet, first: int) -> Report:
    """The report of a replay from the frame `first` on that was to leave out these frames."""

    def but_these(found: list[Missing]) -> list[Missing]:
        rest = [replace(missing, frames=missing.frames - frames) for missing in found]
        return [missing for missing in rest if missing.count]

    there = frames & IntervalSet([(first, first + report.triggers)])
    return replace(
        report, triggers=report.triggers - len(there),
        missing=but_these(report.missing), unknown=but_these(report.unknown),
    )  # fmt: skip


def first_number(recording: Recording) -> int:
    """The number of its first frame. Raises: InputError when it has none, ConfigError."""
    with _replayed(recording) as node:
        lowest = node.lowest
    if not lowest:
        raise InputError(
            f"{recording.file} has no frame at {recording.dataset}",
            remedy="choose a run that took some: undula runs",
        )
    return lowest


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

    Whoever runs it tells the runner the number of the first frame, `first_number`.
    """
    own = recording.graph is not None and recording.node in graph.nodes and (
        graph.plain()["edges"] == recording.graph.plain()["edges"]
    )  # fmt: skip
    source = _source(graph, types, recording.node if own else "")
    nodes = dict(graph.nodes)
    (port,) = {edge.source_port for edge in graph.out_of(source)}
    parameters = {
        "file": str(recording.file.absolute()), "dataset": recording.dataset, "speed": speed,
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

    @property
    def count(self) -> int:
        """How many came."""
        return sum(len(rows) for rows in self._rows.values())

    def newest_frame(self) -> tuple[int, int]:
        """Number and trigger of the frame that a value came of last; trigger -1: nobody knows."""
        return max((rows[-1][:2] for rows in self._rows.values()), default=(0, -1))

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
