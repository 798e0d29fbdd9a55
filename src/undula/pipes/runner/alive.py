"""Room: pipes. Keeps the processes of a graph alive: starts them, connects them, hears them.

In: words of the processes, and that they ended. Out: producers joined with consumers, what was said
to the book and the status; a process that dies is started again: its lossless edges go on where
they were. One that dies again and again ends the graph, and is named. Called by: `runner`, which
waits for the words. Not here: what a user of the graph asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Any

from undula.core.errors import UndulaError
from undula.pipes.book import Book
from undula.pipes.graph.model import Graph
from undula.pipes.intervals import packed
from undula.pipes.runner.begun import Begun
from undula.pipes.runner.channels import Channels
from undula.pipes.runner.follows import Follows
from undula.pipes.runner.parent import QUIT_S
from undula.pipes.runner.process import Process, Round
from undula.pipes.runner.starting import Starter
from undula.pipes.runner.watched import Watched

MAX_RESTARTS = 5


class Alive:
    """The processes of a graph.

    Args:
        graph: that was checked.
        where: process of each node that has one; a channel has none.
        follows: what follows from its edges.
        starter: starts one of them.
        begun: what their sources were given.
        book: that learns what is said of frames.
        watched: that learns how they are doing.
        channels: edges that end here.
        selector: that waits for their words, under the name of the process.
        answered: called with the number of a question to a node, and why not; '' when it was done.
    """

    def __init__(
        self, graph: Graph, where: Mapping[str, str], follows: Follows, *,
        starter: Starter, begun: Begun, book: Book, watched: Watched, channels: Channels,
        selector: BaseSelector, answered: Callable[[int, str], object],
    ) -> None:  # fmt: skip
        self.graph = graph
        """With the parameters of now: a process that is started anew has them too."""
        self.processes: dict[str, Process] = {}
        self.failed = ""
        """Why the graph ends; '' while it does not, or when it was asked to."""
        self._killed = False
        self._round = Round()
        self._paths: dict[str, str] = {}
        """Where the producer of each edge is."""
        self._where, self._follows = where, follows
        self._starter, self._begun = starter, begun
        self._book, self._watched, self._channels = book, watched, channels
        self._selector, self._answered = selector, answered
        self.lossless = [e.name for e in graph.edges if e.policy.kind == "lossless"]

    @property
    def over(self) -> bool:
        """Whether every node has ended."""
        return self._channels.ended and all(p.over for p in self.processes.values())

    # ---- starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all; they say when they are ready. Raises: PipeError."""
        for name, nodes in self.graph.processes().items():
            self._spawn(name, nodes, 0)

    def _spawn(self, name: str, nodes: list[str], restarts: int) -> Process:
        made = self._starter.start(self.graph, name, nodes, restarts)
        self.processes[name] = made
        self._selector.register(made.line.fileno(), EVENT_READ, name)
        made.line.say(**self._starter.words(self.graph, made))
        return made

    def begin(self, process: Process) -> None:
        """Let the sources of a process make frames, from where the one before it was."""
        names = [n for n in process.nodes if not self._follows.inputs(n) and not process.finished]
        again = process.restarts > 0
        sources = self._begun.sources(names, self._book, self.lossless, again=again)
        if process.finished:
            process.line.say(do="stop")
        inside = [e.name for e in self.graph.edges if {e.source, e.target} <= set(process.nodes)]
        process.line.say(
            do="begin", at=self._begun.at, triggered=self._begun.triggered, sources=sources,
            first=self._begun.first, done=self._done_on(inside) if again else {},
        )  # fmt: skip
        if self._begun.stopping:  # it was asked of the one before
            process.line.say(do="stop")

    def begin_run(self, first: int) -> None:
        """Another run begins with this frame: each may be started anew as often as in the first."""
        self._round = Round()
        for process in self.processes.values():
            process.forgiven = process.restarts
            if process.ready:
                process.line.say(do="run", first=first)

    # ---- hearing -------------------------------------------------------------------------------

    def let_listen(self, process: Process) -> None:
        """Wait for room for the words that are kept for it; one that listens no more is killed."""
        line = process.line
        if line.deaf:
            for name in process.nodes:
                self._watched.note(name, "it did not listen any more, and was killed")
            process.process.kill()
        if line.keeps != process.writing and not line.ended:
            process.writing = line.keeps
            events = EVENT_READ | (EVENT_WRITE if line.keeps else 0)
            self._selector.modify(line.fileno(), events, process.name)

    def hear(self, process: Process, words: Mapping[str, Any]) -> None:
        """A process said something."""
        if "ready" in words:
            process.ready = True
            for edge in self.graph.edges:
                if edge.target in process.nodes and edge.name in self._paths:
                    self._say_connect(process, edge.name)
            if self._begun.at:
                self.begin(process)
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

    def note_change(self, node: str, parameters: Mapping[str, Any]) -> None:
        """A node took these: one that is started anew has them too, files begun now tell of it."""
        spec = self.graph.nodes[node]
        changed = replace(spec, parameters={**spec.parameters, **parameters})
        self.graph = replace(self.graph, nodes={**self.graph.nodes, node: changed})
        for process in self.processes.values():
            if process.ready:
                process.line.say(do="note", name=node, parameters=dict(changed.parameters))

    def _note(self, process: Process, words: Mapping[str, Any]) -> None:
        """What must be known of a process should it die."""
        if "safe" in words:
            self._book.kept(str(words["safe"]), words["frames"])
        elif "remembered" in words:
            self._begun.remembered[str(words["name"])] = words["remembered"]
        elif "fault" in words:  # its last words; a successor may do better
            for name in process.nodes:
                self._watched.note(name, str(words["fault"]))

    def _connect(self, path: str, edges: Sequence[str]) -> None:
        """A producer is there: let its consumers know."""
        for name in edges:
            self._paths[name] = path
            edge = next(e for e in self.graph.edges if e.name == name)
            if edge.target not in self._where:  # a channel
                self.or_fail(partial(self._channels.join, edge, path))
                continue
            other = self.processes[self._where[edge.target]]
            if other.ready:
                self._say_connect(other, name)

    def _say_connect(self, process: Process, edge: str) -> None:
        """Where the producer of an edge is, and what is done there."""
        done = self._done_on([edge]) if process.restarts else {}
        process.line.say(do="connect", name=edge, path=self._paths[edge], done=done)

    def _done_on(self, edges: Iterable[str]) -> dict[str, list[list[list[int]]]]:
        """Frames of edges that their nodes have done with, and those on which they raised."""
        found = {name: (self._book.done_on(name, self.lossless), self._book.failed(name))
                 for name in edges}  # fmt: skip
        return {name: [packed(fate.intervals()) for fate in fates]
                for name, fates in found.items() if any(fates)}  # fmt: skip

    def _take_status(self, process: Process, words: Mapping[str, Any]) -> None:
        process.over = bool(words["over"])
        process.told = process.told or bool(words.get("asked"))
        process.answered = max(process.answered, words["question"])
        self._round.heard(process, words.get("asked"))
        for name, stopped_by in self._watched.take(process, words):
            if not self.failed:
                self._fail(f"node {name}: {stopped_by}")
                self._give_up(name)

    def keep_short(self) -> None:
        """Close a page of the book, once all processes have said what they know of its frames."""
        processes = list(self.processes.values())
        if self._round.begin_if(self._book, processes):
            for process in processes:
                if not process.over:
                    process.line.say(do="tell", round=self._round.number)
        elif self._round.is_done(processes):
            page = self._round.end()
            self._book.all_told()
            if page:
                closed = self._book.close(page)
                self._channels.forget(closed)
                for process in processes:
                    process.line.say(do="close", frames=packed(closed.intervals()))

    # ---- ending --------------------------------------------------------------------------------

    def died(self, process: Process) -> None:
        """A process has ended: start it anew, unless nobody needs it or it ended too often."""
        self._selector.unregister(process.line.fileno())
        process.line.close()
        code = process.process.wait() or 0
        finished = process.over or process.finished
        if self._killed or (process.over and self.over):
            process.over = True
            return  # nobody needs it any more; before that others may still have to hear its end
        if process.over:
            self._book.left(process.nodes, self.lossless)
        else:
            untold = self._follows.untold(process.nodes)
            self._book.died(process.nodes, untold, self.lossless)
        process.over = False
        self._round = Round()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        nodes = self._watched.status.nodes
        for name in process.nodes:
            nodes[name].state = "dead"
            if not nodes[name].error:
                self._watched.note(name, f"its process ended: {how}")
            for edge in self.graph.out_of(name):
                self._paths.pop(edge.name, None)
        often = process.restarts - process.forgiven >= MAX_RESTARTS
        if often or (not process.ready and code >= 0):  # killed at its start: start it again
            said = {nodes[name].error for name in process.nodes}
            why = "".join(f": {text}" for text in sorted(said) if text and how not in text)
            self._fail(
                f"process {process.name} ended ({how}), {process.restarts} times before{why}"
            )
            process.over = process.given_up = True
            for name in process.nodes:
                self._give_up(name)
            return
        successor = self._spawn(process.name, process.nodes, process.restarts + 1)
        successor.forgiven, successor.finished = process.forgiven, finished

    def _give_up(self, node: str) -> None:
        """Nobody will take its frames: let those before it go on to the end."""
        for edge in self.graph.into(node):
            self.processes[self._where[edge.source]].line.say(do="forget", name=edge.name)

    def or_fail(self, work: Callable[[], object]) -> None:
        """Do it; an UndulaError of it ends the graph."""
        try:
            work()
        except UndulaError as exc:
            self._fail(str(exc))

    def _fail(self, why: str) -> None:
        self.failed = self.failed or why
        self._watched.status.state = "failed"
        self.stop()

    def stop(self) -> None:
        """Let the sources make no further frame; what is on its way is worked on."""
        self._begun.stopping = True
        for process in self.processes.values():
            process.line.say(do="stop")

    def close(self) -> None:
        """End all processes, whatever they do."""
        for process in self.processes.values():
            process.line.say(do="quit")
        end = time.monotonic() + QUIT_S
        for process in self.processes.values():
            if process.process.wait(max(0.0, end - time.monotonic())) is None:
                process.process.kill()
                process.process.wait()
            process.line.close()

    def unlink(self) -> None:
        """Remove the sockets of producers that were killed."""
        for path in self._paths.values():
            if not path.startswith("tcp://"):
                Path(path).unlink(missing_ok=True)

    def kill(self, why: str) -> None:
        """From any thread: end all processes at once."""
        self._killed, self.failed = True, self.failed or why
        for process in list(self.processes.values()):
            process.process.kill()
