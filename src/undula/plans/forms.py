"""What people type, parsed: plan name and arguments become a `StepForm`.

Bluesky's names (`num` counts points) and the SPEC/BLISS forms, which have a signature of their own:
`ascan samx 0 1 10 0.1` has 10 intervals, so 11 points, and 0.1 s count time; `mesh` names the fast
axis first. In: names and numbers. Out: `StepForm`. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import COMMON, unknown_option
from undula.plans.trajectory import MAX_POINTS, Trajectory, grid, line, listed


@dataclass(frozen=True, slots=True)
class StepForm:
    """A declared plan: everything known of it before it starts.

    `trajectory` is None for plans that only count; `num` is None for those that go on until they
    are stopped. `returns`: the axes go back to where they were.
    """

    plan: str
    trajectory: Trajectory | None = None
    num: int | None = None
    detectors: tuple[str, ...] | None = None
    count_time_s: float | None = None
    delay_s: float = 0.0
    returns: bool = False

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes that move."""
        return self.trajectory.axes if self.trajectory else ()


Args = Sequence[Any]
Options = dict[str, Any]


def _take(options: Options, name: str, default: Any) -> Any:
    return options.pop(name, default)


def _groups(args: Args, size: int, usage: str) -> list[tuple[Any, ...]]:
    if not args or len(args) % size:
        raise InputError(
            f"{len(args)} arguments do not make groups of {size}", remedy=f"use: {usage}"
        )
    return [tuple(args[i : i + size]) for i in range(0, len(args), size)]


