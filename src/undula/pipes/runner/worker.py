"""Room: pipes. One process of a graph: its nodes in turn, and what it says to the runner.

In: a graph, the name of the process, a line to the runner. Out: nothing but what the nodes do. It
waits in one place, for frames, confirmations, deaths and words of the runner together. A runner
that dies ends it.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from undula.core.errors import UndulaError
from undula.pipes.graph.model import Graph
from undula.pipes.graph.shapes import known_shapes, misfits_of_first
from undula.pipes.intervals import IntervalSet, packed, unpacked
from undula.pipes.runner.confirming import waited_for
from undula.pipes.runner.control import Line
from undula.pipes.runner.ends import Ends, Far
from undula.pipes.runner.follows import viewers
from undula.pipes.runner.host import NodeHost
from undula.pipes.runner.rate import Rate
from undula.pipes.runner.use import Use

TELL_S = 0.25
KEEPING_S = 0.002


class Worker:
    """The nodes of one process.

    Args:
        graph: that was checked.
        process: the name of this one.
        folder: for sockets.
        spill: folder for frames that a policy may put on disk, where their node says none.
        types: classes of nodes by name.
        line: to the runner.
        far: when nodes of the graph are on several hosts.
    """

    def __init__(
        self, graph: Graph, process: str, folder: Path, types: Mapping[str, Any], line: Line,
        *, spill: Path, far: Far | None = None,
    ) -> None:  # fmt: skip
        self._graph, self._folder, self._line, self._types = graph, folder, line, types
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._begun_at = time.monotonic()
        self.hosts: dict[str, NodeHost] = {}
        self._ends = Ends(graph, process, self.hosts, line, folder, spill=spill, far=far)
        sleepers = viewers(graph)
        for name in graph.processes()[process]:
            spec = graph.nodes[name]
            node = types[spec.kind](**spec.parameters)
            self.hosts[name] = NodeHost(spec, node, graph, self._ends.make)
            self.hosts[name].tell = line.say
            self.hosts[name].look = self._look
            self.hosts[name].hear = self._listen if name in sleepers else None
        self._waiting: list[NodeHost] = []
        """Those that confirm a frame only when others did; the last of the graph first."""
        for name, host in reversed(self.hosts.items()):
            kinds = {graph.nodes[other].kind for other in waited_for(graph, name)}
            host.confirming.copies_behind = any(k in types and types[k].copies for k in kinds)
            if kinds:
                self._waiting.append(host)
        self.tell_s = TELL_S
        """So often the runner hears how it goes, s."""
        self._told_at = 0.0
        self._use = Use()
        self._told_frames: dict[str, int] = {}
        self._rates: dict[str, Rate] = {}
        self._told_end = self._quit = False
        self._told = ""
        self._asked: int | bool = False
        self._question = 0
        """The last one that was heard."""
        self._note()
        for host in self.hosts.values():
            host.node.prepare()

    def _note(self) -> None:
        """Let the nodes know which graph they are in, for the files that they begin."""
        text = json.dumps(self._graph.plain())
        for name, host in self.hosts.items():
            host.node.graph_text, host.node.node_name = text, name

    def _look(self, port: str, shape: tuple[int, ...]) -> str:
        """Why the first frame of a port does not fit the nodes below; '' when it does."""
        if self._shapes is None:
            self._shapes = known_shapes(self._graph, self._types)
        if port in self._shapes:
            return ""  # it was compared before anything started
        misfits = misfits_of_first(self._graph, self._types, port, shape)
        told = "; ".join(f"[{fault.path}] {fault.what}: {fault.remedy}" for fault in misfits)
        return told and f"{port} gives frames of {shape}, which do not fit: {told}"

    # ---- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the runner says so, or dies."""
        self.begin()
        while not self.is_done:
            try:
                worked = self.step()
            except FileNotFoundError:
                self._listen()
                if not self._line.ended:
                    raise
                break  # the runner died, and another process has removed the folder
            if not worked and not self._quit:
                self._wait()
        self.close()
        if not self._quit:  # the runner is dead: the last one to go leaves nothing behind
            with suppress(OSError):
                self._folder.rmdir()

    def begin(self) -> None:
        """Say that it is ready."""
        self._line.say(ready=os.getpid())

    @property
    def is_done(self) -> bool:
        """The runner has said so, or died."""
        return self._quit or self._line.ended

    def step(self) -> bool:
        """Hear the runner, let every node work a little, say how it goes; False: nothing to do."""
        self._listen()
        worked = self._turn()
        self._tell()
        return worked

    def close(self) -> None:
        """End the nodes, hang up everywhere."""
        for host in self.hosts.values():
            if not host.ended:
                host.close_node()
            host.close()

    def _turn(self) -> bool:
        """Let every node work a little; False when none has anything to do."""
        self._ends.connect()
        worked = False
        for host in self.hosts.values():
            worked = host.step() or worked
        self._ends.pump()
        if self._waiting:
            self._tell_safe()  # before a frame is confirmed outside: no other process has it then
            for host in self._waiting:
                host.settle()
        return worked

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        wait_s = self.tell_s if self._ends.are_far or not self._told_end else None
        for host in self.hosts.values():
            if host.confirming.keeping:
                wait_s = KEEPING_S
            if host.source and host.hungry:
                if host.making.wants_frames:
                    poll.register(host.node.fileno(), select.POLLIN)
                due = min(self.tell_s, max(0.0, host.due_in_s()))
                wait_s = due if wait_s is None else min(wait_s, due)
            for inlet in host.listening():
                if inlet.fileno() >= 0:
                    poll.register(inlet.fileno(), select.POLLIN)
        for outlet in self._ends.between:
            poll.register(outlet.fileno(), select.POLLIN)
        with self._use.waiting():
            poll.poll(None if wait_s is None else wait_s * 1000)

    # ---- the runner ----------------------------------------------------------------------------

    def _listen(self) -> None:
        for words in self._line.heard():
            refused = ""
            try:
                self._obey(words)
            except UndulaError as exc:
                refused = str(exc)
            except Exception as exc:  # a node's own code: it is told, and the node goes on
                refused = f"{type(exc).__name__}: {exc}"
            if "ask" in words:
                self._line.say(answer=words["ask"], refused=refused)
            elif refused:
                self._line.say(fault=refused)

    def _obey(self, words: Mapping[str, Any]) -> None:
        what, name = words.get("do"), str(words.get("name", ""))
        for edge, (passed, failed) in words.get("done", {}).items():  # by the one before this one
            self._ends.known(edge, IntervalSet(unpacked(passed)), IntervalSet(unpacked(failed)))
        if what in ("begin", "run", "close", "stop", "forget"):
            self._obey_of_all(what, name, words)
        elif what == "connect":
            self._ends.producer_is(name, str(words["path"]))
        elif what == "tell":
            self._asked = words.get("round") or self._asked or True
            self._question = words.get("question", self._question)
        elif what == "quit":
            self._quit = True
        else:
            self._obey_of_node(what, name, words)

    def _obey_of_all(self, what: str, name: str, words: Mapping[str, Any]) -> None:
        if what == "begin":
            self._use = Use()
        for host in self.hosts.values():
            if what == "begin":
                host.begin(words)
            elif what == "run":
                host.begin_run(words["first"])
            elif what == "close":
                host.forget_frames(IntervalSet(unpacked(words["frames"])))
            elif what == "stop":
                host.stop_source()
            else:
                host.forget(name)

    def _obey_of_node(self, what: Any, name: str, words: Mapping[str, Any]) -> None:
        if what == "change":
            self.hosts[name].node.change(**words["parameters"])
        elif what == "note":
            spec = self._graph.nodes[name]
            changed = replace(spec, parameters=dict(words["parameters"]))
            self._graph = replace(self._graph, nodes={**self._graph.nodes, name: changed})
            self._note()
        elif what == "trigger":
            self.hosts[name].trigger(words["number"], words["index"])
        elif what == "clear":
            self.hosts[name].node.clear()
        elif what == "write":
            self.hosts[name].results.lately.write(words["port"], Path(words["path"]))

    def _tell_safe(self) -> None:
        for name, host in self.hosts.items():
            if host.confirming.safe:
                self._line.say(safe=name, frames=host.confirming.safe)
                host.confirming.safe.clear()

    def _tell(self) -> None:
        self._tell_safe()
        over = all(host.over for host in self.hosts.values())
        now = time.monotonic()
        asked, self._asked = self._asked, False
        due = not self._told_end if over else now - self._told_at >= self.tell_s
        due = due or any(host.urgent for host in self.hosts.values())
        if not due and not asked:
            return
        self._told_at = now
        nodes: dict[str, Any] = {}
        ledgers: list[Any] = []
        depths: dict[str, int] = {}
        images: dict[str, Any] = {}
        worked = any(h.status.frames != self._told_frames.get(n, 0) for n, h in self.hosts.items())
        times = self._use.times() if worked else {}
        for name, host in self.hosts.items():
            status, host.urgent = host.status, False
            status.pid = os.getpid()
            if worked:
                status.measured = dict(host.node.own_measures())
                for key, value in times.items():
                    setattr(status, key, value)
            if host.source:
                status.left_out = host.node.left_out
                status.waits_for, status.away = host.node.waits_for, host.node.away
            status.rate_hz = self._rates.setdefault(name, Rate(self._begun_at)).at(
                status.frames, now
            )
            if not host.ended and host.begun:
                status.state = "blocked" if host.blocked else "running"
            nodes[name] = asdict(status) | {
                "produced": packed(host.making.produced.changes()),
                "stopped_by": host.stopped_by, "first": host.first,
            }  # fmt: skip
            depths |= host.depths()
            images |= host.images()
            for edges, view in host.views():
                changes = view.changes()
                if changes:
                    ledgers += [[edge, changes] for edge in edges]
        told = repr((nodes, depths, over))
        if told != self._told or ledgers or images or asked:
            self._line.say(
                nodes=nodes, ledgers=ledgers, depths=depths, images=images, over=over, asked=asked,
                question=self._question,
            )  # fmt: skip
            self._told = told
        self._told_end = over
