"""Room: pipes. Faults of a graph, collected: each with its place, its line, and what to do. Pure.

In: paths in a graph (`nodes.det.parameters.width`), what is wrong there; where the graph came from
a file, the lines of its keys. Out: one GraphError that lists all of them, in the order of the file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from undula.core.errors import with_remedy
from undula.pipes.errors import GraphError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Args:
        path: in the graph.
        what: is wrong there.
        remedy: what to do.
        place: file and line, `live.yaml:7`; empty when there is no file.
        line: in that file; 0: nobody knows.
    """

    path: str
    what: str
    remedy: str
    place: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return with_remedy(f"{place}[{self.path}] {self.what}", self.remedy)


class Faults:
    """Faults of a graph.

    Args:
        file: its name; empty: it came from elsewhere.
        lines: of its keys and items, by their path.

    >>> faults = Faults("live.yaml", {"nodes": 1, "nodes.det": 2})
    >>> faults.add("nodes.det.node", "there is no node 'simulatd'", "did you mean simulated?")
    >>> print(faults.texts[0])
    live.yaml:2: [nodes.det.node] there is no node 'simulatd'. Remedy: did you mean simulated?
    """

    def __init__(self, file: str = "", lines: Mapping[str, int] | None = None) -> None:
        self._file, self._lines = file, lines or {}
        self._found: dict[tuple[str, str], Fault] = {}

    def add(self, path: str, what: str, remedy: str, *, at: str | int | None = None) -> None:
        """One more; said twice it counts once.

        Args:
            path: of what is wrong.
            what: is wrong.
            remedy: what to do.
            at: where that is in the file, when it is not `path`: another path, or a line; 0: it is
                not in the file.
        """
        line = at if isinstance(at, int) else self._line(path if at is None else at)
        file = "" if at == 0 else self._file
        place = f"{file}:{line}" if file and line else file
        self._found.setdefault((path, what), Fault(path, what, remedy, place, line))

    def _line(self, path: str) -> int:
        """Of the innermost key that is written."""
        while path and path not in self._lines:
            path = path.rpartition(".")[0]
        return self._lines.get(path, 0)

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def all(self) -> list[Fault]:
        """In the order of the file, else in that in which they were found."""
        return sorted(self._found.values(), key=lambda fault: fault.line)

    @property
    def texts(self) -> list[str]:
        """One line for each."""
        return [str(fault) for fault in self.all]

    def finish(self, name: str) -> None:
        """Raises: GraphError when there are any."""
        if self._found:
            many = len(self._found)
            error = GraphError(
                f"{many} fault{'s' * (many > 1)}", remedy="correct the graph; nothing was started"
            )
            error.where, error.details, error.faults = name, self.texts, self.all
            raise error


def nearest(word: str, known: Iterable[str]) -> str:
    """The remedy for a word that is not known: what was probably meant, else all there are."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, 1, 0.5)
    if near:
        return f"did you mean {near[0]}?"
    return f"there {'is' if len(known) == 1 else 'are'} {', '.join(known) or 'none'}"
