"""Room: pipes. The verdict of a rehearsal: what holds a graph up, and what to change. Pure.

In: a graph that ran for a while, its status: how long each node was at work and each source held
up, how many cores each process kept busy, where the time of a writer went. Out: the highest rate of
each node, the bottleneck by name, and advice. Whatever it says was measured in that very rehearsal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from undula.core.shown import counted
from undula.pipes.graph.model import Graph
from undula.pipes.runner.status import GraphStatus, NodeStatus

BLOCKED = 0.05
"""A node that is held up for a greater part of the time is not the bottleneck itself."""
HELD = 0.95
"""A rate is held when so much of it is reached."""
SHARED = 0.2
"""Others of a process are worth parting from beyond this part of a node's own time."""
BUSY = 0.5
"""What is at work for less than this part of the time is not at its limit."""
FULL, MORE = 0.8, 0.1
"""So much is all of the time; and so much more than its source a bottleneck is at work."""
BETTER = 1.1
"""A change is worth its name when it makes the rate so many times higher."""
CORE = 0.8
"""A process that keeps so much of a core busy computes; one at work with less waits inside."""
IDLE = 0.5
"""A host with so many cores to spare lets everybody compute who wants to."""
DEFAULT_THREADS = 2
VIEWERS = frozenset({"preview", "rate", "histogram"})


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal measured.

    Args:
        graph: that ran.
        nodes: as they were at its end, by name.
        duration_s: from its begin until the last frame was through, s.
        rate_hz: asked for; 0: as fast as possible.
        idle_cores: cores of the host that had nothing to do meanwhile.
    """

    graph: Graph
    nodes: Mapping[str, NodeStatus]
    duration_s: float
    rate_hz: float
    idle_cores: float

    def alone(self, name: str) -> bool:
        """Whether a node has its process for itself."""
        own = self.graph.nodes[name].process or name
        return [n for n, spec in self.graph.nodes.items() if (spec.process or n) == own] == [name]

    def work(self, name: str) -> float:
        """The part of the time, 0 to 1, for which a node was at work, or waited inside."""
        node = self.nodes[name]
        m, bare = node.measured, not self.threads(name)
        written_s = sum(m.get(key, 0.0) for key in ("waiting_s", "writing_s"))
        written_s += m.get("compressing_s", 0.0) if bare else 0.0
        work_s = max(node.busy_s, written_s, node.at_work_s if self.alone(name) else 0.0)
        return work_s / self.duration_s

    def held(self, name: str) -> float:
        """The part of the time for which those behind it had no room for its results."""
        return self.nodes[name].blocked_s / self.duration_s

    def could_hz(self, name: str) -> float:
        """The highest rate of a node by itself; 0 when it is not known.

        Of one that waits for threads of its own, that of the threads.
        """
        node, work_s = self.nodes[name], self.work(name) * self.duration_s
        if not node.frames or work_s <= 0:
            return 0.0
        found = node.frames / work_s
        packing_s = node.measured.get("compressing_s", 0.0)
        threads = self.threads(name)
        return min(found, node.frames * threads / packing_s) if packing_s and threads else found

    def threads(self, name: str) -> int:
        """Of a writer, that compress."""
        return int(self.graph.nodes[name].parameters.get("threads", DEFAULT_THREADS))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rehearsal found.

    Args:
        sustained_hz: frames a second of the slowest source.
        could_hz: by node, what it could do by itself.
        bottleneck: name of the node that holds the others up; the source itself, when none does.
        advice: what to change.
    """

    sustained_hz: float
    could_hz: dict[str, float]
    bottleneck: str
    advice: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.sustained_hz:.4g} frames/s; bottleneck: {self.bottleneck}. {self.advice}"


