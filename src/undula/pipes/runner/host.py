"""Room: pipes. One node at work: frames in, its three verbs, results out, frames confirmed.

In: a node, inlets, and a way to make outlets. Out: results on the outlets. `step` does a little
work and never waits; the worker calls it in turn with the other nodes of its process.

A frame is confirmed when everything that was made until it had been worked on is safe with every
lossless consumer (`confirming`): so a node that is killed leaves no gap, whatever it had in hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from undula.core.errors import UndulaError
from undula.pipes.frame import Frame
from undula.pipes.graph.model import EdgeSpec, Graph, NodeSpec
from undula.pipes.intervals import IntervalSet
from undula.pipes.ledger import EdgeLedger
from undula.pipes.link import Receiving, Sending
from undula.pipes.runner.blame import blamed
from undula.pipes.runner.blocking import Blocking
from undula.pipes.runner.confirming import Confirming
from undula.pipes.runner.making import Making
from undula.pipes.runner.results import Results
from undula.pipes.runner.status import NodeStatus
from undula.pipes.runner.taking import Taking

TURN_S = 0.01
"""A node lets the others of its process go on after so long."""
MakeOutlets = Callable[[NodeSpec, str, int], list[Sending]]
"""Outlets of a port, for frames of so many bytes."""


class NodeHost:
    """A node with its ends of the edges.

    Args:
        spec: of the node, in `graph`.
        node: the node itself, just made.
        make: makes the outlets of a port, when its first frame is there.
    """

    def __init__(self, spec: NodeSpec, node: Any, graph: Graph, make: MakeOutlets) -> None:
        self.spec, self.node = spec, node
        self._make = make
        self.into = {edge.name: edge for edge in graph.into(spec.name)}
        self.out = graph.out_of(spec.name)
        if self.out:
            node.wanted = frozenset(edge.source_port for edge in self.out)
        self.taking = Taking(self.into)
        self.inlets, self._queue = self.taking.inlets, self.taking.queue
        self.outlets: dict[str, list[Sending]] = {}
        self.source = not node.inputs
        self.begun = self.ended = self._finished = False
        self.tell: Callable[..., object] = lambda **_: None
        """Says something to the runner, at once."""
        self.look: Callable[[str, tuple[int, ...]], str] = lambda *_: ""
        """Says why the first frame of NODE.PORT, of this shape, does not fit the nodes below."""
        self.making = Making(node, lambda words: self.tell(remembered=words, name=spec.name))
        """What a source makes; nothing, where the node is none."""
        self.confirming = Confirming(node)
        self._first = 0
        self.status = NodeStatus(spec.name, "ready", spec.process or spec.name)
        self.stopped_by = ""
        self.results = Results(spec, node, self.out)
        self._held = self.results.held
        self._last: Frame | None = None
        self._blocking = Blocking(self.status)
        self._stop_asked = False
        self.urgent = False
        """It failed, and the runner has not heard so."""
        self.hear: Callable[[], object] | None = None
        """Of a viewer: hears what the runner said before the frames that it just took were made."""

    def begin(self, words: Mapping[str, Any]) -> None:
        """Let it work; a source goes on where the one before it was."""
        self.begun, self._first = True, words["first"]
        self.status.state = "running"
        source = words["sources"].get(self.spec.name)
        if source is None:
            return
        try:
            self.making.begin(source, triggered=words["triggered"], at=float(words["at"]))
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            self._fail(exc, 0)

    @property
    def first(self) -> int:
        """The first frame of the run that it knows of."""
        return self._first

    def begin_run(self, first: int) -> None:
        """Another run of a warm graph: frames before this number are not worked on any more."""
        self._first, self.results.behind = first, False
        self.status.error, self.status.error_at = "", 0
        self.forget_frames(IntervalSet([(0, first)]))
        if self.source:
            self.making.begin_run(first)

    def trigger(self, number: int, index: int | None) -> None:
        """Let a source make frame `number`; `index` is that of the trigger in its run."""
        try:
            self.making.trigger(number, index)
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            self._fail(exc, number)

    # ---- a turn --------------------------------------------------------------------------------

    def step(self) -> bool:
        """Do a little work; False when there is nothing to do now."""
        if self.ended:
            self.taking.drain()
            self.settle()
        if self.ended or not self.begun:
            return False
        if self._held and not self._hand_on():
            self.settle()  # what is safe of that before is confirmed, however full the edge is
            return False
        if self._stop_asked and not self.source:
            self.taking.fail()
        worked = self._made() if self.source else self._worked()
        self.settle()
        if not self._held and not self._queue and self._over():
            self._end()
            return True
        return worked

    def _made(self) -> bool:
        """A source: take what is due."""
        port, worked = self.node.outputs[0].name, False
        until = time.monotonic() + TURN_S
        while not self._stop_asked and not self._over() and self.due_in_s() <= 0:
            started = time.perf_counter()
            try:
                frames = self.making.take()
            except Exception as exc:  # a node's own code may raise anything: it is counted and told
                self._fail(exc, 0)
                return False
            self.status.busy_s += time.perf_counter() - started
            if frames is None:
                break
            self.status.frames += len(frames)
            self._held.extend((port, frame, 0) for frame in frames)
            worked = True
            if not self._hand_on() or time.monotonic() > until:
                break
        return worked

    def due_in_s(self) -> float:
        """Seconds until a source's next frame is due; infinite while no trigger is given."""
        try:
            return self.making.due_in_s()
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            self._fail(exc, 0)
            return 0.0

    def _worked(self) -> bool:
        if not self._queue and not self._stop_asked:
            self.status.error = self.taking.fill() or self.status.error
            if self._queue and self.hear is not None:
                self.hear()
        worked = bool(self._queue)
        until = time.monotonic() + TURN_S
        while self._queue and not self._stop_asked:
            edge, inlet, frame = self._queue.popleft()
            self._work(edge, inlet, frame)
            if not self._hand_on() or time.monotonic() > until:
                break
        return worked

    def _work(self, edge: EdgeSpec, inlet: Receiving, frame: Frame) -> None:
        node, status = self.node, self.status
        if frame.seq_num < self._first:  # its run was given up, and has been told of
            inlet.confirm(frame)
            return
        keeps = self.confirming.keeps(edge.target_port)
        if keeps and self.confirming.came_again(inlet, frame):
            return
        started = time.perf_counter()
        try:
            frame.check()
            node.receive(edge.target_port, frame)
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            status.busy_s += time.perf_counter() - started
            inlet.fail(frame)
            self._fail(exc, frame.seq_num)
            return
        if keeps:
            self.confirming.keep(inlet, frame)
        try:
            self._last = frame
            self.results.take(frame)
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            if not keeps:
                inlet.fail(frame)
            self._fail(exc, frame.seq_num)
            return
        finally:
            status.busy_s += time.perf_counter() - started
        status.frames += 1
        status.latency_s = frame.age_s(time.time())
        status.latency_max_s = max(status.latency_max_s, status.latency_s)
        if not keeps:
            self.confirming.worked_on(inlet, frame)

    # ---- handing on ----------------------------------------------------------------------------

    def _hand_on(self) -> bool:
        """Publish what is held; False when a lossless consumer leaves no slot."""
        while self._held:
            port, frame, done = self._held[0]
            outlets = self.outlets.get(port)
            if outlets is None:
                misfits = self.look(f"{self.spec.name}.{port}", frame.shape)
                if misfits:
                    self._give_up(misfits)
                    return True
                taken = any(edge.source_port == port for edge in self.out)
                size = self.results.size_of(port, frame)
                outlets = self._make(self.spec, port, size) if taken else []
                self.outlets[port] = outlets
            for number in range(done, len(outlets)):
                if not self._sent(outlets[number], frame):
                    self._held[0] = (port, frame, number)
                    self._blocking.begin(outlets[number].blocked_by())
                    return False
            self._held.popleft()
            self.results.lately.show(port, frame)
        self.confirming.handed_on(self._all_outlets())
        if self._blocking.since:
            self._blocking.end()
        return True

    def _give_up(self, why: str) -> None:
        """What it makes is of no use to the nodes below: it stops before anybody has it."""
        self._held.clear()
        self.status.error = self.stopped_by = why
        self.status.failed += 1
        self._stop_asked = True

    def _sent(self, outlet: Sending, frame: Frame) -> bool:
        try:
            return outlet.send(frame, timeout_s=0.0)
        except UndulaError as exc:  # e.g. it is larger than the first one was
            self._fail(exc, frame.seq_num)
            self.confirming.fail(frame.seq_num)
            return True

    def settle(self) -> None:
        """Confirm frames whose results are safe with everybody who must have them."""
        outlets = self._all_outlets()
        for outlet in outlets:
            outlet.flush()
        try:
            failed = self.confirming.ask()
        except Exception as exc:  # nobody knows which frames are safe
            self._fail(exc, 0, stop=True)
            failed = []
        for number, why in failed:
            self._fail(why, number)
        if not self._held:
            self.confirming.handed_on(outlets)
        self.confirming.confirm(outlets)
        self.taking.flush()  # also what it knew already, from a producer before

    # ---- failing and ending --------------------------------------------------------------------

    def _fail(self, exc: Exception, seq_num: int, *, stop: bool = False) -> None:
        self.urgent = self.urgent or not self.status.error  # the first of this run
        self.status.error, self.status.error_at = blamed(exc, self.node, seq_num), seq_num
        self.status.failed += 1
        if stop or self.spec.on_failure == "stop" or self.source:
            self.stopped_by = self.status.error
            self._stop_asked = True

    def _over(self) -> bool:
        if self._stop_asked:
            return True
        if self.source:
            try:
                return self.making.ended
            except Exception as exc:  # a node's own code may raise anything: it is counted and told
                self._fail(exc, 0)
                return True
        ahead = [n for n, edge in self.into.items() if not edge.feedback]
        return all(n in self.inlets and self.inlets[n].ended == "end" for n in ahead)

    def _end(self) -> None:
        """Behind the last frame: the last result, the node's own end, the end on every edge."""
        try:
            self._finish()
            if not self._hand_on():
                return
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            self._fail(exc, 0)
        self.close_node()
        self.settle()
        if not self._held:
            self.confirming.give_up_all()
        for port in {edge.source_port for edge in self.out} - set(self.outlets):
            self.outlets[port] = self._make(self.spec, port, self.spec.frame_bytes or 64)
        for outlets in self.outlets.values():
            for outlet in outlets:
                outlet.finish()
        self.ended = True
        self.status.state = "failed" if self.stopped_by else "ended"

    def close_node(self) -> None:
        """The node's own end, whatever it makes of it."""
        try:
            self.node.close()
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            self._fail(exc, 0)

    def _finish(self) -> None:
        """Once: let the node finish, and take its last results."""
        if self._finished:
            return
        self._finished = True
        self.node.finish()
        viewed = self.node.covers != "frame" and self.results.only_viewers
        if not self.source and self._last is not None and (viewed or self.node.queued):
            self.results.take(self._last, last=True)

    def stop_source(self) -> None:
        """A source makes no further frame; what is in hand is handed on."""
        self._stop_asked = self._stop_asked or self.source

    def forget(self, name: str) -> None:
        """Nobody will take the frames of this edge any more."""
        for outlet in self._all_outlets():
            outlet.forget(name)

    @property
    def over(self) -> bool:
        """It has ended, and nothing of it is on the way any more, in or out."""
        return (
            self.ended
            and not self.confirming.busy
            and not self.taking.owing
            and not any(o.in_flight for o in self._all_outlets())
            and not any(self.depths().get(edge.name) for edge in self.out if edge.feedback)
        )

    def _all_outlets(self) -> list[Sending]:
        return [outlet for outlets in self.outlets.values() for outlet in outlets]

    @property
    def blocked(self) -> bool:
        """Whether results wait for a slot."""
        return bool(self._held)

    def idle_on(self, name: str) -> bool:
        """Whether nothing of this edge's inlet is in hand: another inlet may take its place."""
        inlet = self.inlets.get(name)
        if inlet is None:
            return True
        busy = self.taking.has_of(inlet) or self.confirming.has_of(inlet)
        gone = inlet.ended == "lost" or (self.ended and inlet.ended == "end")
        return gone and not busy and not self._held

    @property
    def hungry(self) -> bool:
        """Whether it would take a frame."""
        return self.begun and not self.ended and not self._held

    def listening(self) -> list[Receiving]:
        """Inlets whose next frame it would take; behind its end those that are made again."""
        if not self.begun or self._held:
            return []
        return [inlet for inlet in self.inlets.values() if inlet.ended == "no"]

    def views(self) -> list[tuple[list[str], EdgeLedger]]:
        """What its ends of the edges have counted, each with the names of the edges it is of."""
        found = [([name], inlet.ledger) for name, inlet in self.inlets.items()]
        for outlet in self._all_outlets():
            found += [([name], ledger) for name, ledger in outlet.ledgers().items()]
        for port, ledger in self.results.absorbed.items():
            found.append(([e.name for e in self.out if e.source_port == port], ledger))
        return found

    def forget_frames(self, settled: IntervalSet) -> None:
        """These frames are settled on every edge: they are counted no more."""
        for _, ledger in self.views():
            ledger.close(settled)
        self.making.produced.remove(settled)

    def images(self) -> dict[str, Any]:
        """Small pictures of what was handed on since this was asked last, by NODE.PORT."""
        self._catch_up()
        return self.results.lately.images()

    def _catch_up(self) -> None:
        """No further frame may come: let viewers have the result of the last one."""
        if not self.results.behind or self._last is None or self.ended or self._held:
            return
        self.results.behind = False
        try:
            self.results.take(self._last, last=True)
        except Exception as exc:  # a node's own code may raise anything: it is counted and told
            self._fail(exc, self._last.seq_num)

    def depths(self) -> dict[str, int]:
        """Frames not yet confirmed, by the edge's name."""
        return {k: v for outlet in self._all_outlets() for k, v in outlet.depths().items()}

    def close(self) -> None:
        """Hang up everywhere."""
        for inlet in self.inlets.values():
            inlet.close()
        for outlet in self._all_outlets():
            outlet.close()
