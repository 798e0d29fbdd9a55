"""Room: pipes. The graph of a detector while it is there: shown, changed, told to forget.

In: what people ask of its nodes. Out: the same done in the process of the node, or kept for the
next start when the graph does not run; and what was changed while a run was open, for its stop
document. Called by: `detector`, for the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from undula.core.clock import now
from undula.core.errors import BusyError, InputError
from undula.core.log import get_logger
from undula.pipes.for_scans import ScanGraph
from undula.pipes.graph_of_device import as_saved, with_parameters_of
from undula.pipes.graph_thread import GraphThread
from undula.pipes.nodes.saved import SavedNodes
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.parameters import (
    Changed,
    can_clear,
    changed,
    node_of,
    output_of,
    refuse_misfits,
    reshaped,
    shown,
)
from undula.pipes.pictures import picture_path
from undula.pipes.runner.runner import Runner
from undula.pipes.wishes import Ask, Then, Wish, Wishes

CHANGE_S = 15.0
"""A node that does not answer within so long is said to be busy."""


class LiveGraph:
    """What is asked about the graph of one detector. Any thread may call it."""

    def __init__(
        self, scan: ScanGraph, thread: GraphThread, nodes: NodeFolder,
        taken: Callable[[ScanGraph], object] = lambda _: None,
    ) -> None:  # fmt: skip
        self.scan = scan
        """The graph with its parameters as they are now."""
        self.began_with = scan.types
        """The nodes that its processes are of."""
        self.answer_s = CHANGE_S
        """So long one waits for a node to do what it was asked, s."""
        self._thread = thread
        self._lock = threading.Lock()
        self.saved, self._taken = SavedNodes(nodes), taken
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        """Held while `scan` becomes another that was made of it."""
        self._changes: list[dict[str, Any]] | None = None
        self._wishes = Wishes()

    def begin_run(self) -> None:
        """What is changed from now on is changed while a run is open."""
        self._changes = []

    def end_run(self) -> list[dict[str, Any]]:
        """What was changed since the run began: time (UTC epoch s), who, what, before, now."""
        found, self._changes = self._changes, None
        return found or []

    def look(self, *, begins: bool = False) -> list[str]:
        """Before a scan: the nodes as their files are now, and what they name, fit the frames.

        What was saved is used from the next scan on: from now on, unless another scan has the
        graph, or a run is open, and `begins` does not say that it is over. The former nodes of a
        file that cannot be used stay in use.

        Returns: such files, with what is wrong. Raises: InputError.
        """
        with self._reading:
            kinds = {spec.kind for spec in self.scan.graph.nodes.values()}
            types, late = self.saved.read(kinds)
            found = as_saved(self.scan, types)
            refuse_misfits(found)
            is_free = not self._thread.needed and self._changes is None
            if found is not self.scan and (begins or is_free):
                with self._writing:  # with what was changed since
                    self.scan = found = with_parameters_of(found, self.scan)
                    self._taken(found)
                get_logger().info("nodes_taken_up", device=found.device)
            return [*late, *(str(fault) for fault in types.faults_of(kinds))]

    def shown(self) -> dict[str, Any]:
        """The graph, its nodes with their parameters, and whether it runs."""
        return shown(self.scan) | {"runs": self._thread.runner is not None}

    def change(self, node: str, given: Mapping[str, Any], user: str) -> dict[str, Any]:
        """Change parameters of a node, from its next frame on.

        Returns: `changed`, each parameter before and now; `runs`, False when it holds from the next
        start of the graph on. Raises: InputError; PipeError in the words of the node: nothing is
        changed then. BusyError when the node does not answer: what it does later is noted then.
        """
        done: dict[str, list[Any]] = {}

        def ask(runner: Runner, then: Then) -> None:
            scan, pairs = self._changed(node, given)
            names = {path.partition(".")[0] for path in pairs}
            parameters = scan.graph.nodes[node].parameters
            told = {name: parameters[name] for name in names}
            runner.ask_node(node, then, do="change", parameters=told)

        def did() -> None:
            with self._writing:
                self.scan, pairs = self._changed(node, given)
            for path, (before, after) in pairs.items():
                self._note(node, path, before, after, user)
                done[path] = [before, after]

        with self._lock:
            after, _ = self._changed(node, given)  # what does not fit need not wait for the node
            if reshaped(self.scan, after):  # slots and files are for frames as they were
                did()
                self._thread.renew()
                runs = False
            elif self.began_with is not self.scan.types:  # the next start is of these nodes
                did()
                runs = False
            else:
                runs = self._do(node, ask, did)
        return {"changed": done, "runs": runs}

    def _changed(self, node: str, given: Mapping[str, Any]) -> Changed:
        """See `parameters.changed`. Raises: InputError; BusyError for what a run must keep."""
        scan, pairs = changed(self.scan, node, given)
        if self._thread.needed and (what := reshaped(self.scan, scan)):
            raise BusyError(
                f"with that {what}, and a run is on, whose frames are of one form",
                remedy="set it after this run; undula queue complete ends it early, as good",
                where=node, device=self.scan.device,
            )  # fmt: skip
        return scan, pairs

    def clear(self, node: str, user: str) -> dict[str, Any]:
        """Let a node forget all frames so far. Raises: InputError, PipeError, BusyError."""

        def ask(runner: Runner, then: Then) -> None:
            runner.ask_node(node, then, do="clear")

        def did() -> None:
            self._note(node, "clear", None, None, user)

        with self._lock:
            if not can_clear(self.scan, node_of(self.scan, node)):
                raise InputError(
                    f"{node} has nothing to forget",
                    remedy="clear a node that sums up, e.g. a sum, a map, a histogram",
                    device=self.scan.device,
                )
            runs = self._do(node, ask, did)
        return {"runs": runs}

    def result(self, node: str, port: str) -> dict[str, Any]:
        """Write what a port of a node gave lately into a file, in full.

        Returns: `path` of a numpy file, which the next such question replaces. Raises: InputError,
        PipeError, BusyError.
        """
        port = output_of(self.scan, node, port)
        path = picture_path(self.scan.device, node, port)
        written: list[Path] = []

        def ask(runner: Runner, then: Then) -> None:
            written.append(runner.path_of_latest(node, port, path))
            runner.ask_node(node, then, do="write", port=port, path=str(written[0]))

        with self._lock:
            self._do(node, ask, lambda: None)
        if not written:
            raise InputError(
                "its graph does not run, and what its nodes gave is gone",
                remedy="take a frame; frames and values of runs are in runs[-1].data",
                device=self.scan.device,
            )
        return {"path": str(written[0])}

    def _do(self, node: str, ask: Ask, did: Callable[[], object]) -> bool:
        """Let a node do it, and `did` behind it; at once when it does not run: False then."""
        if self._thread.runner is None:
            did()
            return False
        wish = Wish(ask, did)
        self._thread.ask(partial(self._wishes.add, wish), wish.end)
        if not wish.over.wait(self.answer_s):
            raise BusyError(
                f"{node} does not answer: it may still do what was asked",
                remedy="look at its state: undula pipes top",
                device=self.scan.device,
            )
        if wish.error is not None:
            raise wish.error
        return True

    def _note(self, node: str, path: str, before: Any, after: Any, user: str) -> None:
        get_logger().info(
            "graph_changed", device=self.scan.device, node=node, parameter=path, before=before,
            after=after, user=user,
        )  # fmt: skip
        if self._changes is not None:
            self._changes.append({
                "time": now(), "user": user, "device": self.scan.device,
                "key": f"{self.scan.device}_{node}_{path.replace('.', '_')}",
                "before": before, "after": after,
            })  # fmt: skip
