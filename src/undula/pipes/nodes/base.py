"""Room: pipes. What every node shares: ports, parameters, three verbs. Pure.

In: frames, one by one. Out: arrays by name of an output port. Called by: the runner, a test, a
person at a prompt. Not here: links, processes, clocks.

A node is written like this; the parameters are attributes, checked when they are changed:

>>> class Bright(Node):
...     \"\"\"How many pixels are bright.\"\"\"
...
...     name = "bright"
...     outputs = (Port("count", "pixels above the level", ndim=0),)
...     above: float = parameter(10.0, "a pixel is bright above this", ge=0, unit="counts")
...
...     def clear(self) -> None:
...         self.bright = 0
...
...     def accumulate(self, frame: Frame) -> None:
...         self.bright = int((frame.data > self.above).sum())
...
...     def result(self) -> Results:
...         return {"count": self.bright}
>>> Bright(above=3).above
3.0
>>> Bright(above=-1)
Traceback (most recent call last):
...
undula.core.errors.InputError: [bright.above] -1 is less than 0. Remedy: give 0 or more.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from undula.core.errors import InputError
from undula.pipes.frame import Array, Frame
from undula.pipes.graph.model import AS_INPUT
from undula.pipes.nodes.declared import Declared
from undula.pipes.nodes.ports import FRAMES, Covers, Misfit, Port, Shape, parameter

__all__ = [
    "AS_INPUT",
    "Array",
    "Covers",
    "Frame",
    "Misfit",
    "Node",
    "Port",
    "Results",
    "Shape",
    "Source",
    "parameter",
]
"""What whoever writes a node needs."""

Results = Mapping[str, Any] | None
"""By name of an output port an array, a number, or a whole `Frame` when it is not about the frame
taken last. A port that is left out, or None for all, has nothing to say now."""


class Node(Declared):
    """A step of a graph. Subclasses say what enters, what leaves, and what it means.

    Class attributes:
        name: by which a graph asks for it.
        inputs, outputs: its ports.
        covers: what a result speaks of.
        missing: what it does about frames that did not come.
        masked: what it does about pixels without a value.
        queued: `result` is asked again until it gives None: a frame may bring several results.
        keeps: a frame at its first input is done with only when `done` or `failed` names it; its
            data stay valid until then.
        copies: it has copies of the frames that it keeps: where the edge is too short for all of
            them, the oldest are given back before they are done with.
        passes: outputs that give one result for each frame of an input, where there are several.
        one_shape: the frames that come to it are all of one shape.
        files: parameters that name files.
        packing: the parameter with which its frames are compressed.
        fresh: what `result` gives is not changed by the node afterwards, though it covers several
            frames: nobody needs a copy.
        on_grid: it has `shape` and `snake`, parameters that a scan gives where `shape` is None.
        wanted: output ports that somebody takes; None: all. The others may be left out.

    Parameters are class attributes made by `parameter`. `clear` makes the state; it is called once
    before the first frame, and whenever the node is to forget.
    """

    inputs: ClassVar[tuple[Port, ...]] = (FRAMES,)
    outputs: ClassVar[tuple[Port, ...]] = ()
    covers: ClassVar[Covers] = "frame"
    missing: ClassVar[str] = "each frame stands for itself"
    masked: ClassVar[str] = "pixels are taken as they are"
    queued: bool = False
    keeps: ClassVar[bool] = False
    copies: ClassVar[bool] = False
    passes: ClassVar[Mapping[str, str]] = {}
    one_shape: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()
    packing: ClassVar[str] = ""
    fresh: ClassVar[bool] = False
    on_grid: ClassVar[bool] = False
    wanted: frozenset[str] | None = None
    graph_text: str = ""
    node_name: str = ""
    """The graph it is in, as JSON, and its name there; empty without a graph."""

    def __init__(self, **parameters: Any) -> None:
        self._use(self.checked(**parameters), self.declared)
        self.clear()

    @classmethod
    def check_places(cls, values: Any) -> None:
        """Before a graph starts, on the host where it runs: it can write where it is to write.

        Args:
            values: of its parameters.
        Raises: StorageError.
        """

    @classmethod
    def put_in_order(cls, values: Any) -> None:
        """When its graph has ended: what a process that was killed has left can be read by all."""

    def own_measures(self) -> Mapping[str, float]:
        """What it has measured of itself, for a rehearsal: times in s, sizes in bytes, by name."""
        return {}

    def prepare(self) -> None:
        """Make what the first frame would wait for; called before it is said to be ready."""

    def accumulate(self, frame: Frame) -> None:
        """Take one frame in."""
        raise NotImplementedError

    def receive(self, port: str, frame: Frame) -> None:  # noqa: ARG002  # for those with several
        """Take one frame in at an input port; nodes with one input need only `accumulate`."""
        self.accumulate(frame)

    def result(self) -> Results:
        """What it has to say now, by name of an output port; None when that is nothing."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forget all frames; called once before the first one."""

    def done(self) -> list[int]:
        """Sequence numbers of frames that are done with, since it was asked last (`keeps`)."""
        return []

    def failed(self) -> list[tuple[int, Exception]]:
        """Frames that it kept and could not work on, since it was asked last, and why (`keeps`)."""
        return []

    def largest_bytes(self, port: str) -> int:  # noqa: ARG002  # for those whose results differ
        """The largest result that a port may give, when not all are of one size; 0: they are."""
        return 0

    def finish(self) -> None:
        """There will be no further frame: what waited for one is ready for `result` now."""

    def close(self) -> None:
        """Write what waits, let go of files and threads; after the last `result`."""

    @classmethod
    def unit_of(cls, port: str, parameters: Mapping[str, Any]) -> str:
        """The unit of an output, with these parameters; `AS_INPUT` where it is that of the input.

        Extend it where a parameter says the unit.
        """
        return next((one.unit for one in cls.outputs if one.name == port), "")

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """The shapes of outputs that are known before it runs, by port; numbers need not be named.

        Args:
            values: of its parameters.
            inputs: the shapes that are known to come in, by port.
        """
        return {}

    @classmethod
    def misfits(
        cls, values: Any, inputs: Mapping[str, Shape], frames: int
    ) -> Iterable[Misfit]:  # fmt: skip
        """What does not fit: which parameter, what is wrong, the remedy. Asked before it runs.

        Args:
            values: of its parameters.
            inputs: the shapes that are known to come in, by port.
            frames: how many there will be; 0: nobody knows.
        """
        return ()

    @classmethod
    def help(cls) -> str:
        """What it does: its docstring."""
        return inspect.getdoc(cls) or ""


