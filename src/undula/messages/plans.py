"""Conversation: the plans there are; those that people wrote, as source in a `ScanRequest`."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Literal

from pydantic import Field

from undula.messages.base import Command, Event

LARGEST_CODE = 1_000_000
"""Characters of one part; more would be data, which belongs into a file."""


class SourcePart(Command):
    """One name that a plan uses: a function, an import, plain data; or a whole file of them."""

    kind: Literal["import", "data", "function", "file"] = Field(description="what `code` is")
    name: str = Field(description="the name that it gives", pattern=r"^[^\W\d]\w*$")
    code: str = Field(
        description="import: a statement; data: an expression; function, file: the text as written",
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
    author: str = Field(default="", description="who wrote the file; '' for who sends it")
    revision: str = Field(
        default="", description="version of its package, or git revision of its file"
    )

    @property
    def by_name(self) -> bool:
        """It is of a plan file or a package, and was asked for by its name."""
        return any(p.kind == "file" or (p.kind == "import" and p.origin) for p in self.parts)

    @property
    def text(self) -> str:
        """The source for people: imports, data, then functions with where they were written."""
        lines = [p.code for p in self.parts if p.kind == "import"]
        lines += [f"{p.name} = {p.code}" for p in self.parts if p.kind == "data"]
        for part in (p for p in self.parts if p.kind in ("function", "file")):
            lines += ["", f"# {part.origin}, line {part.line}"]
            lines += [f"# with {name} = {value}" for name, value in part.free.items()]
            lines.append(part.code.rstrip())
        return "\n".join(lines).strip() + "\n"

    @property
    def edition(self) -> str:
        """Twelve hexadecimal digits that change with the source, not with the call."""
        parts = [part.model_dump_json() for part in self.parts]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


ParameterKind = Literal[
    "axis", "axes", "detector", "detectors", "device", "devices",
    "number", "numbers", "whole", "truth", "text", "choice", "any",
]  # fmt: skip


class PlanParameter(Event):
    """One argument of a plan, as its type hint and its docstring tell it."""

    name: str = Field(description="of the argument")
    kind: ParameterKind = Field(default="any", description="what may be given")
    required: bool = Field(default=True, description="has no default")
    default: str = Field(default="", description="the default, as written")
    many: bool = Field(default=False, description="as many as wanted, by position")
    named: bool = Field(default=False, description="can only be given by name")
    unit: str = Field(default="", description="e.g. mm, s")
    low: float | None = Field(default=None, description="the least that may be given")
    high: float | None = Field(default=None, description="the most that may be given")
    above: float | None = Field(default=None, description="it must be more than this")
    below: float | None = Field(default=None, description="it must be less than this")
    choices: list[Any] = Field(default_factory=list, description="of a choice")
    help: str = Field(default="", description="from the docstring")


class ArgumentInfo(Event):
    """One argument of a plan."""

    tag: ClassVar[str] = "argument_info"

    name: str = Field(description="as a keyword")
    kind: str = Field(
        description="axis, device, float, int, bool, choice, list (of numbers), names (of "
        "devices), text, table (rows of numbers), plan"
    )
    help: str = Field(description="one line for people")
    unit: str = Field(default="", description="e.g. s; axis: that of the axis named before it")
    required: bool = Field(default=True, description="it must be given")
    default: Any = Field(default=None, description="when it is not required")
    low: float | None = Field(default=None, description="lowest value, included")
    high: float | None = Field(default=None, description="highest value, included")
    above: float | None = Field(default=None, description="lower bound, not included")
    choices: list[str] = Field(default_factory=list, description="for a choice")
    keyword: bool = Field(default=False, description="by its name only")


class PlanInfo(Event):
    """A declared plan: how it is called."""

    tag: ClassVar[str] = "plan_info"

    name: str = Field(description="its name, e.g. grid_scan")
    family: str = Field(description="whose name it is: bluesky, spec, bec, or a user's")
    about: str = Field(description="what it does")
    usage: str = Field(description="the line that shows its arguments")
    example: str = Field(description="a call as typed in the shell")
    typed: str = Field(default="", description="the same call at a command line")
    first: list[ArgumentInfo] = Field(default_factory=list, description="before the repeated ones")
    repeated: list[ArgumentInfo] = Field(
        default_factory=list, description="given once for each axis, the axis first"
    )
    least: int = Field(default=0, description="how many axes at least")
    most: int | None = Field(default=0, description="how many axes at most; None: any number")
    arguments: list[ArgumentInfo] = Field(default_factory=list, description="the others, in order")
    relative: bool = Field(default=False, description="counted from the present positions; returns")
    words: bool = Field(default=False, description="its words are plans with their arguments")


class UserPlan(Event):
    """A plan of a plan file or of an installed package."""

    name: str = Field(description="by which it is run")
    origin: str = Field(description="file or package that gives it")
    line: int = Field(default=1, description="where it begins there")
    help: str = Field(default="", description="the text of its docstring, without arguments")
    parameters: list[PlanParameter] = Field(default_factory=list, description="its arguments")
    declared: bool = Field(
        default=False, description="its points are known before it starts, so it can be continued"
    )
    author: str = Field(default="", description="who wrote it")
    edition: str = Field(default="", description="twelve digits that change with its text")
    revision: str = Field(
        default="", description="of git, or of its package; '' when there is none"
    )
    imported: str = Field(
        default="", description="of a package: where it is, e.g. my_beamline.plans:align"
    )

    @property
    def whole_name(self) -> str:
        """By which it can always be run, whatever else has its name: `night.align`."""
        return f"{self.origin.removesuffix('.py')}.{self.name}"


class PlanTable(Event):
    """All declared plans."""

    tag: ClassVar[str] = "plan_table"

    plans: list[PlanInfo] = Field(description="in the order of the catalogue")
    packaged: list[UserPlan] | None = Field(
        default_factory=list,
        description="of installed packages, by the names that they run by; None: not read yet",
    )


class HookInfo(Event):
    """One hook of the hooks file: a small plan that is run at a place of every scan."""

    name: str = Field(description="of the function")
    place: str = Field(description="e.g. before scan, after point, on abort")
    line: int = Field(default=1, description="where it begins")
    plan: str = Field(default="*", description="patterns of plan names, with | between them")
    technique: str = Field(default="*", description="pattern of the metadata `technique`")
    detectors: str = Field(default="*", description="pattern; one of the detectors must match")
    on_error: Literal["fail", "warn"] = Field(default="fail", description="what its error does")
    help: str = Field(default="", description="first line of its docstring")
    last_error: str = Field(default="", description="of a hook that only warns")


class PlanList(Event):
    """All that people added at the beamline: plans, hooks, defaults; and what is wrong with it."""

    tag: ClassVar[str] = "plan_list"

    plans: list[UserPlan] = Field(description="by name")
    beside: list[UserPlan] = Field(
        default_factory=list,
        description="those whose name another has: they run by their whole names",
    )
    hooks: list[HookInfo] = Field(default_factory=list, description="in the order they are run")
    preprocessors: list[str] = Field(default_factory=list, description="in the order of use")
    defaults: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="pattern of plan names to what holds for them"
    )
    faults: list[str] = Field(default_factory=list, description="with file and line")
    folder: str = Field(default="", description="where the files are")

    def known(self) -> dict[str, UserPlan]:
        """Each plan by the names that it runs by: its own where it is not another's; its whole."""
        whole = {plan.whole_name: plan for plan in [*self.beside, *self.plans]}
        return whole | {plan.name: plan for plan in self.plans}


def usage(plan: UserPlan) -> str:
    """How the plan is called at the command line.

    >>> usage(UserPlan(name="align", origin="f", parameters=[
    ...     PlanParameter(name="axis"), PlanParameter(name="n", required=False, default="5")]))
    'align AXIS [n=5]'
    """
    words = [plan.name]
    for p in plan.parameters:
        if p.many:
            words.append(f"[{p.name.upper()} ...]")
        else:
            words.append(p.name.upper() if p.required else f"[{p.name}={p.default}]")
    return " ".join(words)


def bounds(p: PlanParameter) -> str:
    """What may be given, in words; '' when anything may.

    >>> bounds(PlanParameter(name="n", low=0, below=5))
    '0 or more, less than 5'
    """
    found = []
    if p.low is not None:
        found.append(f"{p.low:g} or more")
    if p.above is not None:
        found.append(f"more than {p.above:g}")
    if p.high is not None:
        found.append(f"{p.high:g} or less")
    if p.below is not None:
        found.append(f"less than {p.below:g}")
    return ", ".join(found)
