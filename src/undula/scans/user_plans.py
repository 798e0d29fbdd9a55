"""Plans that people wrote, in the engine: the names they see, the devices they name, the generator.

In: a `PlanSource`, the devices. Out: a `LoadedPlan`, or an `InputError` with the person's own line.
In such a plan `M.samx`, `D.diode`, `dev.samx` and `samx` are the devices themselves, `bp`, `bps`,
`bpp` and `np` the modules. Whatever it moves is checked when it does (`scans.checked`).
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import difflib
import keyword
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import Msg, RunEngineControlException

from undula.core.errors import InputError, UndulaError
from undula.core.in_time import OverTimeError, in_time
from undula.core.interruptible import EndedError
from undula.core.plan_words import HINTS, Points
from undula.devices.registry import Registry
from undula.messages import PlanSource
from undula.plans import StepForm, listed
from undula.plans.step import Messages
from undula.scans.own_code import OWN_CODE, computed_on
from undula.scans.plan_code import define, line_of, names_used, refuse_forgotten, where_in
from undula.scans.try_plan import Trials

EVERYTHING = "dev"
MODULES = {"bp": bp, "bps": bps, "bpp": bpp, "np": np, "Msg": Msg, **HINTS}
LIMIT_S = 20.0
"""Making a plan takes no longer: the generator, which has not begun, or its points."""
TRIALS = Trials()
"""Editions of plans that this process need not try again."""


class NoSuchDeviceError(InputError, AttributeError):
    """A name that no device has; for Python an `AttributeError`, too."""


class GroupHere:
    """`M`, `D` or `dev` in a plan: devices by attribute or by name."""

    def __init__(self, root: str, devices: Registry) -> None:
        self._root, self._devices = root, devices

    def __dir__(self) -> list[str]:
        devices = self._devices
        return [n for n in devices.names() if self._root in (EVERYTHING, devices[n].group)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in dir(self):
            near = difflib.get_close_matches(name, dir(self), 1)
            raise NoSuchDeviceError(
                f"{self._root} has no device {name!r}",
                remedy=f"did you mean {self._root}.{near[0]}?" if near else "see undula devices",
            )
        device = self._devices[name]
        if device.obj is None:
            raise NoSuchDeviceError(
                f"it is not there: {device.problem or 'disabled'}",
                remedy=f"undula devices enable {name}, or leave it out of the plan",
                device=name,
            )
        return device.obj

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, n) for n in dir(self) if self._devices[n].obj is not None])


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan that was made: its generator has not begun, or it has declared its points."""

    source: PlanSource
    plan: Any

    @property
    def points(self) -> Points | None:
        """The trajectory that it declares; None for a generator."""
        return self.plan if isinstance(self.plan, Points) else None

    def close(self) -> None:
        """It will not run."""
        if hasattr(self.plan, "close"):
            self.plan.close()

    def located(self) -> Messages:
        """The plan. Raises: PlanFailedError for whatever it raises, with the person's own line."""
        try:
            plan, name = self.plan, f"the plan {self.source.name}"
            return (yield from OWN_CODE.run(plan, name) if hasattr(plan, "throw") else plan)
        except EndedError as exc:
            place = where_in(self.source, exc.__traceback__)
            ended = computed_on()
            raise PlanFailedError(ended, place) from ended
        except (RunEngineControlException, GeneratorExit, asyncio.CancelledError):
            raise
        except BaseException as exc:  # also sys.exit(): it would end the RunEngine's loop
            place = where_in(self.source, exc.__traceback__)
            raise PlanFailedError(exc, place) from exc

    def failing_at(self) -> str:
        """The line of the error that the plan is handling while it cleans up; '' for none."""
        inner: Any = self.plan
        place = ""
        while inner is not None:
            frame = getattr(inner, "gi_frame", None)
            for value in dict(frame.f_locals).values() if frame is not None else ():
                if isinstance(value, Exception):
                    place = where_in(self.source, value.__traceback__) or place
            inner = getattr(inner, "gi_yieldfrom", None) or getattr(inner, "_iter", None)
        return place


class PlanFailedError(UndulaError):
    """What a person's plan raised, and at which line; the cause is the error itself."""

    def __init__(self, exc: BaseException, place: str) -> None:
        what = exc.what if isinstance(exc, UndulaError) else f"{type(exc).__name__}: {exc}"
        super().__init__(
            f"{what}, at {place}" if place else what,
            remedy=exc.remedy if isinstance(exc, UndulaError) else "correct the plan",
            device=exc.device if isinstance(exc, UndulaError) else None,
        )
        self.place = place


