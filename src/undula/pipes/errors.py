"""Errors of the pipes: all of them say what, where, and what to do now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from undula.core.errors import UndulaError


class PipeError(UndulaError):
    """A link, node or graph cannot do what was asked of it while frames flow."""

    category: ClassVar[str] = "pipe"


class GraphError(UndulaError):
    """A graph is wrong; nothing was started. Every fault is a line of `details`.

    `faults` has the same as values (`graph.faults.Fault`), where it was collected.
    """

    category: ClassVar[str] = "config"
    faults: Sequence[Any] = ()
