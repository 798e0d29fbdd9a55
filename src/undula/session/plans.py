"""Plans as functions of the shell: a signature and a text that `scan?` shows. Pure.

In: the catalogue of plans, and the function that runs a plan by name. Out: functions with names,
options, defaults and units; `scans`, which has those of BEC.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import unknown_option
from undula.plans import FORMS, catalogue
from undula.plans.arguments import Argument

COMMON = """
Options of every scan:
    time       count time per point, seconds; default: each detector's own
    detectors  what is read: diode, or [diode, ion1]; default: all that are monitored
    fit        a model to be fitted while it runs, e.g. "gaussian + linear"
    metadata   a dict for the start document, e.g. {"sample": "Fe2O3"}
    sample     mounted before by the sample changer, e.g. "S3"
    front      True: run it next, before all that wait

Ctrl-C stops motion and pauses; a second one aborts. Gives back the scan: .status, .run.data
"""
EVERY = ("time", "detectors", "metadata", "fit", "sample", "front")
ROOT = "scans"
"""The name under which the plans of BEC are."""

PLANS: tuple[str, ...] = tuple(name for name in FORMS if "." not in name)
"""Plans that are functions at the prompt."""


def _parameter(argument: Argument, kind: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if argument.required else argument.default
    return inspect.Parameter(argument.name, kind, default=default)


def signature(name: str) -> inspect.Signature:
    """The signature of a plan in the shell.

    >>> str(signature("count"))[:54]
    '(num=1, delay=0.0, *, time=None, detectors=None, metad'
    >>> list(signature("scan").parameters)[:4]
    ['axis_start_stop_num', 'num', 'time', 'detectors']
    """
    plan = FORMS[name]
    only, place = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    many = inspect.Parameter.VAR_POSITIONAL
    by_place = [a for a in plan.arguments if not a.keyword]
    if plan.repeated or plan.words:
        shown = [*plan.first, *plan.repeated, *by_place]
        parameters = [inspect.Parameter("_".join(a.name for a in shown) or "words", many)]
        parameters += [inspect.Parameter(a.name, only, default=None) for a in by_place]
    else:
        parameters = [_parameter(a, place) for a in by_place]
        parameters += [inspect.Parameter("counters", many)] if plan.counters else []
    parameters += [_parameter(a, only) for a in plan.arguments if a.keyword]
    parameters += [inspect.Parameter(key, only, default=None) for key in EVERY]
    return inspect.Signature(parameters)


def help_text(name: str) -> str:
    """The text that `NAME?` shows."""
    return catalogue.help_text(FORMS[name]) + COMMON


def make_plan(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """The function for the plan `name`, which calls `run(name, ...)`.

    An option that the plan does not take is refused with the one that was probably meant.
    """
    known = [*FORMS[name].options, *(a.name for a in FORMS[name].every), *EVERY]

    def plan(*args: Any, **options: Any) -> Any:
        unknown = set(options) - {*known, "command", "shutter", "darks"}
        if unknown:
            raise unknown_option(name, unknown, known, FORMS[name].elsewhere)
        return run(name, *args, **options)

    plan.__name__ = plan.__qualname__ = name.rpartition(".")[2]
    plan.__doc__ = help_text(name)
    plan.plan_name = name  # type: ignore[attr-defined]  # by which it is run
    plan.__signature__ = signature(name)  # type: ignore[attr-defined]  # what inspect looks for
    return plan


class Scans:
    """BEC's scans: scans.line_scan(samx, -5, 5, steps=11, exp_time=0.1, relative=False)."""

    def __init__(self, run: Callable[..., Any], move: Callable[..., Any]) -> None:
        for name in _of_bec():
            setattr(self, name.rpartition(".")[2], make_plan(name, run))
        self._move = move

    def mv(self, *args: Any, relative: bool | None = None) -> None:
        """scans.mv(samx, 3, relative=False): move and wait; Ctrl-C stops."""
        self._move(*args, relative=_said("mv", relative), show=False)

    def umv(self, *args: Any, relative: bool | None = None) -> None:
        """scans.umv(samx, 3, relative=False): move and show the readback on the way."""
        self._move(*args, relative=_said("umv", relative), show=True)

    def __repr__(self) -> str:
        names = sorted(n for n in dir(self) if not n.startswith("_"))
        return f"{ROOT}: {', '.join(names)}; scans.line_scan? tells how"


def _said(name: str, relative: bool | None) -> bool:
    if relative is None:
        raise InputError(
            f"scans.{name} does not say whether it is a place or a distance",
            remedy=f"scans.{name}(samx, 3, relative=False) for a place, relative=True for a "
            "distance",
        )
    return relative


def _of_bec() -> Iterator[str]:
    return (name for name in FORMS if name.startswith(f"{ROOT}."))