def verdict(
    graph: Graph, status: GraphStatus, duration_s: float, sources: Sequence[str], rate_hz: float,
    *, idle_cores: float,
) -> Verdict:  # fmt: skip
    """Judge a rehearsal.

    Args:
        duration_s: that was asked for, s.
        rate_hz: asked for; 0: as fast as possible.
        idle_cores: cores of the host that had nothing to do meanwhile.
    """
    duration_s = span_s(status, duration_s)
    seen = Rehearsed(graph, status.nodes, duration_s, rate_hz, idle_cores)
    could = {name: seen.could_hz(name) for name in status.nodes if seen.could_hz(name)}
    sustained = min((seen.nodes[name].frames / duration_s for name in sources), default=0.0)
    enough = bool(rate_hz) and sustained >= HELD * rate_hz
    held = [name for name in sources if seen.held(name) > BLOCKED]
    if held:
        name = _bottleneck(seen, held[0])
        advice = _of_burst(seen, held[0]) if enough else _advice(seen, held[0], name)
        return Verdict(sustained, could, name, advice)
    source = min(sources, key=lambda n: could.get(n, 0.0))
    name = _at_its_limit(seen, source)
    if name != source and not enough:
        return Verdict(sustained, could, name, _advice(seen, source, name))
    if enough:
        advice = f"The rate of {rate_hz:g} Hz is held; nothing is to be changed"
    else:
        advice = (
            f"Every node waits for {name}, which made frames as fast as it goes: the graph could "
            "do more"
        )
    return Verdict(sustained, could, name, advice)


def span_s(status: GraphStatus, asked_s: float) -> float:
    """From the begin until the last frame was through, s; at least what was asked for."""
    return max(asked_s, *(node.since_s for node in status.nodes.values()))


def _at_its_limit(seen: Rehearsed, source: str) -> str:
    """Where no source is held up yet, as there is room for all frames that are on their way: the
    node behind it that is at work all the time; the source itself, when there is none."""
    reached, ahead = [source], [source]
    while ahead:
        for edge in seen.graph.out_of(ahead.pop()):
            if edge.policy.kind == "lossless" and edge.target not in reached:
                reached.append(edge.target)
                ahead.append(edge.target)
    busiest = max(reached, key=seen.work)
    return busiest if seen.work(busiest) >= max(FULL, seen.work(source) + MORE) else source


def _bottleneck(seen: Rehearsed, start: str) -> str:
    """From a node that is held up down its lossless edges, to the one that nobody holds up."""
    name, walked = start, {start}
    while True:
        edges = [e for e in seen.graph.out_of(name) if e.policy.kind == "lossless"]
        below = [e.target for e in edges if e.target not in walked]
        if not below:
            return name
        name = max(below, key=lambda n: (max(seen.work(n), seen.held(n)), -seen.could_hz(n)))
        walked.add(name)
        if seen.held(name) <= BLOCKED:
            return name


def _of_burst(seen: Rehearsed, source: str) -> str:
    return (
        f"{seen.rate_hz:g} Hz are held, and {source} waited for {seen.held(source):.0%} of the "
        f"time: a larger budget of {source} takes up such bursts"
    )


def _advice(seen: Rehearsed, source: str, name: str) -> str:
    """What to change at the bottleneck, by the shares of time that were measured."""
    said = _of_process(seen, name) + _of_viewer(seen, name)
    if seen.nodes[name].measured.get("file_bytes"):
        said.append(_of_writer(seen, name))
    elif not said and seen.work(name) < BUSY:
        said.append(
            f"nobody is at a limit ({name} is at work for {seen.work(name):.0%} of the time): a "
            f"larger budget of {source} lets more frames be on their way"
        )
    if not said:
        said.append(_of_node(seen, name))
    text = "; ".join(said)
    return text[0].upper() + text[1:]


