"""A declared plan as data, and the binding of a call to its arguments.

In: names, numbers, lists. Out: a `Call` with one value for each argument, from which the plan's
`build` makes a `StepForm`. Pure; imports no numpy, so that a prompt opens quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from undula.core.errors import InputError
from undula.core.suggest import COMMON, named_twice, unknown_option
from undula.plans.arguments import Argument, usage_words
from undula.plans.form import StepForm

Family = Literal["bluesky", "spec", "bec"]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a plan: the values of its arguments, and one tuple for each axis it repeats."""

    plan: DeclaredPlan
    groups: tuple[tuple[Any, ...], ...]
    values: Mapping[str, Any]
    detectors: tuple[str, ...] | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def relative(self) -> bool:
        """The positions count from where the axes are."""
        return bool(self.values.get("relative", self.plan.relative))

    @property
    def axes(self) -> list[str]:
        """The axes that it names, in order."""
        own = [self.values[a.name] for a in self.plan.arguments if a.kind == "axis"]
        return [*(group[0] for group in self.groups), *own]


@dataclass(frozen=True, slots=True)
class DeclaredPlan:
    """A plan of which everything is known before it starts, and how it is called.

    Args:
        first: arguments before those that are repeated.
        repeated: arguments given once for each axis, the axis first.
        most: how often at most; None for any number of axes.
        least: how often at least.
        arguments: the others, in order; those with `keyword` by name only.
        counters: further words name what is read, as in SPEC.
        words: how a usage line shows the words of a call that go to `build` as they are.
        command: its own command of the command line, beside `undula plan NAME`.
        elsewhere: words that others have as options here, and where to find what they do.
    """

    name: str
    family: Family
    about: str
    example: str
    build: Callable[[Call], StepForm]
    arguments: tuple[Argument, ...] = ()
    repeated: tuple[Argument, ...] = ()
    first: tuple[Argument, ...] = ()
    least: int = 1
    most: int | None = None
    relative: bool = False
    counters: bool = False
    words: str = ""
    command: str = ""
    elsewhere: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def usage(self) -> str:
        """The line that shows how it is called.

        >>> from undula.plans import FORMS
        >>> FORMS["scan"].usage
        'scan AXIS START STOP [AXIS START STOP ...] NUM'
        """
        group = usage_words(self.repeated)
        if self.repeated and self.most != 1:
            more = [] if self.most == self.least else [f"[{' '.join(group)} ...]"]
            group = group * self.least + more
        if self.words:
            group = [self.words]
        parts = [self.name, *usage_words(self.first), *group, *usage_words(self.arguments)]
        return " ".join(parts + (["[DETECTOR ...]"] if self.counters else []))

    @property
    def options(self) -> tuple[str, ...]:
        """Arguments that may be given by name."""
        return tuple(a.name for a in self.arguments if a.kind != "axis")

    @property
    def every(self) -> tuple[Argument, ...]:
        """All arguments, in order."""
        return (*self.first, *self.repeated, *self.arguments)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """The values of a call. Raises: InputError that says what is missing or wrong."""
        words, options = list(args), dict(kwargs)
        values: dict[str, Any] = {}
        if self.words:
            values["words"] = words
        else:
            for argument in self.first:
                values[argument.name] = self._take(argument, words, options)
        groups = () if self.words else self._groups(words)
        axis = ""
        for argument in self.arguments:
            given = self._take(argument, [] if self.words else words, options)
            values[argument.name] = given if given is argument.default else argument.value(given)
            axis = given if argument.kind == "axis" else axis
        read = None
        if words and self.counters and all(isinstance(word, str) for word in words):
            read = tuple(words)
            words.clear()
        if words and not self.words:
            raise InputError(
                f"{self.name} got more than it takes: {', '.join(map(repr, words))}",
                remedy=f"use: {self.usage}"
                + (
                    "; for a grid that turns at each line say snake_axes=True" * self._snakes(words)
                ),
            )
        if options:
            raise unknown_option(self.name, options, [*self.options, *COMMON], self.elsewhere)
        call = Call(self, groups, values, read)
        _distinct(call.axes)
        return call

    def in_places(
        self, args: Sequence[Any], changes: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """A call that is changed: what has a place in it, and is given by its name, goes there.

        With several axes their own arguments have no name that tells them apart.

        >>> from undula.plans import FORMS
        >>> FORMS["scan"].in_places(["samx", -1, 1, 21], {"stop": 2, "num": 9, "time": 1})
        (['samx', -1, 2, 9], {'time': 1})
        """
        words, named = list(args), dict(changes)
        if self.words:
            return words, named
        begin, size, groups = len(self.first), len(self.repeated), 0
        while size and groups != self.most and begin + groups * size < len(words):
            if not isinstance(words[begin + groups * size], str):
                break
            groups += 1
        order = [*self.first, *self.repeated * groups]
        order += [argument for argument in self.arguments if not argument.keyword]
        for argument in order:
            place = order.index(argument)
            alone = groups == 1 or argument not in self.repeated
            if alone and argument.name in named and place < len(words):
                words[place] = named.pop(argument.name)
        return words, named

    def _take(self, argument: Argument, words: list[Any], options: dict[str, Any]) -> Any:
        if words and not argument.keyword:
            if argument.name in options:
                raise InputError(f"{argument.name} is given twice", remedy="give it once")
            given = words.pop(0)
            return argument.value(given) if argument in self.first else given
        if argument.name in options:
            return options.pop(argument.name)
        if argument.required:
            raise InputError(f"the {argument.what} is missing", remedy=f"use: {self.usage}")
        return argument.default

    def _snakes(self, words: Sequence[Any]) -> bool:
        """What is too many was once, in Bluesky, whether the grid turns at each line."""
        return "snake_axes" in self.options and any(isinstance(word, bool) for word in words)

    def _groups(self, words: list[Any]) -> tuple[tuple[Any, ...], ...]:
        size = len(self.repeated)
        found: list[tuple[Any, ...]] = []
        while size and words and isinstance(words[0], str) and len(found) != self.most:
            chunk, words[:] = words[:size], words[size:]
            if len(chunk) < size:
                raise InputError(
                    f"{self.repeated[len(chunk)].what} of {chunk[0]} is missing",
                    remedy=f"use: {self.usage}",
                )
            axis = chunk[0]
            found.append(
                (
                    axis,
                    *(a.value(g, axis) for a, g in zip(self.repeated[1:], chunk[1:], strict=True)),
                )
            )
        if size and len(found) < self.least:
            if words and found == []:
                raise InputError(
                    f"{words[0]!r} stands where an axis is expected", remedy=f"use: {self.usage}"
                )
            what = "no axis was named" if not found else f"{self.name} wants {self.least} axes"
            raise InputError(what, remedy=f"use: {self.usage}")
        return tuple(found)


def _distinct(axes: Sequence[str]) -> None:
    if len(set(axes)) != len(axes):
        raise InputError(f"{named_twice(axes)} is named twice", remedy="name each axis once")
