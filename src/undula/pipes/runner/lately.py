"""Room: pipes. What the ports of a node gave lately: small pictures, and all of it if asked.

In: frames as they are handed on. Out: for people who watch the graph, a picture of each port; a
file with what a port gave last.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.graph.model import EdgeSpec
from undula.pipes.runner.told import plain_image

SHOW_S = 0.5
"""A picture of what a port gives is made so often at most."""
FULL_BYTES = 256_000_000
"""So much of one port is handed out in full to who asks for it."""


class Lately:
    """What one node gave.

    Args:
        node: its name.
        out: its edges.
    """

    def __init__(self, node: str, out: Sequence[EdgeSpec]) -> None:
        self._node, self._out = node, out
        self._show_at: dict[str, float] = {}
        self._latest: dict[str, Frame] = {}
        self._unseen: set[str] = set()

    def shows_now(self, port: str) -> bool:
        """Whether it is time for a picture of this port, and none was kept for it."""
        return port not in self._unseen and time.monotonic() >= self._show_at.get(port, 0.0)

    def show(self, port: str, frame: Frame) -> None:
        """Keep what was handed on, to be looked at; of what lies in a slot a copy, now and then."""
        if frame.slot >= 0:
            if not self.shows_now(port):
                return
            frame = replace(frame, data=frame.data.copy(), slot=-1)
        self._latest[port] = frame
        self._unseen.add(port)

    def images(self) -> dict[str, Any]:
        """Pictures of what was handed on since this was asked last, by NODE.PORT."""
        found = {}
        now = time.monotonic()
        for port in [p for p in self._unseen if now >= self._show_at.get(p, 0.0)]:
            self._unseen.remove(port)
            self._show_at[port] = now + SHOW_S
            shown = plain_image(self._latest[port])
            if shown is not None:
                found[f"{self._node}.{port}"] = shown
        return found

    def write(self, port: str, path: Path) -> None:
        """Write what a port gave lately, in full, as a numpy file that replaces the one before.

        Raises: PipeError when there is nothing, or too much.
        """
        end, frame = f"{self._node}.{port}", self._latest.get(port)
        if frame is None and self._out and all(edge.source_port != port for edge in self._out):
            raise PipeError(
                f"no edge takes {end}, so it is not made",
                remedy=f"give it one, e.g. {end} -> view: latest, to a preview",
            )
        if frame is None:
            raise PipeError(
                f"nothing came from {end} since the graph began", remedy="take a frame first"
            )
        if frame.compression != "none":
            raise PipeError(
                f"what comes from {end} is compressed", remedy="look at the node before it"
            )
        if frame.data.nbytes > FULL_BYTES:
            raise PipeError(
                f"{end} gives {frame.data.nbytes / 1e6:.4g} MB, and {FULL_BYTES / 1e6:.4g} MB at "
                "most are handed out in full",
                remedy="let binning or roi make less of it, or read it from the run's data",
            )
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.save(file, frame.data, allow_pickle=False)
        temporary.replace(path)
