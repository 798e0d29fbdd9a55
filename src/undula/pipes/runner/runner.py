"""Room: pipes. The runner: what one asks of a graph in processes, from its start to its `Outcome`.

In: a graph that was checked. Out: its status as it runs, and at the end an `Outcome`. How its
processes are kept alive is in `alive`, what they are told first in `starting`, what their sources
were given in `begun`.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from undula.messages import GraphTold
from undula.pipes.book import Book
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.graph.model import Graph
from undula.pipes.ledger import Edge, EdgeLedger
from undula.pipes.nodes.user_nodes import own_texts
from undula.pipes.runner.alive import Alive
from undula.pipes.runner.asking import Asking, refusal
from undula.pipes.runner.begun import Begun
from undula.pipes.runner.channels import Channels
from undula.pipes.runner.follows import Follows, viewers
from undula.pipes.runner.indices import TriggerIndices
from undula.pipes.runner.outcome import Outcome
from undula.pipes.runner.placement import LocalPlacement, Placement, placeable
from undula.pipes.runner.places import SPILL, OwnFolder
from undula.pipes.runner.starting import Starter, try_disks
from undula.pipes.runner.status import GraphStatus
from undula.pipes.runner.telling import all_told
from undula.pipes.runner.watched import Watched
from undula.pipes.runner.writing import put_in_order

READY_S = 60.0


class Runner:
    """A graph in processes.

    Args:
        graph: that was checked.
        types: classes of nodes by name: to know what each passes on one by one, and which text the
            beamline's own nodes are of.
        folder: for sockets; a temporary one by default, which goes with this process.
        spill: folder for frames that a policy may put on disk, where their node says none.
        placement: where processes run; on this host by default.
    Raises: GraphError when the graph names a host that the placement does not reach.
    """

    def __init__(
        self,
        graph: Graph,
        types: Mapping[str, Any],
        *,
        folder: Path | None = None,
        spill: Path | None = None,
        placement: Placement | None = None,
    ) -> None:
        placement = placement or LocalPlacement()
        self.answer_s = READY_S
        """So long a node may take to answer, s."""
        sites = placement.sites()
        placeable(graph, sites)
        self._kinds = {node.kind: types[node.kind] for node in graph.nodes.values()}
        self._temporary = None if folder else OwnFolder()
        self._folder = folder or (self._temporary.path if self._temporary else Path())
        self._spill = spill or SPILL
        self.channels = {n for n, node in graph.nodes.items() if node.kind == "channel"}
        self._waker = os.eventfd(0, os.EFD_NONBLOCK)
        self._follows = Follows(graph, types)
        self.book = Book(
            [Edge(edge.start, edge.end) for edge in graph.edges],
            [name for name in graph.nodes if not self._follows.inputs(name)],
            self._follows.all(),
        )
        self.asked = 0
        """How often `ask` has asked: the number of the last question."""
        self.viewers = viewers(graph)
        """Nodes that may sleep as long as they like: nobody waits for them."""
        self._awaited = [e.name for e in graph.edges if e.policy.kind in ("lossless", "spill")
                         and e.target not in self.viewers]  # fmt: skip
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker, selectors.EVENT_READ, "")
        self._where = {n: process for process, nodes in graph.processes().items() for n in nodes}
        self._watched = Watched(graph, self._where, self.book)
        self.status = self._watched.status
        self._channels = Channels(graph, sites, self._selector, self.book, self.status)
        self._begun = Begun()
        own = own_texts(types, [node.kind for node in graph.nodes.values()])
        self._alive = Alive(
            graph, self._where, self._follows,
            starter=Starter(placement, sites, self._folder, self._spill, own),
            begun=self._begun, book=self.book, watched=self._watched, channels=self._channels,
            selector=self._selector, answered=self._answered,
        )  # fmt: skip
        self._processes = self._alive.processes
        self._asking = Asking(
            lambda node: self._processes[self._where[node]], self.pump, lambda: self._alive.failed
        )

    @property
    def graph(self) -> Graph:
        """The graph with its parameters as they are now."""
        return self._alive.graph

    @property
    def heard(self) -> Callable[[str, Frame], object] | None:
        """Called with the edge's name and each frame that comes to a channel; valid until then."""
        return self._channels.heard

    @heard.setter
    def heard(self, heard: Callable[[str, Frame], object] | None) -> None:
        self._channels.heard = heard

    @property
    def news(self) -> bool:
        """Whether something is known of it since `told` was asked last."""
        return self._watched.news

    # ---- starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all processes; returns when they are ready, and warm.

        Raises: PipeError; StorageError when frames cannot be spilled where they should be.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            try_disks(self.graph, self._spill)
        except BaseException:  # whatever it is, it goes on to the caller
            self.close()
            raise
        self._alive.start()
        end = time.monotonic() + READY_S
        while not all(p.ready for p in self._processes.values()):
            self.pump(max(0.0, end - time.monotonic()))
            waiting = [p.name for p in self._processes.values() if not p.ready]
            if self._alive.failed or (waiting and time.monotonic() >= end):
                failed = self._alive.failed or f"{', '.join(waiting)} did not become ready"
                self.close()
                raise PipeError(
                    f"graph {self.graph.name} cannot start: {failed}",
                    remedy="look at what the node itself says above",
                )
        self.status.state = "ready"

    def begin(self, *, triggered: bool = False, first: int = 1) -> None:
        """Let the sources make frames; `triggered`: one for each call of `trigger`.

        Args:
            first: number of the first frame, where there are recorded ones to be made again, whose
                detector had counted before.
        """
        begun = self._begun
        if first > 1:
            begun.first, begun.before = first, first - 1
            begun.given = {name: first - 1 for name in self.graph.nodes
                           if not self._follows.inputs(name)}  # fmt: skip
            self._channels.forget(self.book.begin_run(first))
        begun.at, begun.triggered, begun.stopping = time.monotonic(), triggered, False
        self.status.state = "running"
        for name in self.channels:
            self.status.nodes[name].state = "running"
        for process in self._processes.values():
            self._alive.begin(process)

    def trigger(self, source: str, index: int | None = None) -> None:
        """Let a source make one frame, after `begin(triggered=True)`.

        `index` is that of the trigger in its run, from 0 on; None: as the source itself says.
        """
        begun = self._begun
        number = begun.given[source] = begun.given.get(source, 0) + 1
        if index is not None:
            begun.indices.setdefault(source, TriggerIndices()).give(number, index)
        process = self._processes[self._where[source]]
        if process.ready:  # one that is just starting is told how many it owes
            process.line.say(do="trigger", name=source, number=number, index=index)

    def begin_run(self) -> int:
        """Another run of a graph that is kept warm, whose frames are triggered.

        Frames of the run before that are still on their way are not worked on any more, and each
        process may be started anew as often as in the first run. Whoever begins a run clears the
        nodes. Returns: the number of the run's first frame.
        """
        self._begun.first = first = max(self._begun.given.values(), default=0) + 1
        self._channels.forget(self.book.begin_run(first))
        self._watched.begin_run(first)
        self._alive.begin_run(first)
        return first

    # ---- while it runs -------------------------------------------------------------------------

    def pump(self, timeout_s: float | None = 0.0) -> None:
        """Hear the processes, start those anew that died; wait so long for the first word."""
        alive = self._alive
        for process in self._processes.values():
            alive.let_listen(process)
        for name in self._channels.to_look_at():
            alive.or_fail(partial(self._channels.take, name))
        for key, mask in self._selector.select(self._channels.at_most(timeout_s)):
            if not key.data:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._waker)
                continue
            if key.data in self._channels:
                alive.or_fail(partial(self._channels.take, key.data))
                continue
            process = self._processes[key.data]
            if mask & selectors.EVENT_WRITE:
                process.line.flush()
            for words in process.line.heard():
                alive.hear(process, words)
            if process.line.ended:
                alive.died(process)
        self._asking.ask_again()
        alive.keep_short()

    def is_safe(self, node: str, seq_num: int) -> bool:
        """Whether a node which keeps frames is done with one."""
        return self.book.is_safe(node, seq_num)

    @property
    def failed(self) -> str:
        """Why the graph ends; '' while it does not, or when it was asked to."""
        return self._alive.failed

    def failed_on(self, seq_num: int) -> list[str]:
        """Edges that wait for their node, and whose node raised on this frame."""
        return self.book.failed_on(seq_num, self._awaited)

    def failed_until(self, seq_num: int, after: int = 0) -> int | None:
        """The first frame of this run on which a node raised that is waited for.

        Of those behind `after`, up to `seq_num`.
        """
        return self.book.failed_until(seq_num, self._awaited, after)

    @property
    def causes(self) -> Mapping[str, str]:
        """What nodes said that went wrong in this run, each first, in the order it was heard."""
        return self._watched.causes

    def waits_at(self, seq_num: int) -> list[str]:
        """Edges that may lose nothing, where this frame is on its way, and not beyond."""
        names = set(self.book.waits_at(seq_num, self._alive.lossless))
        there = [edge for edge in self.graph.edges if edge.name in names]
        beyond = {edge.source for edge in there}
        return [edge.name for edge in there if edge.target not in beyond]

    @property
    def ledgers(self) -> Mapping[str, EdgeLedger]:
        """What is known of each edge, by its name, since its processes spoke last."""
        return {edge.name: self.book.ledger(edge.name) for edge in self.graph.edges}

    def ask(self) -> None:
        """Let all processes say now how they are doing; `pump` hears it.

        One that has not yet answered is not asked again.
        """
        self.asked += 1
        for process in self._processes.values():
            if process.ready and not process.over and process.asked <= process.answered:
                process.asked = self.asked
                process.line.say(do="tell", question=self.asked)

    def answered(self, nodes: Iterable[str]) -> int:
        """The processes of all these nodes have spoken behind the question with this number."""
        processes = [self._processes[self._where[node]] for node in nodes]
        return min((p.answered for p in processes if not p.over), default=self.asked)

    def restarts(self, node: str) -> int:
        """How often the process of a node was started anew."""
        return self._processes[self._where[node]].restarts

    def tell(self, timeout_s: float, *, viewers_s: float = 0.0) -> bool:
        """Hear now how all processes are doing.

        Processes in which are only viewers are waited for until `viewers_s` at most.
        Returns: False when another one does not say so in time.
        """
        processes, viewers = self._processes, self.viewers
        return all_told(processes, viewers, self.pump, timeout_s, min(timeout_s, viewers_s))

    def wake(self) -> None:
        """From any thread: let a `pump` that waits return."""
        os.eventfd_write(self._waker, 1)

    def change(self, node: str, **parameters: Any) -> None:
        """Change parameters of a node; they hold from its next frame on. Raises: PipeError."""
        self.change_within(self.answer_s, node, parameters)

    def change_within(self, within_s: float, node: str, parameters: Mapping[str, Any]) -> None:
        """The same; raises PipeError naming its process when it has not answered in time, too."""
        if node not in self._where:
            raise PipeError(
                f"there is no node {node!r}", remedy=f"there are {', '.join(sorted(self._where))}"
            )
        asked = self._asking.ask(node, do="change", parameters=dict(parameters))
        self._asking.wait([asked], within_s)

    def clear(self, node: str, within_s: float | None = None) -> None:
        """Let a node forget what it has accumulated; a file begins anew. Raises: PipeError.

        `within_s`: so long it may take to answer; `answer_s` by default.
        """
        within_s = self.answer_s if within_s is None else within_s
        self._asking.wait([self._asking.ask(node, do="clear")], within_s)

    def begin_nodes(self, changes: Mapping[str, Mapping[str, Any]], within_s: float) -> None:
        """Let all nodes behind the sources forget the run before; some with other parameters.

        All are asked at once. Viewers are not waited for: one that sleeps forgets when it wakes,
        before it works on a frame of this run; see `asleep`.

        Raises: PipeError with what a node says, or naming the one that has not answered in time.
        """
        nodes = [node for node in self._where if self._follows.inputs(node)]
        self._asking.wait(self._asking.ask_to_begin(nodes, self.viewers, changes), within_s)
        for node in {one.node for one in self._asking.asleep()} & changes.keys():
            self._alive.note_change(node, changes[node])

    def asleep(self, for_s: float) -> dict[str, int]:
        """Viewers that have not begun this run for so long, and their process ids."""
        since = time.monotonic() - for_s
        late = [one for one in self._asking.asleep() if one.since <= since]
        return {one.node: self._processes[self._where[one.node]].process.pid for one in late}

    def _answered(self, number: int, refused: str) -> None:
        found = self._asking.answered(number, refused)
        if found is None:
            return
        if found.words["do"] == "change" and not refused:  # at once: it may die before the others
            self._alive.note_change(found.node, found.words["parameters"])
        if not found.waited_for and refused:
            self._watched.note(found.node, refused)
        if found.then is not None:
            found.then(refused)

    def ask_node(self, node: str, then: Callable[[PipeError | None], object], **words: Any) -> None:
        """Ask a node something, and do not wait: it may be busy for long.

        `then` is called by `pump`, or by `close`, with what the node says against it.
        """
        self._asking.ask(
            node, then=lambda refused: then(refusal(node, refused) if refused else None), **words
        )

    def write_latest(self, node: str, port: str, path: Path | None = None) -> Path:
        """Write what a port gave lately into a numpy file, in full.

        Args:
            path: of the file; None: beside the sockets of the graph, as long as it runs.
        Returns: its path. Raises: PipeError.
        """
        path = self.path_of_latest(node, port, path)
        asked = self._asking.ask(node, do="write", port=port, path=str(path))
        self._asking.wait([asked], self.answer_s)
        return path

    def path_of_latest(self, node: str, port: str, path: Path | None = None) -> Path:
        """Where what a port gave is written. Raises: PipeError when it cannot be, here."""
        if node in self.channels:
            raise PipeError(f"{node} gives nothing", remedy="ask the node before it")
        if host := self.graph.nodes[node].host:
            raise PipeError(
                f"{node} runs on {host}: what it gave would be written there",
                remedy="ask a node on this host that gets it",
            )
        return path or self._folder / f"{node}.{port}.npy"

    def stop(self) -> None:
        """Let the sources make no further frame; what is on its way is worked on."""
        self._alive.stop()

    @property
    def over(self) -> bool:
        """Whether every node has ended."""
        return self._alive.over

    def told(self, name: str) -> GraphTold:
        """How it runs, as a message under this name."""
        return self._watched.told(name, self.graph)

    def pids(self) -> dict[str, int]:
        """Process ids by name of the process."""
        return {name: p.process.pid for name, p in self._processes.items()}

    # ---- the end -------------------------------------------------------------------------------

    def run(
        self,
        duration_s: float | None = None,
        *,
        triggers: int | None = None,
        show: Callable[[GraphStatus], object] | None = None,
        first: int = 1,
    ) -> Outcome:
        """Begin, and wait for the end, or stop after so long.

        `show` is called with the status; `first` is as in `begin`.
        """
        self.begin(first=first)
        end = None if duration_s is None else time.monotonic() + duration_s
        while not self.over:
            left = None if end is None else max(0.0, end - time.monotonic())
            self.pump(left)
            if end is not None and time.monotonic() >= end:
                self.stop()
                end = None
            if show is not None:
                show(self.status)
            if self._alive.failed and any(p.over for p in self._processes.values()):
                break
        return self.outcome(triggers)

    def outcome(self, triggers: int | None = None) -> Outcome:
        """The ledger and the status now. `triggers`: frames asked for, by default those made."""
        report = self.book.report(triggers)
        report.triggers -= self._begun.before if triggers is None else 0
        if self.over and not self._alive.failed:
            self.status.state = "ended"
            for name in self.channels:
                self.status.nodes[name].state = "ended"
        return Outcome(report, self.status, self._alive.failed)

    def close(self) -> None:
        """End all processes, whatever they do."""
        self._asking.end()
        self._alive.close()
        self._channels.close()
        self._selector.close()
        os.close(self._waker)
        self._alive.unlink()
        put_in_order(self.graph, self._kinds)
        if self._temporary is not None:
            self._temporary.close()

    def kill(self, why: str) -> None:
        """From any thread: end all processes at once, as one that does not listen must be."""
        self._alive.kill(why)
        self.wake()

    def __enter__(self) -> Runner:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