def _of_process(seen: Rehearsed, name: str) -> list[str]:
    """Others in its process take its time."""
    own = seen.graph.nodes[name].process or name
    others = {
        n: seen.nodes[n].busy_s / seen.duration_s for n, spec in seen.graph.nodes.items()
        if n != name and (spec.process or n) == own and seen.nodes[n].busy_s
    }  # fmt: skip
    beside, share = sum(others.values()), seen.work(name)
    if not others or beside <= SHARED * share:
        return []
    return [
        f"give {name} a process of its own: {', '.join(others)} take {beside:.0%} of the time of "
        f"that which they share, alone {name} could do {seen.could_hz(name):.4g} Hz"
    ]


def _of_viewer(seen: Rehearsed, name: str) -> list[str]:
    if seen.graph.out_of(name) or seen.graph.nodes[name].kind not in VIEWERS:
        return []
    return [f"make the edge to {name} latest: a viewer needs not every frame"]


def _of_node(seen: Rehearsed, name: str) -> str:
    could, node = seen.could_hz(name), seen.nodes[name]
    less = f" {seen.rate_hz / could:.2g} times" if could and seen.rate_hz > could else ""
    inside = ""
    computes = node.cpu_s / seen.duration_s
    if seen.alone(name) and seen.work(name) >= CORE and 0 < computes < CORE * seen.work(name):
        why = (
            "it waits for something itself" if seen.idle_cores >= IDLE
            else "no core of this host is idle"
        )  # fmt: skip
        inside = f", though it computes for {computes:.0%} only: {why}"
    return (
        f"{name} can do {could:.4g} Hz and is at work {seen.work(name):.0%} of the time{inside}; "
        f"let it do{less} less (a smaller region, binning before it), or make its edge sample(1/n)"
    )


def _of_writer(seen: Rehearsed, name: str) -> str:
    """Whether its threads or its disk hold it up, and what the other way would give."""
    node, spec = seen.nodes[name], seen.graph.nodes[name]
    m, frames = node.measured, max(1, node.frames)
    folder = str(spec.parameters.get("folder", "."))
    threads = seen.threads(name)
    packing_s, writing_s = m["compressing_s"], max(1e-9, m["writing_s"])
    disk = m["file_bytes"] / writing_s
    bare_hz = disk / (m["frame_bytes"] / frames)
    wanted = f" for {seen.rate_hz:g} Hz" if seen.rate_hz else ""
    now_hz = node.frames / seen.duration_s
    packs = spec.parameters.get("compression", "bslz4") != "none" and packing_s > 0
    waits_s = m["waiting_s"] if threads else packing_s
    where = f"{folder} took {disk / 1e6:.0f} MB/s"
    if not packs or writing_s >= waits_s:
        if writing_s / seen.duration_s < BUSY:
            return _of_node(seen, name)
        more = "" if packs else ", or compression: bslz4 where frames become much smaller by it"
        if threads and waits_s > SHARED * seen.duration_s and seen.idle_cores >= 1:
            more += (
                f"; threads: {threads + int(seen.idle_cores)}, as it also waits "
                f"{waits_s / seen.duration_s:.0%} of the time for those that compress"
            )
        return (
            f"{name} writes for {writing_s / seen.duration_s:.0%} of the time, {where}: a faster "
            f"disk{wanted}{more}"
        )
    hz = frames * max(1, threads) / packing_s
    part = m["frame_bytes"] / m["file_bytes"]
    who = f"{counted(threads, 'thread')} of {name}" if threads else name
    found = f"{who} can compress {hz:.4g} frames/s at most, to 1/{part:.2g}, {where}"
    free = int(seen.idle_cores)
    if free >= 1:
        gain = min(hz * (threads + free) / max(1, threads), frames / writing_s)
        return (
            f"{found}: threads: {threads + free}, as {free} more cores are idle, gives up to "
            f"{gain:.4g} frames/s"
        )
    if bare_hz > BETTER * now_hz:
        return f"{found}: no core is idle; compression: none gives up to {bare_hz:.4g} frames/s"
    return (
        f"{found}: no core is idle, and without compression the disk would take {bare_hz:.4g} "
        "frames/s: it needs a host with more cores, or fewer other nodes on this one"
    )
