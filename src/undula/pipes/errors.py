"""Errors of the pipes: all of them say what, where, and what to do now."""

from __future__ import annotations

from typing import ClassVar

from undula.core.errors import UndulaError


class PipeError(UndulaError):
    """A link, node or graph cannot do what was asked of it while frames flow."""

    category: ClassVar[str] = "pipe"


class GraphError(UndulaError):
    """A graph is wrong; nothing was started. Every fault is a line of `details`."""

    category: ClassVar[str] = "config"