class Source(Node):
    """A node without input: it makes frames. Whoever runs it waits until the next one is due."""

    inputs = ()

    def accumulate(self, frame: Frame) -> None:
        """Raises: InputError: it has no input."""
        raise InputError(
            f"{self.name} has no input for frame {frame.seq_num}",
            remedy="use it as a source",
        )

    def due_s(self) -> float:
        """When the next frame is due, s after the first one; 0: at once; inf: nobody knows."""
        return 0.0

    def fileno(self) -> int:
        """Readable when a frame came that nobody could foresee; -1: frames are due by time."""
        return -1

    @property
    def left_out(self) -> int:
        """Frames that came to it and were not handed on."""
        return 0

    @property
    def ended(self) -> bool:
        """There will be no further frame."""
        return True

    def take(self, time: float = 0.0) -> list[Frame]:
        """The frames that come next, mostly one; none when one is missing, or at the end.

        Args:
            time: host time to stamp them with, UTC epoch, s.
        """
        raise NotImplementedError

    def resume(self, seq_num: int) -> None:
        """Its process was started anew: every consumer has the frames up to `seq_num`.

        One that can goes on behind it; frames that it makes again are known to the consumers.
        """

    def remember(self) -> Mapping[str, int]:
        """What a successor must know before it makes a frame; asked before frames are handed on."""
        return {}

    def recall(self, words: Mapping[str, int], made: int) -> None:
        """Its process was started anew.

        Args:
            words: what the one before said last by `remember`.
            made: the highest number of a frame of it that anybody has seen.
        """

    def begin_run(self, made: int) -> None:
        """The first trigger of another run: the next frame has the number behind `made`.

        Frames that were triggered before and did not come are not made any more.
        """
        self.resume(made)

    def arm(self) -> None:
        """Frames will be triggered one by one: get ready for the first trigger."""

    def drain(self) -> None:
        """The first trigger is given: forget frames that came before it."""

    def fire(self, number: int) -> None:
        """Trigger `number` is given, from 1 on: have its frame taken, where that is ours to do."""

    @classmethod
    def count_time_s(cls, values: Any) -> float | None:  # for those that can
        """So long it counts for a trigger in a scan that says no count time; None: nobody can say.

        A source that gives a number is told the count time of each scan by its parameter
        `exposure_s`.

        Args:
            values: of its parameters.
        """
        return None

    def takes_s(self) -> float:
        """Seconds from a trigger to its frame, where it makes the frame itself."""
        return 0.0

    @property
    def waits_for(self) -> str:
        """What it waits for, and since when; empty while it waits for nothing but its frames."""
        return ""

    @property
    def away(self) -> bool:
        """What it hears is not there now."""
        return False

    def result(self) -> Results:
        """The next frame's data; None when there is none."""
        frames = self.take()
        return {self.outputs[0].name: frames[0].data} if frames else None

    def __iter__(self) -> Iterator[Frame]:
        """All frames, without waiting."""
        while not self.ended:
            yield from self.take()
