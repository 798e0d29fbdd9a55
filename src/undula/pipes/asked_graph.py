"""Room: pipes. What is asked of a graph that a command runs: shown, changed, told to forget.

In: what somebody at the beamline asks, handed on by the engine. Out: the same done with the runner,
or an error that says what there is. The twin for detectors is `live_graph`. Called by: whoever owns
the runner, on its thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undula.core.errors import BusyError, InputError
from undula.core.log import get_logger
from undula.messages import GraphAsked
from undula.pipes.for_scans import ScanGraph
from undula.pipes.parameters import can_clear, changed, output_of, reshaped, shown
from undula.pipes.pictures import picture_path
from undula.pipes.runner.runner import Runner


class AskedGraph:
    """A graph that is run under a name, with its parameters as they are now.

    Args:
        pictures: folder for what is looked at in full.
    """

    def __init__(self, name: str, runner: Runner, types: Mapping[str, Any], pictures: Path) -> None:
        self._pictures = pictures
        self._runner = runner
        self._scan = ScanGraph(name, runner.graph, types, "", (), {})

    def do(self, asked: GraphAsked) -> dict[str, Any]:
        """Do it. Returns: as `LiveGraph` does. Raises: InputError, PipeError, BusyError."""
        node, scan, runner = asked.node, self._scan, self._runner
        match asked.action:
            case "show":
                return shown(scan) | {"runs": True}
            case "set":
                new, pairs = changed(scan, node, asked.parameters)
                if what := reshaped(scan, new):  # slots and files are for frames as they are
                    raise BusyError(
                        f"with that {what}, and it runs with frames of one form",
                        remedy="let who runs it stop it, change its file, and run it again",
                        where=node,
                    )
                names = {path.partition(".")[0] for path in pairs}
                given = new.graph.nodes[node].parameters
                runner.change(node, **{name: given[name] for name in names})
                self._scan = new
                done = {path: list(pair) for path, pair in pairs.items()}
                self._note(asked, done)
                return {"changed": done, "runs": True}
            case "clear" if can_clear(scan, node):
                runner.clear(node)
                self._note(asked, {})
                return {"runs": True}
            case "clear":
                raise InputError(
                    f"{node} has nothing to forget", remedy="clear a node that sums up, e.g. a sum"
                )
            case "result":
                port = output_of(scan, node, asked.port)
                path = picture_path(scan.device, node, port, self._pictures)
                return {"path": str(runner.write_latest(node, port, path))}
        raise InputError(
            f"the command does not know {asked.action!r}", remedy="run it with this version"
        )

    def _note(self, asked: GraphAsked, done: Mapping[str, Any]) -> None:
        get_logger().info(
            "graph_changed", graph=self._scan.device, node=asked.node, action=asked.action,
            changed=dict(done), user=asked.user,
        )  # fmt: skip
