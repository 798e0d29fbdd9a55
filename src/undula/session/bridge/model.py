"""What travels through the bridge: who, what, and how it ended. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Policy = Literal["refuse", "queue", "front"]
"""What to do while something else runs: say so, wait at the end, or wait as the next."""

Status = Literal["ok", "error", "aborted", "died"]
"""How a command ended: by itself; with an exception; taken back before it began; the prompt's
process ended while it ran, so that nobody knows how far it came."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who asked, attested by the kernel or by a log in, never by the message.

    `origin` is the surface: `terminal`, `rpc`, `web`, ...
    """

    name: str
    origin: str = "rpc"
    token: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.origin}:{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function by name with typed arguments: numbers, texts, lists, dicts, and `Path`s."""

    function: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Code:
    """Text as a person types it; for those who are allowed to."""

    text: str


@dataclass(frozen=True, slots=True)
class Path:
    """A device by its path, e.g. `M.samx`: the expression that reaches it."""

    path: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command on its way: `line` is what everybody sees; times are UTC epoch s."""

    id: str
    author: Author
    line: str
    submitted: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `result` is the representation that the prompt showed, "" without one.

    `error` is the exception's class name, `message` its text, `traceback` its lines without colour.
    `duration_s` counts from the start of the command.
    """

    status: Status
    result: str = ""
    error: str = ""
    message: str = ""
    traceback: tuple[str, ...] = ()
    duration_s: float = 0.0
    run_numbers: tuple[int, ...] = ()
