"""Room: pipes. Why the frame of a point did not come, in words. Pure.

In: a graph, what its runner knows of this run, the frame. Out: errors that name the first cause:
the node that failed in its own words, or who has not made or handed on the frame. Called by:
`points`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from undula.core.errors import DeviceError
from undula.pipes.for_scans import ScanGraph
from undula.pipes.ledger import EdgeLedger
from undula.pipes.runner.status import GraphStatus


class Progress(Protocol):
    """What a runner knows of a frame."""

    status: GraphStatus
    asked: int
    """The number of the last question to all its processes how they are doing."""

    def answered(self, nodes: Iterable[str]) -> int:
        """The processes of all these nodes have spoken behind the question with this number."""

    @property
    def ledgers(self) -> Mapping[str, EdgeLedger]:
        """Of each edge, as it was heard last."""

    @property
    def causes(self) -> Mapping[str, str]:
        """What nodes said that went wrong in this run, each first, in the order it was heard."""

    def is_safe(self, node: str, seq_num: int) -> bool:
        """Whether a writer is done with it."""

    def failed_on(self, seq_num: int) -> list[str]:
        """Edges that wait for their node, and whose node raised on it."""

    def failed_until(self, seq_num: int, after: int) -> int | None:
        """The first frame of this run behind `after`, up to it, on which such a node raised."""

    def waits_at(self, seq_num: int) -> list[str]:
        """Lossless edges where it is on its way."""


def failed(
    scan: ScanGraph, progress: Progress, frame: int, place_of: Callable[[int], int]
) -> DeviceError | None:
    """A node failed on a frame; None while nobody has said why.

    Args:
        place_of: of a frame among those of its run, from 1 on.
    """
    ends = {name.partition(" -> ")[2].partition(".")[0] for name in progress.failed_on(frame)}
    for node in scan.graph.order():
        said = _said(progress, node, frame) if node in ends else ""
        if said:
            return _failed(scan, node, said, place_of(frame))
    return None


def failed_untold(
    scan: ScanGraph, progress: Progress, frame: int, place_of: Callable[[int], int]
) -> DeviceError:
    """A node failed on a frame, and did not say why: perhaps it died."""
    ends = ", ".join(name.partition(" -> ")[2] for name in progress.failed_on(frame))
    return _failed(scan, ends, "it did not say why", place_of(frame))


def _said(progress: Progress, node: str, frame: int) -> str:
    """On one line; which frame it was is said before."""
    status = progress.status.nodes[node]
    said = status.error if status.error_at == frame else progress.causes.get(node, "")
    return " ".join(said.removesuffix(f" at frame {frame}").split())


def _failed(scan: ScanGraph, node: str, said: str, place: int) -> DeviceError:
    return DeviceError(
        f"node {node} failed at frame {place} of this run: {said}",
        remedy="mend it, then go on with undula runs continue; see undula pipes top, undula logs",
        device=scan.device,
    )


def late(
    scan: ScanGraph, progress: Progress, frame: int, missing: Sequence[str], limit_s: float
) -> DeviceError:
    """A frame did not come in time to what is `missing` it: who is to blame, as far as is known."""
    source = scan.source
    ledgers = progress.ledgers
    made = any(frame in ledgers[edge.name].seen for edge in scan.graph.out_of(source))
    whys = [f"{node}: {said}" for node, said in progress.causes.items()]
    if waits_for := progress.status.nodes[source].waits_for:
        whys.append(f"{source} waits for {waits_for}")
    elif not made:
        whys.append(f"{source} did not make it")
    if edges := progress.waits_at(frame):
        whys.append(f"it is on its way on {', '.join(edges)}")
    return DeviceError(
        f"frame {frame} did not come to {', '.join(missing)}, not in {limit_s:g} s: "
        f"{'; '.join(whys) or 'no node has said that it failed'}",
        remedy="look at that node: undula pipes top, undula logs",
        device=scan.device,
    )


def not_kept(scan: ScanGraph, writer: str, frame: int, why: str) -> DeviceError:
    """A frame will be in no file."""
    return DeviceError(
        f"frame {frame} did not come to {writer}: {why}",
        remedy=f"let {writer} hear the source, so that it has the frame of every point",
        device=scan.device,
    )


def who_is_slow(scan: ScanGraph, progress: Progress, frame: int) -> str:
    """The edges where a frame is on its way, and of what lives behind them; or its source."""
    edges = progress.waits_at(frame)
    first = progress.status.nodes[scan.source]
    if not edges:
        return f"{scan.source} waits for {first.waits_for}" if first.away else ""
    dead = [n.name for n in progress.status.nodes.values() if n.state == "dead"]
    again = f", {', '.join(dead)} is started again" if dead else ""
    return f"edge {', '.join(edges)} cannot keep up: frame {frame} is on its way{again}"
