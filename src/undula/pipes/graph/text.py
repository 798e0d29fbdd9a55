"""Room: pipes. The text of a graph file: its values, the line of each key, keys that stand twice.

In: YAML or JSON. Out: plain dicts and lists, lines by path (`nodes.det.node`, `edges.0`), and a
fault for each key that stands twice, of which YAML itself would silently take the last. Pure.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from undula.pipes.errors import GraphError
from undula.pipes.graph.faults import Faults


@dataclass(slots=True)
class GraphText:
    """What a text says, and where.

    `twice` has the path of each key that stands twice, its line, and that of the first one.
    """

    content: Any
    lines: dict[str, int] = field(default_factory=dict)
    twice: list[tuple[str, int, int]] = field(default_factory=list)

    def faults(self, file: str) -> Faults:
        """The keys that stand twice, as the first faults of this file."""
        found = Faults(file, self.lines)
        for path, line, first in self.twice:
            lines = f"in lines {first} and {line}" if line != first else f"twice in line {line}"
            found.add(
                path, f"it stands {lines}, and one of them would be left out unseen",
                "keep one of them, or rename the other", at=line,
            )  # fmt: skip
        return found


def read_text(text: str, file: str) -> GraphText:
    """What the text of a file says. Raises: GraphError with the line where it is no YAML.

    >>> read_text("nodes:\\n  det: simulated\\n  det: replay\\n", "a.yaml").twice
    [('nodes.det', 3, 2)]
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        found = GraphText(None)
        if root is not None:
            _look(root, "", found, loader, set())
            found.content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        mark = getattr(exc, "problem_mark", None)
        deep = isinstance(exc, RecursionError)
        what = "it is nested too deeply" if deep else str(getattr(exc, "problem", None) or exc)
        remedy = "use spaces, not tabs" if "\\t" in what else "correct the YAML or JSON there"
        where = f"{file}, line {mark.line + 1}" if mark else file
        raise GraphError(what, remedy=remedy, where=where) from exc
    finally:
        loader.dispose()
    return found


def _look(
    node: yaml.Node, path: str, found: GraphText, loader: yaml.SafeLoader, seen: set[int]
) -> None:
    """Lines of all keys and items below a node; what an anchor names is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    below = f"{path}." if path else ""
    if isinstance(node, yaml.SequenceNode):
        for index, inner in enumerate(node.value):
            found.lines[f"{below}{index}"] = inner.start_mark.line + 1
            _look(inner, f"{below}{index}", found, loader, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[Hashable, int] = {}
        for key, inner in node.value:
            if key.tag.endswith(":merge"):
                continue
            name, line = loader.construct_object(key, deep=True), key.start_mark.line + 1
            if not isinstance(name, Hashable):
                continue  # refused by the loader itself
            if name in first:
                found.twice.append((f"{below}{name}", line, first[name]))
            first.setdefault(name, line)
            found.lines[f"{below}{name}"] = line
            _look(inner, f"{below}{name}", found, loader, seen)
