"""Room: pipes. The runner: starts the processes of a graph, watches them, adds up the ledger.

In: a graph that was checked. Out: its status as it runs, and at the end an `Outcome`. A process
that dies is started again: its lossless edges go on where they were. One that dies again and again
ends the graph, and is named.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from undula.core.errors import UndulaError
from undula.messages import GraphTold
from undula.pipes.book import Book
from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.graph.model import Graph
from undula.pipes.intervals import packed
from undula.pipes.ledger import Edge, EdgeLedger, Report
from undula.pipes.link.slab import PAGE, SpillSlab
from undula.pipes.nodes.user_nodes import own_texts
from undula.pipes.runner.asking import Asking, Question
from undula.pipes.runner.channels import Channels
from undula.pipes.runner.follows import Follows, viewers
from undula.pipes.runner.indices import TriggerIndices
from undula.pipes.runner.parent import QUIT_S
from undula.pipes.runner.placement import HERE, LocalPlacement, Placement, placeable
from undula.pipes.runner.places import SPILL, OwnFolder
from undula.pipes.runner.process import Process, Round
from undula.pipes.runner.status import GraphStatus
from undula.pipes.runner.watched import Watched
from undula.pipes.runner.writing import put_in_order

MAX_RESTARTS = 5
READY_S = 60.0


@dataclass(slots=True)
class Outcome:
    """How a graph ended: the ledger of the run, the last status, why it stopped if it failed."""

    report: Report
    status: GraphStatus
    failed: str = ""

    @property
    def ok(self) -> bool:
        """It ended by itself or as asked, and every frame is accounted for."""
        return not self.failed and self.report.complete


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
        self._placement: Placement = placement or LocalPlacement()
        self.answer_s = READY_S
        """So long a node may take to answer, s."""
        self._sites = self._placement.sites()
        placeable(graph, self._sites)
        self._far = len({node.host for node in graph.nodes.values()}) > 1
        self.graph = graph
        self._kinds = {node.kind: types[node.kind] for node in graph.nodes.values()}
        self._temporary = None if folder else OwnFolder()
        self._folder = folder or (self._temporary.path if self._temporary else Path())
        self._spill = spill or SPILL
        self._nodes = own_texts(types, [node.kind for node in graph.nodes.values()])
        self._processes: dict[str, Process] = {}
        self.channels = {n for n, node in graph.nodes.items() if node.kind == "channel"}
        self._where = {n: process for process, nodes in graph.processes().items() for n in nodes}
        self._waker = os.eventfd(0, os.EFD_NONBLOCK)
        self._paths: dict[str, str] = {}
        self._lossless = [e.name for e in graph.edges if e.policy.kind == "lossless"]
        self._awaited = [e.name for e in graph.edges if e.policy.kind in ("lossless", "spill")]
        self._follows = Follows(graph, types)
        self.book = Book(
            [Edge(edge.start, edge.end) for edge in graph.edges],
            [name for name in graph.nodes if not self._follows.inputs(name)],
            self._follows.all(),
        )
        self._begun_at, self._triggered, self._stopping = 0.0, False, False
        self.asked = 0
        """How often `ask` has asked: the number of the last question."""
        self._given: dict[str, int] = {}
        self._indices: dict[str, TriggerIndices] = {}
        self._first = 0
        self._before = 0
        """Numbers below that of the first frame that is made: nobody asked for them."""
        self._remembered: dict[str, dict[str, int]] = {}
        self._round = Round()
        self._failed = ""
        self._killed = False
        self._asking = Asking(
            lambda node: self._processes[self._where[node]], self.pump, lambda: self._failed
        )
        self.viewers = viewers(graph)
        """Nodes that may sleep as long as they like: nobody waits for them."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker, selectors.EVENT_READ, "")
        self._watched = Watched(graph, self._where, self.book)
        self.status = self._watched.status
        self._channels = Channels(graph, self._sites, self._selector, self.book, self.status)

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
            self._try_disks()
        except BaseException:  # whatever it is, it goes on to the caller
            self.close()
            raise
        for name, nodes in self.graph.processes().items():
            self._spawn(name, nodes, 0)
        end = time.monotonic() + READY_S
        while not all(p.ready for p in self._processes.values()):
            self.pump(max(0.0, end - time.monotonic()))
            waiting = [p.name for p in self._processes.values() if not p.ready]
            if self._failed or (waiting and time.monotonic() >= end):
                failed = self._failed or f"{', '.join(waiting)} did not become ready"
                self.close()
                raise PipeError(
                    f"graph {self.graph.name} cannot start: {failed}",
                    remedy="look at what the node itself says above",
                )
        self.status.state = "ready"

    def _try_disks(self) -> None:
        """Raises: StorageError when a folder on this host can take no frames."""
        spilling = {edge.source for edge in self.graph.edges if edge.policy.kind == "spill"}
        here = [self.graph.nodes[n] for n in spilling if self.graph.nodes[n].host == HERE]
        for folder in {node.spill or str(self._spill) for node in here}:
            SpillSlab(Path(folder).expanduser(), 1, PAGE).close()

    def _spawn(self, name: str, nodes: list[str], restarts: int) -> None:
        host = self.graph.nodes[nodes[0]].host
        process = self._placement.start(name, host)
        line = process.line
        made = Process(name, nodes, process, line, restarts=restarts)
        self._processes[name] = made
        self._selector.register(line.fileno(), selectors.EVENT_READ, name)
        line.say(
            graph=self.graph.plain(), process=name,
            folder=str(self._folder), spill=str(self._spill),
            nodes=self._nodes, far=self._far_words(host, restarts),
        )  # fmt: skip

    def _far_words(self, host: str, turn: int) -> dict[str, Any] | None:
        """What a process needs for links to other hosts."""
        site = self._sites[host]
        words = {"address": site.address, "keys": str(site.keys), "ports": site.ports}
        return words | {"turn": turn} if self._far else None

    def begin(self, *, triggered: bool = False, first: int = 1) -> None:
        """Let the sources make frames; `triggered`: one for each call of `trigger`.

        Args:
            first: number of the first frame, where there are recorded ones to be made again, whose
                detector had counted before.
        """
        if first > 1:
            self._first, self._before = first, first - 1
            self._given = {name: first - 1 for name in self.graph.nodes
                           if not self._follows.inputs(name)}  # fmt: skip
            self._channels.forget(self.book.begin_run(first))
        self._begun_at, self._triggered = time.monotonic(), triggered
        self._stopping = False
        self.status.state = "running"
        for name in self.channels:
            self.status.nodes[name].state = "running"
        for process in self._processes.values():
            self._begin(process)

    def _begin(self, process: Process) -> None:
        sources = {
            name: {
                "resume": self.book.resumed(name, self._lossless),
                "given": self._given.get(name, 0),
                "indices": self._indices.get(name, TriggerIndices()).plain(),
                "again": process.restarts > 0,
                "made": self.book.made_by(name),
                "remembered": self._remembered.get(name, {}),
            }
            for name in process.nodes
            if not self._follows.inputs(name) and not process.finished
        }
        if process.finished:
            process.line.say(do="stop")
        inside = [e.name for e in self.graph.edges if {e.source, e.target} <= set(process.nodes)]
        process.line.say(
            do="begin", at=self._begun_at, triggered=self._triggered, sources=sources,
            first=self._first, done=self._done_on(inside) if process.restarts else {},
        )  # fmt: skip
        if self._stopping:  # it was asked of the one before
            process.line.say(do="stop")

    def trigger(self, source: str, index: int | None = None) -> None:
        """Let a source make one frame, after `begin(triggered=True)`.

        `index` is that of the trigger in its run, from 0 on; None: as the source itself says.
        """
        number = self._given[source] = self._given.get(source, 0) + 1
        if index is not None:
            self._indices.setdefault(source, TriggerIndices()).give(number, index)
        process = self._processes[self._where[source]]
        if process.ready:  # one that is just starting is told how many it owes
            process.line.say(do="trigger", name=source, number=number, index=index)

    def begin_run(self) -> int:
        """Another run of a graph that is kept warm, whose frames are triggered.

        Frames of the run before that are still on their way are not worked on any more, and each
        process may be started anew as often as in the first run. Whoever begins a run clears the
        nodes. Returns: the number of the run's first frame.
        """
        self._first = max(self._given.values(), default=0) + 1
        self._channels.forget(self.book.begin_run(self._first))
        self._round = Round()
        self._watched.begin_run(self._first)
        for process in self._processes.values():
            process.forgiven = process.restarts
            if process.ready:
                process.line.say(do="run", first=self._first)
        return self._first

    # ---- while it runs -------------------------------------------------------------------------

    def pump(self, timeout_s: float | None = 0.0) -> None:
        """Hear the processes, start those anew that died; wait so long for the first word."""
        for process in self._processes.values():
            self._let_listen(process)
        for name in self._channels.to_look_at():
            self._or_fail(partial(self._channels.take, name))
        for key, mask in self._selector.select(self._channels.at_most(timeout_s)):
            if not key.data:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._waker)
                continue
            if key.data in self._channels:
                self._or_fail(partial(self._channels.take, key.data))
                continue
            process = self._processes[key.data]
            if mask & selectors.EVENT_WRITE:
                process.line.flush()
            for words in process.line.heard():
                self._hear(process, words)
            if process.line.ended:
                self._died(process)
        self._asking.ask_again()
        self._keep_short()

    def _let_listen(self, process: Process) -> None:
        """Wait for room for the words that are kept for it; one that listens no more is killed."""
        line = process.line
        if line.deaf:
            for name in process.nodes:
                self._watched.note(name, "it did not listen any more, and was killed")
            process.process.kill()
        if line.keeps != process.writing and not line.ended:
            process.writing = line.keeps
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.keeps else 0)
            self._selector.modify(line.fileno(), events, process.name)

    def _or_fail(self, work: Callable[[], object]) -> None:
        try:
            work()
        except UndulaError as exc:
            self._fail(str(exc))

    def _keep_short(self) -> None:
        """Close a page of the book, once all processes have said what they know of its frames."""
        processes = list(self._processes.values())
        if self._round.begin_if(self.book, processes):
            for process in processes:
                if not process.over:
                    process.line.say(do="tell", round=self._round.number)
        elif self._round.is_done(processes):
            page = self._round.end()
            self.book.all_told()
            if page:
                closed = self.book.close(page)
                self._channels.forget(closed)
                for process in processes:
                    process.line.say(do="close", frames=packed(closed.intervals()))

    def is_safe(self, node: str, seq_num: int) -> bool:
        """Whether a node which keeps frames is done with one."""
        return self.book.is_safe(node, seq_num)

    @property
    def failed(self) -> str:
        """Why the graph ends; '' while it does not, or when it was asked to."""
        return self._failed

    def failed_on(self, seq_num: int) -> list[str]:
        """Edges that wait for their node, and whose node raised on this frame."""
        return self.book.failed_on(seq_num, self._awaited)

    def failed_until(self, seq_num: int) -> int | None:
        """The first frame of this run up to that one on which a node raised that is waited for."""
        return self.book.failed_until(seq_num, self._awaited)

    @property
    def causes(self) -> Mapping[str, str]:
        """What nodes said that went wrong in this run, each first, in the order it was heard."""
        return self._watched.causes

    def waits_at(self, seq_num: int) -> list[str]:
        """Edges that may lose nothing, where this frame is on its way, and not beyond."""
        names = set(self.book.waits_at(seq_num, self._lossless))
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
        begun = time.monotonic()
        end, viewers_end = begun + timeout_s, begun + min(timeout_s, viewers_s)
        asked: dict[str, Process] = {}
        for process in self._processes.values():
            process.told = process.over
        while True:
            waiting = [p for p in self._processes.values() if not p.told and not p.over]
            for process in waiting:  # one that died meanwhile: its successor
                if process.ready and asked.get(process.name) is not process:
                    asked[process.name] = process
                    process.line.say(do="tell")
            awake = any(not self.viewers.issuperset(process.nodes) for process in waiting)
            left_s = (end if awake else viewers_end) - time.monotonic()
            if not waiting or left_s <= 0:
                return not awake
            self.pump(left_s)

    def wake(self) -> None:
        """From any thread: let a `pump` that waits return."""
        os.eventfd_write(self._waker, 1)

    def _hear(self, process: Process, words: Mapping[str, Any]) -> None:
        if "ready" in words:
            process.ready = True
            for edge in self.graph.edges:
                if edge.target in process.nodes and edge.name in self._paths:
                    self._say_connect(process, edge.name)
            if self._begun_at:
                self._begin(process)
        elif "outlet" in words:
            self._connect(words["outlet"], words["edges"])
        elif "nodes" in words:
            self._take_status(process, words)
        elif "trouble" in words:
            self._fail(str(words["trouble"]))
        elif "answer" in words:
            self._answered(int(words["answer"]), str(words["refused"]))
        else:
            self._note(process, words)

    def _note(self, process: Process, words: Mapping[str, Any]) -> None:
        """What must be known of a process should it die."""
        if "safe" in words:
            self.book.kept(str(words["safe"]), words["frames"])
        elif "remembered" in words:
            self._remembered[str(words["name"])] = words["remembered"]
        elif "fault" in words:  # its last words; a successor may do better
            for name in process.nodes:
                self._watched.note(name, str(words["fault"]))

    def _connect(self, path: str, edges: Sequence[str]) -> None:
        """A producer is there: let its consumers know."""
        for name in edges:
            self._paths[name] = path
            edge = next(e for e in self.graph.edges if e.name == name)
            if edge.target in self.channels:
                self._or_fail(partial(self._channels.join, edge, path))
                continue
            other = self._processes[self._where[edge.target]]
            if other.ready:
                self._say_connect(other, name)

    def _say_connect(self, process: Process, edge: str) -> None:
        """Where the producer of an edge is, and what is done there."""
        done = self._done_on([edge]) if process.restarts else {}
        process.line.say(do="connect", name=edge, path=self._paths[edge], done=done)

    def _done_on(self, edges: Sequence[str]) -> dict[str, list[list[list[int]]]]:
        """Frames of edges that their nodes have done with, and those on which they raised."""
        found = {name: (self.book.done_on(name, self._lossless), self.book.failed(name))
                 for name in edges}  # fmt: skip
        return {name: [packed(fate.intervals()) for fate in fates]
                for name, fates in found.items() if any(fates)}  # fmt: skip

    def _take_status(self, process: Process, words: Mapping[str, Any]) -> None:
        process.over = bool(words["over"])
        process.told = process.told or bool(words.get("asked"))
        process.answered = max(process.answered, words["question"])
        self._round.heard(process, words.get("asked"))
        for name, stopped_by in self._watched.take(process, words):
            if not self._failed:
                self._fail(f"node {name}: {stopped_by}")
                self._give_up(name)

    def _died(self, process: Process) -> None:
        self._selector.unregister(process.line.fileno())
        process.line.close()
        code = process.process.wait() or 0
        finished = process.over or process.finished
        if self._killed or (process.over and self.over):
            process.over = True
            return  # nobody needs it any more; before that others may still have to hear its end
        if process.over:
            self.book.left(process.nodes, self._lossless)
        else:
            self.book.died(process.nodes, self._follows.untold(process.nodes), self._lossless)
        process.over = False
        self._round = Round()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        for name in process.nodes:
            status = self.status.nodes[name]
            status.state = "dead"
            if not status.error:
                self._watched.note(name, f"its process ended: {how}")
            for edge in self.graph.out_of(name):
                self._paths.pop(edge.name, None)
        often = process.restarts - process.forgiven >= MAX_RESTARTS
        if often or (not process.ready and code >= 0):  # killed at its start: start it again
            said = {self.status.nodes[name].error for name in process.nodes}
            why = "".join(f": {text}" for text in sorted(said) if text and how not in text)
            self._fail(
                f"process {process.name} ended ({how}), {process.restarts} times before{why}"
            )
            process.over = process.given_up = True
            for name in process.nodes:
                self._give_up(name)
            return
        self._spawn(process.name, process.nodes, process.restarts + 1)
        successor = self._processes[process.name]
        successor.forgiven, successor.finished = process.forgiven, finished

    def _give_up(self, node: str) -> None:
        """Nobody will take its frames: let those before it go on to the end."""
        for edge in self.graph.into(node):
            self._processes[self._where[edge.source]].line.say(do="forget", name=edge.name)

    def _fail(self, why: str) -> None:
        self._failed = self._failed or why
        self.status.state = "failed"
        self.stop()

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
        self._note_change(node, parameters)

    def clear(self, node: str) -> None:
        """Let a node forget what it has accumulated; a file begins anew. Raises: PipeError."""
        self._asking.wait([self._asking.ask(node, do="clear")], self.answer_s)

    def begin_nodes(self, changes: Mapping[str, Mapping[str, Any]], within_s: float) -> None:
        """Let all nodes behind the sources forget the run before; some with other parameters.

        All are asked at once. Viewers are not waited for: one that sleeps forgets when it wakes,
        before it works on a frame of this run; see `asleep`.

        Raises: PipeError with what a node says, or naming the one that has not answered in time.
        """
        asked: list[Question] = []
        for node in self._where:
            if not self._follows.inputs(node):
                continue
            words: list[dict[str, Any]] = [{"do": "clear"}]
            if node in changes:
                words.insert(0, {"do": "change", "parameters": dict(changes[node])})
            waited_for = node not in self.viewers
            questions = [self._asking.ask(node, waited_for=waited_for, **one) for one in words]
            asked += questions if waited_for else ()
        self._asking.wait(asked, within_s)
        for node, parameters in changes.items():
            self._note_change(node, parameters)

    def asleep(self, for_s: float) -> dict[str, int]:
        """Viewers that have not begun this run for so long, and their process ids."""
        since = time.monotonic() - for_s
        late = [one for one in self._asking.asleep() if one.since <= since]
        return {one.node: self._processes[self._where[one.node]].process.pid for one in late}

    def _note_change(self, node: str, parameters: Mapping[str, Any]) -> None:
        spec = self.graph.nodes[node]  # a process that is started anew has them too
        changed = replace(spec, parameters={**spec.parameters, **parameters})
        self.graph = replace(self.graph, nodes={**self.graph.nodes, node: changed})
        for process in self._processes.values():  # files that are begun now tell of it
            if process.ready:
                process.line.say(do="note", name=node, parameters=dict(changed.parameters))

    def _answered(self, number: int, refused: str) -> None:
        found = self._asking.answered(number, refused)
        if found is not None and not found.waited_for and refused:
            self._watched.note(found.node, refused)

    def write_latest(self, node: str, port: str, path: Path | None = None) -> Path:
        """Write what a port gave lately into a numpy file, in full.

        Args:
            path: of the file; None: beside the sockets of the graph, as long as it runs.
        Returns: its path. Raises: PipeError.
        """
        if node in self.channels:
            raise PipeError(f"{node} gives nothing", remedy="ask the node before it")
        path = path or self._folder / f"{node}.{port}.npy"
        asked = self._asking.ask(node, do="write", port=port, path=str(path))
        self._asking.wait([asked], self.answer_s)
        return path

    def stop(self) -> None:
        """Let the sources make no further frame; what is on its way is worked on."""
        self._stopping = True
        for process in self._processes.values():
            process.line.say(do="stop")

    @property
    def over(self) -> bool:
        """Whether every node has ended."""
        return self._channels.ended and all(p.over for p in self._processes.values())

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
            if self._failed and any(p.over for p in self._processes.values()):
                break
        return self.outcome(triggers)

    def outcome(self, triggers: int | None = None) -> Outcome:
        """The ledger and the status now. `triggers`: frames asked for, by default those made."""
        report = self.book.report(triggers)
        report.triggers -= self._before if triggers is None else 0
        if self.over and not self._failed:
            self.status.state = "ended"
            for name in self.channels:
                self.status.nodes[name].state = "ended"
        return Outcome(report, self.status, self._failed)

    def close(self) -> None:
        """End all processes, whatever they do."""
        for process in self._processes.values():
            process.line.say(do="quit")
        end = time.monotonic() + QUIT_S
        for process in self._processes.values():
            if process.process.wait(max(0.0, end - time.monotonic())) is None:
                process.process.kill()
                process.process.wait()
            process.line.close()
        self._channels.close()
        self._selector.close()
        os.close(self._waker)
        for edge in self._paths.values():
            if not edge.startswith("tcp://"):
                Path(edge).unlink(missing_ok=True)
        put_in_order(self.graph, self._kinds)
        if self._temporary is not None:
            self._temporary.close()

    def kill(self, why: str) -> None:
        """From any thread: end all processes at once, as one that does not listen must be."""
        self._killed, self._failed = True, self._failed or why
        for process in list(self._processes.values()):
            process.process.kill()
        self.wake()

    def __enter__(self) -> Runner:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
