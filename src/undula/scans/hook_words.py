"""The words of a hooks file: `before`, `instead`, `after`, `on`, `preprocessor`.

In: functions that the file decorates. Out: `Collected`, in the order of the file. Imports nothing
of Bluesky: the throw-away process that reads the file first needs it quickly.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from undula.core.errors import InputError
from undula.messages.plans import HookInfo

PLACES = {
    "before": ("scan", "stage", "point"),
    "instead of": ("scan", "stage", "point"),
    "after": ("scan", "stage", "point"),
    "on": ("pause", "resume", "abort", "close"),
}
"""Where a hook may be run."""
_FILTERS = ("plan", "technique", "detectors")


@dataclass(frozen=True, slots=True)
class Hook:
    """A function of the hooks file, and where it is run."""

    info: HookInfo
    function: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which scans are meant; `|` stands between patterns."""

    plan: str = "*"
    technique: str = "*"
    detectors: str = "*"

    def fits(self, plan: str, technique: str, detectors: tuple[str, ...]) -> bool:
        """Whether a scan is meant.

        >>> Filter(plan="ascan|mesh").fits("mesh", "", ())
        True
        >>> Filter(detectors="eiger*").fits("mesh", "", ("diode",))
        False
        """
        read = self.detectors == "*" or any(matches(self.detectors, d) for d in detectors)
        return matches(self.plan, plan) and matches(self.technique, technique) and read


def matches(patterns: str, text: str) -> bool:
    """Whether one of the patterns, with `|` between them, fits the whole text."""
    return any(fnmatchcase(text, pattern.strip()) for pattern in patterns.split("|"))


@dataclass(slots=True)
class Collected:
    """What a hooks file gives."""

    hooks: list[Hook] = field(default_factory=list)
    preprocessors: list[tuple[str, Callable[[Any], Any], Filter]] = field(default_factory=list)

    def infos(self) -> list[HookInfo]:
        """All hooks, for people."""
        return [hook.info for hook in self.hooks]


def words(collected: Collected) -> dict[str, Any]:
    """The words that fill `collected`."""

    def placed(word: str) -> Callable[..., Any]:
        def place(what: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
            if what not in PLACES[word]:
                raise InputError(
                    f"there is no place {word} {what}",
                    remedy=f"{word}: one of {', '.join(PLACES[word])}",
                )
            on_error = options.pop("on_error", "fail")
            if on_error not in ("fail", "warn"):
                raise InputError(f"on_error is {on_error!r}", remedy='write "fail" or "warn"')
            if (word, what, on_error) == ("instead of", "point", "warn"):
                raise InputError(
                    "a hook in place of a point cannot be passed over: the point would be missing",
                    remedy="leave on_error out, or catch the error in the hook and go on with "
                    "yield from original()",
                )
            chosen = _filter(options)

            def keep(function: Callable[..., Any]) -> Callable[..., Any]:
                info = HookInfo(
                    name=function.__name__,
                    place=f"{word} {what}",
                    line=inspect.unwrap(function).__code__.co_firstlineno,
                    plan=chosen.plan,
                    technique=chosen.technique,
                    detectors=chosen.detectors,
                    on_error=on_error,
                    help=(inspect.getdoc(function) or "").partition("\n")[0],
                )
                collected.hooks.append(Hook(info, function))
                return function

            return keep

        return place

    def preprocessor(given: Any = None, **options: Any) -> Any:
        chosen = _filter(options)

        def keep(wrapper: Any) -> Any:
            if not callable(wrapper):
                raise InputError(
                    f"{wrapper!r} cannot be called",
                    remedy="give a function plan -> plan, a decorator of bpp, or SupplementalData",
                )
            reached = getattr(wrapper, "stands_for", "")  # while the file is only read
            name = reached or getattr(wrapper, "__name__", "") or type(wrapper).__name__
            collected.preprocessors.append((name, wrapper, chosen))
            return wrapper

        return keep if given is None else keep(given)

    return {
        "before": placed("before"),
        "instead": placed("instead of"),
        "after": placed("after"),
        "on": placed("on"),
        "preprocessor": preprocessor,
    }


def _filter(options: dict[str, Any]) -> Filter:
    for name in options:
        if name not in _FILTERS:
            raise InputError(
                f"there is no filter {name!r}", remedy=f"one of {', '.join(_FILTERS)}, on_error"
            )
    return Filter(**{k: v if isinstance(v, str) else "|".join(v) for k, v in options.items()})
