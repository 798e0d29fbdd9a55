"""Room: pipes. Starts a process of a graph, on the host of its nodes, and gives it its first words.

In: the graph with its parameters as they are now, which of its nodes the process has. Out: what the
runner knows of it. Called by: `alive`; the disks are tried by `runner`. Not here: what a process is
told later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undula.pipes.graph.model import Graph
from undula.pipes.link.slab import PAGE, SpillSlab
from undula.pipes.runner.placement import HERE, Placement, Site
from undula.pipes.runner.process import Process


def try_disks(graph: Graph, spill: Path) -> None:
    """Raises: StorageError when a folder on this host can take no frames.

    Args:
        spill: folder for frames that a policy may put on disk, where their node says none.
    """
    spilling = {edge.source for edge in graph.edges if edge.policy.kind == "spill"}
    here = [graph.nodes[n] for n in spilling if graph.nodes[n].host == HERE]
    for folder in {node.spill or str(spill) for node in here}:
        SpillSlab(Path(folder).expanduser(), 1, PAGE).close()


class Starter:
    """Starts processes.

    Args:
        placement: where they run.
        sites: where they may run, by host.
        folder: for sockets.
        spill: folder for frames that a policy may put on disk, where their node says none.
        own: texts of the beamline's own nodes.
    """

    def __init__(
        self, placement: Placement, sites: Mapping[str, Site], folder: Path, spill: Path,
        own: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._placement, self._sites = placement, sites
        self._folder, self._spill, self._own = folder, spill, own

    def start(self, graph: Graph, name: str, nodes: list[str], restarts: int) -> Process:
        """One more process with these nodes, started so often before. Raises: PipeError."""
        placed = self._placement.start(name, graph.nodes[nodes[0]].host)
        return Process(name, nodes, placed, placed.line, restarts=restarts)

    def words(self, graph: Graph, process: Process) -> dict[str, Any]:
        """What it must be told first."""
        far: dict[str, Any] | None = None
        if len({node.host for node in graph.nodes.values()}) > 1:  # for links to other hosts
            site = self._sites[graph.nodes[process.nodes[0]].host]
            far = {
                "address": site.address, "keys": str(site.keys), "ports": site.ports,
                "turn": process.restarts,
            }  # fmt: skip
        return {
            "graph": graph.plain(), "process": process.name, "folder": str(self._folder),
            "spill": str(self._spill), "nodes": self._own, "far": far,
        }  # fmt: skip
