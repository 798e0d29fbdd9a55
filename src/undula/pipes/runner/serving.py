"""Room: pipes. What a process of a graph does with the line to its runner, from the first word.

In: the line. Out: the nodes of that process at work (`worker`), until the runner says so or hangs
up. It does not matter how the process was started: that is `placement`'s.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from undula.core.errors import UndulaError
from undula.pipes.graph import Graph, checked, read_graph
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner.control import Line
from undula.pipes.runner.ends import Far
from undula.pipes.runner.worker import Worker

Begun = Callable[[Graph, str], object]


def _nobody(*_: object) -> None:
    """Nobody is to hear which graph it is."""


def serve(line: Line, begun: Begun = _nobody) -> int:
    """Run the nodes of one process. Returns: 0 as asked, 1 when a node could not be made.

    `begun` is called with the graph, and the name of this process, as soon as they are known.
    """
    words = _first(line)
    if words is None:
        return 0
    worker = made(words, line, begun)
    if worker is None:
        return 1
    try:
        worker.run()
    except Exception as exc:  # whatever it is, the runner hears of it; it ends the process
        line.say(fault=f"{type(exc).__name__}: {exc}")
        raise
    return 0


def made(words: Mapping[str, Any], line: Line, begun: Begun = _nobody) -> Worker | None:
    """The nodes of one process, by the first words of its runner; None, and said, if one fails."""
    try:
        types = NodeFolder.of_texts(words["nodes"])
        plain = read_graph(words["graph"])
        begun(plain, words["process"])
        graph = checked(plain, types)
        return Worker(
            graph, words["process"], Path(words["folder"]), types, line,
            spill=Path(words["spill"]), far=_far(words),
        )  # fmt: skip
    except UndulaError as exc:
        line.say(trouble=str(exc))
    except Exception as exc:  # a node's own code: whatever it raises, the runner must know
        line.say(trouble=f"{type(exc).__name__}: {exc}")
    return None


def _far(words: Mapping[str, Any]) -> Far | None:
    found = words.get("far")
    if found is None:
        return None
    return Far(found["address"], Path(found["keys"]), found["ports"], found["turn"])


def _first(line: Line) -> dict[str, Any] | None:
    while not line.ended:
        select.select([line], [], [])
        heard = line.heard()
        if heard:
            line.unread(heard[1:])
            return heard[0]
    return None