def _seconds(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InputError(f"{what} is {value!r}", remedy=f"give {what} in seconds, 0 or more")
    return float(value)


def _intervals(value: Any, what: str = "the number of intervals") -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{what} is {value!r}", remedy=f"give {what} as a whole number, 1 or more")
    if value > MAX_POINTS:
        raise InputError(f"{what} is {value:,}", remedy=f"ask for {MAX_POINTS:,} or fewer")
    return value


def _scan(name: str, args: Args, options: Options) -> StepForm:
    usage = f"{name} AXIS START STOP [AXIS START STOP ...] NUM"
    num = _take(options, "num", None)
    if num is None:
        if not args:
            raise InputError("no axis was named", remedy=f"use: {usage}")
        args, num = args[:-1], args[-1]
    path = line(_groups(args, 3, usage), num)
    return _moving(name, path)


def _moving(name: str, path: Trajectory) -> StepForm:
    relative = name.startswith("rel_") or name in ("dscan", "dmesh", "lup")
    return StepForm(name, replace(path, relative=relative), num=path.num_points, returns=relative)


def _list_scan(name: str, args: Args, _: Options) -> StepForm:
    groups = _groups(args, 2, f"{name} AXIS POINTS [AXIS POINTS ...]")
    lists = [(axis, points if isinstance(points, list) else [points]) for axis, points in groups]
    return _moving(name, listed(lists))


def _grid_scan(name: str, args: Args, options: Options) -> StepForm:
    specs = _groups(args, 4, f"{name} AXIS START STOP NUM [AXIS START STOP NUM ...]")
    snake = _take(options, "snake_axes", False)
    names = [spec[0] for spec in specs]
    if isinstance(snake, bool):
        back = [False, *[snake] * (len(specs) - 1)]
    else:
        if isinstance(snake, str):
            snake = [snake]
        if not isinstance(snake, list | tuple):
            raise InputError(
                f"snake_axes is {snake!r}", remedy="write true or false, or name the axes"
            )
        surplus = set(snake) - set(names)
        if surplus:
            raise InputError(
                f"snake_axes names {', '.join(sorted(map(str, surplus)))}",
                remedy=f"write true or false, or name axes of: {', '.join(names[1:])}",
            )
        back = [n in snake for n in names]
    return _moving(name, grid(specs, back))


def _count(name: str, args: Args, options: Options) -> StepForm:
    num = args[0] if args else _take(options, "num", 1)
    delay = args[1] if len(args) > 1 else _take(options, "delay", 0.0)
    if len(args) > 2:
        raise InputError(f"{name} got {len(args)} arguments", remedy=f"use: {name} [NUM [DELAY]]")
    points = None if num is None else _intervals(num, "the number of points")
    return StepForm(name, num=points, delay_s=_seconds(delay or 0.0, "the delay"))


def _ascan(name: str, args: Args, _: Options) -> StepForm:
    usage = f"{name} AXIS START STOP [AXIS START STOP ...] INTERVALS TIME"
    if len(args) < 5 or len(args) % 3 != 2:
        raise InputError(f"{name} got {len(args)} arguments", remedy=f"use: {usage}")
    path = line(_groups(args[:-2], 3, usage), _intervals(args[-2]) + 1)
    return replace(_moving(name, path), count_time_s=_seconds(args[-1], "the count time"))


def _mesh(name: str, args: Args, options: Options) -> StepForm:
    usage = f"{name} FAST START STOP INTERVALS SLOW START STOP INTERVALS TIME"
    if len(args) != 9:
        raise InputError(f"{name} got {len(args)} arguments", remedy=f"use: {usage}")
    fast, slow = _groups(args[:8], 4, usage)
    specs = [(n, a, b, _intervals(k) + 1) for n, a, b, k in (slow, fast)]
    path = grid(specs, [False, bool(_take(options, "snake", False))])
    return replace(_moving(name, path), count_time_s=_seconds(args[8], "the count time"))


def _ct(name: str, args: Args, _: Options) -> StepForm:
    if len(args) > 1:
        raise InputError(f"{name} got {len(args)} arguments", remedy=f"use: {name} [TIME]")
    return StepForm(name, num=1, count_time_s=_seconds(args[0], "the count time") if args else None)


def _timescan(name: str, args: Args, options: Options) -> StepForm:
    num = args[1] if len(args) > 1 else _take(options, "npoints", None)
    if not 1 <= len(args) <= 2:
        raise InputError(f"{name} got {len(args)} arguments", remedy=f"use: {name} TIME [NPOINTS]")
    return StepForm(
        name,
        num=None if num is None else _intervals(num, "the number of points"),
        count_time_s=_seconds(args[0], "the count time"),
        delay_s=_seconds(_take(options, "sleep_time", 0.0), "the sleep time"),
    )


def _loopscan(name: str, args: Args, options: Options) -> StepForm:
    if len(args) != 2:
        raise InputError(f"{name} got {len(args)} arguments", remedy=f"use: {name} NPOINTS TIME")
    return replace(_timescan(name, [args[1], args[0]], options), plan=name)


FORMS: Mapping[str, Callable[[str, Args, Options], StepForm]] = {
    "scan": _scan,
    "rel_scan": _scan,
    "list_scan": _list_scan,
    "rel_list_scan": _list_scan,
    "grid_scan": _grid_scan,
    "rel_grid_scan": _grid_scan,
    "count": _count,
    "ascan": _ascan,
    "dscan": _ascan,
    "lup": _ascan,
    "mesh": _mesh,
    "dmesh": _mesh,
    "ct": _ct,
    "timescan": _timescan,
    "loopscan": _loopscan,
}
"""Plans that are declared: their whole trajectory is known before they start."""


OPTIONS: Mapping[str, tuple[str, ...]] = {
    "scan": ("num",),
    "rel_scan": ("num",),
    "grid_scan": ("snake_axes",),
    "rel_grid_scan": ("snake_axes",),
    "count": ("num", "delay"),
    "mesh": ("snake",),
    "dmesh": ("snake",),
    "timescan": ("npoints", "sleep_time"),
    "loopscan": ("sleep_time",),
}
"""The options of each declared plan, beside `time` and `detectors`."""


def parse_form(plan: str, args: Args, kwargs: Mapping[str, Any]) -> StepForm:
    """The declared plan that was asked for.

    A list of names as first argument names the detectors, as in Bluesky. Raises: InputError, naming
    what is wrong and the usage.

    >>> parse_form("ascan", ["samx", 0, 1, 10, 0.1], {}).num
    11
    >>> parse_form("scan", [["diode"], "samx", 0, 1, 5], {}).detectors
    ('diode',)
    """
    options = dict(kwargs)
    detectors = _take(options, "detectors", None)
    rest = list(args)
    if rest and isinstance(rest[0], list | tuple):
        detectors = rest.pop(0)
    form = FORMS[plan](plan, rest, options)
    if options:
        raise unknown_option(plan, options, [*OPTIONS.get(plan, ()), *COMMON])
    return form if detectors is None else replace(form, detectors=tuple(detectors))
