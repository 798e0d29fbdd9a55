"""The beamline's names at a prompt: told when somebody overwrites one, given back when it is gone.

In: the names that the beamline gave, the names of the prompt after a cell. Out: names put back, a
line of text. Whoever wants `scan` to be a number may have it; but everybody else at the prompt
hears of it, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from undula.session.planning.modules import PlanModule

MOST_NAMED = 5
"""So many names are told one by one."""


class Kept:
    """The names of one prompt.

    Args:
        given: what the beamline gives now, by name: words, devices, functions of plan files.
        here: the prompt's names, which are changed in place.
    """

    def __init__(
        self, given: Callable[[], Mapping[str, Any]], here: Callable[[], dict[str, Any]]
    ) -> None:
        self._given, self._here = given, here
        self._taken: set[str] = set()

    def accept(self) -> None:
        """What differs now is meant so, e.g. by the start-up file: it is not told."""
        self._taken |= self._overwritten()

    def look(self) -> str:
        """After a cell: put back what is gone. Returns: what is to be told, "" for nothing."""
        here, given = self._here(), self._given()
        for name in ("exit", "quit"):  # which %reset makes IPython's own, that ends its kernel
            if name in given and "ExitAutocall" in type(here.get(name)).__name__:
                here[name] = given[name]
        back = [name for name in given if name not in here]
        if back:  # a device may have been removed in this moment: then it is given no more
            given = self._given()
            back = [name for name in back if name in given]
        for name in back:
            here[name] = given[name]
        taken = self._overwritten()
        fresh, self._taken = taken - self._taken, taken
        said = []
        if fresh:
            one = next(iter(fresh)) if len(fresh) == 1 else "NAME"
            are, this = ("is", "it") if len(fresh) == 1 else ("are", "one")
            said.append(
                f"note: {_listed(fresh)} {are} no longer the beamline's at this prompt; "
                f"del {one} brings {this} back"
            )
        if back:
            said.append(f"note: {_listed(back)} {'is' if len(back) == 1 else 'are'} here again")
        return "\n".join(said)

    def _overwritten(self) -> set[str]:
        here = self._here()
        return {
            name
            for name, value in self._given().items()
            if name in here and here[name] is not value and not _same(here[name], value)
        }


def _same(new: Any, value: Any) -> bool:
    """`import numpy as np`, `import bluesky.plans as bp` change nothing."""
    return isinstance(new, ModuleType) and isinstance(value, ModuleType | PlanModule)


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    if len(known) > MOST_NAMED:
        return f"{len(known)} names of the beamline"
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"
