"""A node of a graph from a client: `pipes["cam"]["roi"]`, its parameters as attributes.

In: names and values. Out: parameters, what the node gave lately; changes go to the engine, which
checks type and bounds, and hold from the next frame on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from undula.client.pipes_text import node_text
from undula.core.errors import InputError
from undula.core.suggest import near

if TYPE_CHECKING:
    from undula.client.pipes import PipesOfGraph
    from undula.messages import PipeNode


class Parts(Mapping[str, Any]):
    """A parameter that has parts: `node.rois.beam.x = 10`, or `node.rois["beam"]["x"] = 10`."""

    def __init__(self, node: NodeView, path: str, values: Mapping[str, Any]) -> None:
        vars(self).update(_node=node, _path=path, _values=values)

    def __getitem__(self, name: str) -> Any:
        return _viewed(self._node, f"{self._path}.{name}", self._values[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"{self._path} has no {name!r}; it has {', '.join(self._values)}")
        return self[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._node.set(f"{self._path}.{name}", value)
        vars(self).update(_values={**self._values, name: value})

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._values:
            raise InputError(
                f"{self._path} has no {name!r}",
                remedy=f"it has {', '.join(self._values)}; a new one: [...] = value",
            )
        self[name] = value

    def __dir__(self) -> list[str]:
        return [name for name in self._values if name.isidentifier()]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self._values))


def _viewed(node: NodeView, path: str, value: Any) -> Any:
    return Parts(node, path, value) if isinstance(value, Mapping) else value


class NodeView:
    """A node of a graph. `node.level` is a parameter, `node.level = 3` changes it now.

    `show()` tells all about it, `result()` is what it gave lately, `clear()` lets it forget.
    """

    def __init__(self, graph: PipesOfGraph, name: str) -> None:
        vars(self).update(_graph=graph, _name=name)

    @property
    def told(self) -> PipeNode | None:
        """State, rate, frames, error, as it said last; None when its graph never ran."""
        told = self._graph.heard
        found = [] if told is None else [n for n in told.nodes if n.name == self._name]
        return found[0] if found else None

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters as they are now, by name."""
        known = self._known()["parameters"]
        return {key: one["value"] for key, one in known.items()}

    def _known(self) -> Mapping[str, Any]:
        nodes: Mapping[str, Any] = self._graph.nodes
        return nodes[self._name]  # type: ignore[no-any-return]  # of a reply

    def set(self, *path_and_value: Any, **parameters: Any) -> None:
        """Change parameters, from the next frame on: `set(low=2)`, `set("rois.beam.x", 10)`.

        Raises: InputError naming the parameter, its type and bounds; PipeError in the words of the
        node. Nothing is changed then.
        """
        given = dict(parameters)
        if path_and_value:
            path, value = path_and_value
            given[str(path)] = value
        self._graph.set(self._name, given)

    def clear(self) -> None:
        """Let it forget all frames so far: sums, maps, histograms begin anew."""
        self._graph.clear(self._name)

    def result(self, port: str | None = None, *, full: bool = False) -> Any:
        """What it gave lately: a number or an array, of images at most 64 points a side.

        Args:
            port: of its outputs; None: the only one that gave something, or all in a dict.
            full: all pixels, by a file on the beamline's host and not by the bus; at most 256 MB.
                Of a node with several outputs `port` must then be given.
        Raises: InputError, PipeError when nothing was heard of it yet, or it is too large.
        """
        if full:
            return self._graph.whole(self._name, port or "")
        images = self._graph.images
        found = {name.partition(".")[2]: data for name, data in images.items()
                 if name.partition(".")[0] == self._name}  # fmt: skip
        if not found or (port is not None and port not in found):
            has = ", ".join(found) or "none of its outputs has given anything since the graph began"
            what = self._name if port is None else f"{self._name}.{port}"
            raise InputError(
                f"nothing was heard of {what} yet", remedy=f"take a frame first; {has}"
            )
        if port is not None:
            return found[port]
        return next(iter(found.values())) if len(found) == 1 else found

    def show(self) -> None:
        """Print what it does, how it does, its parameters with types and bounds, its outputs."""
        sys.stdout.write(f"{self!r}\n")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        known = self.parameters
        if name not in known:
            meant = near(name, known)
            hint = f"did you mean {meant}?" if meant else f"it has {', '.join(known) or 'none'}"
            raise AttributeError(f"{self._name} has no parameter {name!r}: {hint}")
        return _viewed(self, name, known[name])

    def __setattr__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def __dir__(self) -> list[str]:
        own = ["told", "parameters", "set", "clear", "result", "show"]
        return [*own, *self.parameters]

    def __repr__(self) -> str:
        return node_text(self._graph.name, self._name, self._known(), self.told)