def shell_names(devices: Registry) -> dict[str, Any]:
    """The names that a plan sees beside its own."""
    names: dict[str, Any] = dict(MODULES)
    roots = {"M", "D", EVERYTHING} | {devices[n].group for n in devices.names()}
    names |= {root: GroupHere(root, devices) for root in roots}
    for name in devices.names():
        free = name.isidentifier() and not keyword.iskeyword(name) and name not in names
        if free and not hasattr(builtins, name) and devices[name].obj is not None:
            names[name] = devices[name].obj
    return names


def load_plan(source: PlanSource, devices: Registry, limit_s: float = LIMIT_S) -> LoadedPlan:
    """Make the plan. Raises: InputError that names the line; when it takes longer than `limit_s`,
    when its imports hang or crash.
    """
    TRIALS.need(source)
    names = shell_names(devices) | {"__name__": f"plan_{source.name}"}
    define(source, names)
    refuse_forgotten(source)
    try:
        plan = in_time(partial(_made, source, names), limit_s)
    except OverTimeError as late:
        raise InputError(
            f"making the plan {source.name} took longer than {limit_s:g} s",
            remedy="correct what does not end, or take what waits out of it",
            where=_line_at(source, late) or source.call[:200],
        ) from None
    except UndulaError as error:
        error.where = error.where or where_in(source, error.__traceback__) or None
        raise
    except BaseException as exc:  # a person's own code may raise anything, also sys.exit()
        place = where_in(source, exc.__traceback__) or source.call[:200]
        raise InputError(
            f"{type(exc).__name__}: {exc}", remedy="correct the plan or its arguments", where=place
        ) from exc
    if isinstance(plan, Points):
        return LoadedPlan(source, plan)
    if not hasattr(plan, "__next__") and not hasattr(plan, "send"):
        raise InputError(
            f"{source.call[:200]} makes no plan but {type(plan).__name__}",
            remedy="a plan has yield from ... in it, or returns Points(...)",
        )
    return LoadedPlan(source, plan)


def _made(source: PlanSource, names: dict[str, Any]) -> Any:
    return eval(source.call, names)  # noqa: S307  # a person's plan, with the trust of a user


def _line_at(source: PlanSource, late: OverTimeError) -> str:
    """The innermost line of the person's own text that ran when the time was over."""
    found = (line_of(source, *place) for place in late.places)
    return next(filter(None, found), "")


def form_of(plan: str, points: Points, devices: Registry) -> StepForm:
    """What a plan that declares its points measures. Raises: InputError for what is no device."""
    by_id = {id(devices[n].obj): n for n in devices.names() if devices[n].obj is not None}

    def name(device: Any) -> str:
        if isinstance(device, str) or id(device) in by_id:
            return device if isinstance(device, str) else by_id[id(device)]
        raise InputError(
            f"the Points of {plan} name {device!r}, which is no device of the beamline",
            remedy="name M.samx, D.diode, or what the plan was called with",
        )

    detectors = None if points.detectors is None else tuple(map(name, points.detectors))
    path = None
    if points.axes:
        path = listed([(name(axis), places) for axis, places in points.axes.items()])
        path = replace(path, relative=points.relative)
    return StepForm(
        plan,
        trajectory=path,
        num=points.num,
        detectors=detectors,
        count_time_s=points.time,
        returns=points.relative,
    )


def devices_named(source: PlanSource, devices: Registry) -> list[str]:
    """Devices that the text names: `M.samx`, `dev["samx"]`, `samx`; in order, each once."""
    found: dict[str, None] = {}
    groups = {"M", "D", EVERYTHING} | {devices[n].group for n in devices.names()}

    def visit(tree: ast.AST, own: frozenset[str]) -> None:
        for node in ast.walk(tree):
            name = _named(node, groups - own)
            if name is None and isinstance(node, ast.Name) and node.id not in own:
                name = node.id
            if name in devices:
                found[str(name)] = None

    names_used(source, visit)
    return list(found)


def _named(node: ast.AST, groups: set[str]) -> str | None:
    """The device in `M.samx` or `M["samx"]`."""
    if not isinstance(node, ast.Attribute | ast.Subscript):
        return None
    if not isinstance(node.value, ast.Name) or node.value.id not in groups:
        return None
    if isinstance(node, ast.Attribute):
        return node.attr
    key = node.slice
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def told_of(source: PlanSource, author: str) -> dict[str, str]:
    """What the start document of its runs says of the plan.

    Args:
        author: who sent it, as the request's user is attested.
    """
    told = {
        "plan_name": source.name,
        "plan_call": source.call,
        "plan_author": source.author or author,
        "plan_version": source.edition,
        "plan_source": source.text,
    }
    return told | ({"plan_revision": source.revision} if source.revision else {})
