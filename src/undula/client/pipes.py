"""Graphs of pipes from a client: what runs, how fast, what waits, what is seen; and changed.

In: the name of a graph: of a detector, or one that a command runs. Out: `PipesOfGraph`, which shows
itself as a table, and its nodes (`pipe_node`). What is changed is the engine's: it says who may.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undula.bus.endpoints import ENGINE_PIPES, PIPES_OPENED, PIPES_STATUS
from undula.client.pipe_node import NodeView
from undula.client.pipes_text import flow_text, listed_text, read_edges, told_text
from undula.core.clock import now
from undula.core.errors import InputError
from undula.core.suggest import near
from undula.messages import GraphTold, PipeNode

if TYPE_CHECKING:
    from undula.bus.ports import Subscription
    from undula.client.client import Client

SHOW_S = 0.5
MOST_OPENED = 200
OVER = ("ended", "failed")
CHANGE_S = 30.0


class PipesOfGraph:
    """A graph: `pipes["cam"]`. Its nodes are `pipes["cam"]["roi"]`; shown, it is a table."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self.name = client, name

    @property
    def heard(self) -> GraphTold | None:
        """What it said last; None when it never ran."""
        return self._client.link.connector.get(PIPES_STATUS, name=self.name)

    @property
    def told(self) -> GraphTold:
        """What it said last. Raises: InputError when it never ran."""
        found = self.heard
        if found is None:
            raise InputError(
                f"no graph of {self.name!r} has run yet",
                remedy="graphs start with the first scan of their detector; see client.pipes",
            )
        return found

    def _silent_command(self) -> GraphTold | None:
        """What a command says that runs it and answers no questions; None of any other graph."""
        told = self.heard
        return told if told is not None and told.by and not told.answers else None

    def _ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return self._client.link.ask(
            ENGINE_PIPES, CHANGE_S, action=action, graph=self.name, **fields
        )

    @property
    def nodes(self) -> dict[str, Any]:
        """Each node: `kind`, `help`, `outputs`, `parameters`. Raises: InputError."""
        told = self._silent_command()
        if told is not None:
            return {n.name: _as_told(n) for n in told.nodes}
        return dict(self._ask("show")["nodes"])

    def __getitem__(self, node: str) -> NodeView:
        """A node. Raises: InputError."""
        known = self.nodes
        if node not in known:
            meant = near(node, known)
            there = f"it has {', '.join(known)}"
            raise InputError(
                f"{self.name} has no node {node!r}",
                remedy=f"did you mean {meant}? {there}" if meant else there,
            )
        return NodeView(self, node)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.nodes)

    def set(self, node: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Change parameters of a node, from its next frame on; see `NodeView.set`.

        Returns: `changed`, each parameter before and now; `runs`, False when it holds from the next
        start of the graph on. Raises: InputError, PipeError, AccessError, BusyError.
        """
        return self._ask("set", node=node, parameters=dict(parameters))

    def clear(self, node: str) -> None:
        """Let a node forget all frames so far."""
        self._ask("clear", node=node)

    def whole(self, node: str, port: str) -> Any:
        """What a port gave last, in full; see `NodeView.result`."""
        import numpy as np

        return np.load(self._ask("result", node=node, port=port)["path"], allow_pickle=False)

    @property
    def images(self) -> dict[str, Any]:
        """What each port gave lately, thinned to 64 a side, by NODE.PORT."""
        return {image.port: image.data for image in self.told.images}

    def follow(self, callback: Callable[[GraphTold], None]) -> Subscription:
        """Call `callback`, on another thread, a few times a second; `close()` ends it."""
        return self._client.link.connector.subscribe(PIPES_STATUS, callback, name=self.name)

    def top(self) -> None:
        """Show it again and again, until Ctrl-C."""
        clear = "\033[2J\033[H" if sys.stdout.isatty() else ""
        try:
            while True:
                sys.stdout.write(f"{clear}{self!r}\n")
                sys.stdout.flush()
                time.sleep(SHOW_S)
        except KeyboardInterrupt:
            return

    def show(self) -> None:
        """Print it: its state, the flow, rates and queues of nodes and edges."""
        sys.stdout.write(f"{self!r}\n")

    def svg(self, path: str | Path | None = None) -> str:
        """The graph drawn, with rates and errors; written to `path` when that is given."""
        from undula.pipes.graph import read_graph
        from undula.pipes.graph import svg as drawn

        told, graph = self.heard, read_graph(self._ask("show")["graph"])
        nodes = told.nodes if told else []
        notes = {n.name: f"{n.rate_hz:.4g} Hz, {n.frames} frames" for n in nodes}
        text = drawn(graph, notes, {n.name: n.error for n in nodes if n.error})
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def __repr__(self) -> str:
        told = self.heard
        if told is not None:
            return told_text(told)
        edges = read_edges(self._ask("show")["graph"])
        return f"{self.name}: not started, the first scan of it does that\n{flow_text(edges)}"


def _as_told(node: PipeNode) -> dict[str, Any]:
    """A node of a graph that a command runs, as far as one can know."""
    about = {"unit": "", "type": "", "bounds": "", "about": "as it was given"}
    given = {key: {"value": value, **about} for key, value in node.parameters.items()}
    return {"kind": node.kind, "help": "", "outputs": {}, "parameters": given}


class Pipes(Mapping[str, PipesOfGraph]):
    """The graphs of a beamline: `pipes` lists them, `pipes["cam"]` is one."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getitem__(self, name: str) -> PipesOfGraph:
        known = self._names()
        if str(name) not in known:
            meant = near(str(name), known)
            are = "is" if len(known) == 1 else "are"
            there = f"there {are} {', '.join(known)}" if known else "no device here has one"
            raise InputError(
                f"there is no graph {str(name)!r}",
                remedy=f"did you mean {meant}?" if meant else there,
            )
        return PipesOfGraph(self._client, str(name))

    def graph(self, name: str) -> PipesOfGraph:
        """One that may not be there yet, to follow it."""
        return PipesOfGraph(self._client, name)

    def of_devices(self) -> list[str]:
        """Names of the devices that have a graph."""
        return list(self._client.link.ask(ENGINE_PIPES, action="list")["graphs"])

    def running(self) -> list[GraphTold]:
        """All graphs that run at the beamline now, of devices and of commands."""
        get, here = self._client.link.connector.get, now()
        found = [get(PIPES_STATUS, name=name) for name in self._names()]
        return [told for told in found
                if told is not None and told.state not in OVER and not told.gone(here)]  # fmt: skip

    def _names(self) -> list[str]:
        connector = self._client.link.connector
        opened = connector.read(PIPES_OPENED, count=MOST_OPENED)
        names = dict.fromkeys(one.name for _, one in opened)
        mine = self.of_devices()
        here = now()
        told = {name: connector.get(PIPES_STATUS, name=name) for name in names if name not in mine}
        return [*mine, *(n for n, one in told.items() if one is not None and not one.gone(here))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _ipython_key_completions_(self) -> list[str]:
        return self._names()

    def __repr__(self) -> str:
        get = self._client.link.connector.get
        rows = [(name, get(PIPES_STATUS, name=name)) for name in self._names()]
        return listed_text(rows) if rows else "no device here has a graph"
