"""Room: pipes. Frames compressed, and decompressed again, by bitshuffle/LZ4. Pure.

A file node compresses by itself, in threads. These are for graphs that spread that work over
processes, and for sources that hand compressed frames on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from undula.files import bslz4
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import AS_INPUT, Node, Port, Results, Shape

ANY = Port("frames", "frames of any shape, bare or compressed", ndim=None, compressed=True)


class Compress(Node):
    """Frames as bitshuffle/LZ4 chunks; those that are compressed already go through as they are."""

    name = "compress"
    inputs = (ANY,)
    outputs = (
        Port("frames", "the same frames, compressed", ndim=None, compressed=True, unit=AS_INPUT),
    )
    masked = "pixels are not looked at"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """As they came."""
        return dict.fromkeys(("frames",), inputs["frames"]) if "frames" in inputs else {}

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: Frame | None = None

    def accumulate(self, frame: Frame) -> None:
        """Compress a frame."""
        bare = frame.compression == "none"
        chunk = bslz4.compress(frame.data) if bare else frame.data
        self._found = replace(
            frame, data=chunk, compression="bslz4", shape=frame.shape, dtype=frame.dtype,
            checksum=None, again=False, slot=-1,
        )  # fmt: skip

    def result(self) -> Results:
        """The compressed frame; None before the first one."""
        return None if self._found is None else {"frames": self._found}


class Decompress(Node):
    """Frames as arrays again; those that are not compressed go through as they are.

    Put it between a source that hands compressed frames on and nodes that look at pixels.
    """

    name = "decompress"
    inputs = (ANY,)
    outputs = (Port("frames", "the same frames, not compressed", ndim=None, unit=AS_INPUT),)
    masked = "pixels are not looked at"

    @classmethod
    def shapes(cls, values: Any, inputs: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """As they came."""
        return dict.fromkeys(("frames",), inputs["frames"]) if "frames" in inputs else {}

    def clear(self) -> None:
        """Forget the last frame."""
        self._found: Frame | None = None

    def accumulate(self, frame: Frame) -> None:
        """Decompress a frame."""
        data = frame.data
        if frame.compression != "none":
            data = bslz4.decompress(data, frame.shape, frame.dtype)
        self._found = replace(
            frame, data=data, compression="none", checksum=None, again=False, slot=-1
        )

    def result(self) -> Results:
        """The frame as an array; None before the first one."""
        return None if self._found is None else {"frames": self._found}
