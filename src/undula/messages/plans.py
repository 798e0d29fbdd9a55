"""Conversation: a plan that a person wrote, as source with what it needs, in a `ScanRequest`."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from undula.messages.base import Command

LARGEST_CODE = 1_000_000
"""Characters of one part; more would be data, which belongs into a file."""


class SourcePart(Command):
    """One name that a plan uses: a function, an import, or plain data."""

    kind: Literal["import", "data", "function"] = Field(description="what `code` is")
    name: str = Field(description="the name that it gives", pattern=r"^[^\W\d]\w*$")
    code: str = Field(
        description="import: a statement; data: an expression; function: its text as written",
        max_length=LARGEST_CODE,
    )
    origin: str = Field(default="", description="cell or file where a function was written")
    line: int = Field(default=1, ge=1, description="its first line there")
    free: dict[str, str] = Field(
        default_factory=dict, description="names that it has from around it, as expressions"
    )
    defaults: dict[str, str] = Field(
        default_factory=dict, description="default values of its arguments, as expressions"
    )
    decorated: bool = Field(default=False, description="its decorators belong to it")


class PlanSource(Command):
    """A plan as source: the parts in the order in which they are made, and the call."""

    name: str = Field(description="of the plan", pattern=r"^[^\W\d]\w*$")
    call: str = Field(
        description="the expression that makes the plan, e.g. align(M.samx, 5)",
        max_length=LARGEST_CODE,
    )
    parts: list[SourcePart] = Field(default_factory=list, description="what it needs")

    @property
    def text(self) -> str:
        """The source for people: imports, data, then functions with where they were written."""
        lines = [p.code for p in self.parts if p.kind == "import"]
        lines += [f"{p.name} = {p.code}" for p in self.parts if p.kind == "data"]
        for part in (p for p in self.parts if p.kind == "function"):
            lines += ["", f"# {part.origin}, line {part.line}"]
            lines += [f"# with {name} = {value}" for name, value in part.free.items()]
            lines.append(part.code.rstrip())
        return "\n".join(lines).strip() + "\n"

    @property
    def edition(self) -> str:
        """Twelve hexadecimal digits that change with the source, not with the call."""
        parts = [part.model_dump_json() for part in self.parts]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
