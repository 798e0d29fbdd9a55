"""Conversation: graphs of pipes that run, as they stand."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from undula.messages.base import Event
from undula.messages.errors import ErrorReport


class PipeNode(Event):
    """A node of a graph that runs."""

    name: str = Field(description="in its graph")
    kind: str = Field(default="", description="what it is, e.g. roi, frame_file, channel")
    state: str = Field(description="starting, ready, running, blocked, ended, failed, dead")
    process: str = Field(default="", description="the process that it is in")
    pid: int = Field(default=0, description="of that process, on its host; 0: it has none")
    frames: int = Field(default=0, description="worked on, or made by a source")
    failed: int = Field(default=0, description="frames that it failed on")
    rate_hz: float = Field(default=0.0, description="frames a second now")
    could_hz: float = Field(default=0.0, description="that its own code could do; 0: not known")
    latency_s: float = Field(default=0.0, description="from a frame's host time to its result")
    restarts: int = Field(default=0, description="its processes after the first")
    blocked_by: list[str] = Field(default_factory=list, description="edges that hold it up")
    error: str = Field(default="", description="the last one")
    parameters: dict[str, Any] = Field(default_factory=dict, description="as they are now")


class PipeEdge(Event):
    """An edge of a graph that runs."""

    name: str = Field(description="SOURCE.PORT -> TARGET.PORT")
    policy: str = Field(description="lossless, latest, sample(1/n), spill(SIZE)")
    seen: int = Field(default=0, description="frames that came to it")
    passed: int = Field(default=0, description="done with by its target")
    dropped: int = Field(default=0, description="left out by its policy")
    lost: int = Field(default=0, description="gone with a process")
    failed: int = Field(default=0, description="that its target failed on")
    depth: int = Field(default=0, description="frames that wait to be confirmed")
    rate_hz: float = Field(default=0.0, description="frames that passed a second, lately")


class PipeImage(Event):
    """What a port gave lately, to look at."""

    port: str = Field(description="NODE.PORT, the begin of its edges")
    seq_num: int = Field(description="of the frame")
    data: Any = Field(description="(rows, columns), (points,) or one number; thinned")
    shape: list[int] = Field(description="its shape before it was thinned")


class GraphTold(Event):
    """A graph that runs, a few times a second at most."""

    tag: ClassVar[str] = "graph_told"

    name: str = Field(description="device that has the graph, or name of the graph")
    by: str = Field(default="", description="who runs it; empty: the device of that name")
    every_s: float | None = Field(
        default=None, description="it is said so often while it runs; None: when something is new"
    )
    answers: bool = Field(
        default=False, description="who runs it does what is asked at pipes/NAME/asked"
    )
    state: str = Field(description="of the whole graph, as of a node")
    nodes: list[PipeNode] = Field(description="in the order of the flow")
    edges: list[PipeEdge] = Field(description="in the order of the graph")
    images: list[PipeImage] = Field(default_factory=list, description="one for each port at most")
    time: float = Field(description="host time, UTC epoch s")

    def gone(self, now: float) -> bool:
        """Whether who ran it has ended, or has not said so for much longer than he should.

        Args:
            now: host time, UTC epoch s.
        """
        late = self.every_s is not None and now - self.time > 5.0 + 4.0 * self.every_s
        return late or (self.every_s is not None and self.state in ("ended", "failed"))


class GraphOpened(Event):
    """A command began to run a graph, and tells of it under this name."""

    tag: ClassVar[str] = "graph_opened"

    name: str = Field(description="where it tells: pipes/NAME/status")
    by: str = Field(description="who runs it")
    time: float = Field(description="host time, UTC epoch s")


class GraphAsked(Event):
    """The engine asks a command something about the graph that it runs, for who may."""

    tag: ClassVar[str] = "graph_asked"

    ask_id: str = Field(description="of the request")
    action: str = Field(description="show, set, clear, result")
    node: str = Field(default="", description="not for show")
    port: str = Field(default="", description="for result")
    parameters: dict[str, Any] = Field(default_factory=dict, description="for set, by name")
    user: str = Field(description="who asked the engine")


class GraphAnswered(Event):
    """What became of it."""

    tag: ClassVar[str] = "graph_answered"

    ask_id: str = Field(description="of the request")
    result: dict[str, Any] = Field(default_factory=dict, description="as of a graph of a detector")
    error: ErrorReport | None = Field(default=None, description="why it was not done")
