"""Plans as functions of the shell: a signature and a text that `scan?` shows. Pure.

In: the function that runs a plan by name. Out: functions with names, options, defaults and units.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from undula.core.suggest import unknown_option

COMMON = """
Options of every scan:
    time       count time per point, seconds; default: each detector's own
    detectors  what is read: diode, or [diode, ion1]; default: all that are monitored
    fit        a model to be fitted while it runs, e.g. "gaussian + linear"
    metadata   a dict for the start document, e.g. {"sample": "Fe2O3"}

Ctrl-C stops motion and pauses; a second one aborts. Gives back the scan: .status, .run.data
"""

HELP = {
    "num": "number of points, instead of the last argument",
    "snake_axes": "True: run back on every other line; or a list of axes; default False",
    "delay": "seconds between two readings; default 0",
    "snake": "True: run back on every other line; default False",
    "npoints": "number of readings; default: until it is stopped",
    "sleep_time": "seconds between two readings; default 0",
}
DEFAULTS: dict[str, Any] = {"snake_axes": False, "delay": 0.0, "snake": False, "sleep_time": 0.0}


@dataclass(frozen=True, slots=True)
class PlanText:
    """How a plan is shown: example, explanation, and the name of its positional arguments."""

    example: str
    about: str
    positional: str
    options: tuple[str, ...] = ()


PLANS: dict[str, PlanText] = {
    "scan": PlanText(
        "scan(samx, -1, 1, 21, time=0.1)",
        "Move axes in equal steps: axis, start, stop (in its unit), as often as wanted, then the\n"
        "number of points.",
        "axis_start_stop_num",
        ("num",),
    ),
    "rel_scan": PlanText(
        "rel_scan(samx, -1, 1, 21)",
        "As scan, start and stop counted from the present position; goes back at the end.",
        "axis_start_stop_num",
        ("num",),
    ),
    "list_scan": PlanText(
        "list_scan(samx, [0, 0.1, 0.5])", "Given positions, in the axis's unit.", "axis_positions"
    ),
    "grid_scan": PlanText(
        "grid_scan(samy, 0, 2, 5, samx, -1, 1, 9, snake_axes=True)",
        "A map: axis, start, stop, number of points for each axis, the slowest first.",
        "axis_start_stop_num",
        ("snake_axes",),
    ),
    "count": PlanText(
        "count(10, time=0.1)", "Read without moving: num times.", "num_delay", ("num", "delay")
    ),
    "ascan": PlanText(
        "ascan(samx, 0, 1, 10, 0.1)",
        "SPEC's form: axis, start, stop, intervals (10 intervals are 11 points), seconds a point.",
        "axis_start_stop_intervals_time",
    ),
    "dscan": PlanText(
        "dscan(samx, -1, 1, 10, 0.1)",
        "SPEC's relative form: as ascan, from the present position; goes back at the end.",
        "axis_start_stop_intervals_time",
    ),
    "mesh": PlanText(
        "mesh(samx, -1, 1, 10, samy, 0, 1, 5, 0.1)",
        "SPEC's grid: fast axis first, intervals (one point more), seconds a point at the end.",
        "fast_slow_time",
        ("snake",),
    ),
    "ct": PlanText("ct(1)", "One reading of so many seconds.", "seconds"),
    "timescan": PlanText(
        "timescan(0.1, 100)",
        "Readings in time: seconds a reading, and how many (until stopped when left out).",
        "seconds_npoints",
        ("npoints", "sleep_time"),
    ),
    "loopscan": PlanText(
        "loopscan(10, 0.1)",
        "Readings in time: how many, and seconds a reading.",
        "npoints_seconds",
        ("sleep_time",),
    ),
}


def signature(name: str) -> inspect.Signature:
    """The signature of a plan in the shell.

    >>> str(signature("count"))
    '(*num_delay, num=None, delay=0.0, time=None, detectors=None, metadata=None, fit=None)'
    """
    keys = [*PLANS[name].options, "time", "detectors", "metadata", "fit"]
    only = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter(PLANS[name].positional, inspect.Parameter.VAR_POSITIONAL),
            *(inspect.Parameter(key, only, default=DEFAULTS.get(key)) for key in keys),
        ]
    )


def help_text(name: str) -> str:
    """The text that `NAME?` shows."""
    text = PLANS[name]
    own = "".join(f"    {key:<11}{HELP[key]}\n" for key in text.options)
    extra = f"\nOptions of {name}:\n{own}" if own else ""
    return f"{text.about}\n\nExample: {text.example}\n{extra}{COMMON}"


def make_plan(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """The function for the plan `name`, which calls `run(name, ...)`.

    An option that the plan does not take is refused with the one that was probably meant.
    """
    shown = signature(name)
    known = [p.name for p in shown.parameters.values() if p.kind is p.KEYWORD_ONLY]

    def plan(*args: Any, **options: Any) -> Any:
        unknown = set(options) - {*known, "command"}
        if unknown:
            raise unknown_option(name, unknown, known)
        return run(name, *args, **options)

    plan.__name__ = plan.__qualname__ = name
    plan.__doc__ = help_text(name)
    plan.__signature__ = shown  # type: ignore[attr-defined]  # what inspect looks for
    return plan
