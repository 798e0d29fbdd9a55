"""Axes that are computed from others and move them, by expressions.

In: real axes. Out: axes that move all their real ones together. `moves` tells where the real axes
go for a target and where they are, so that what another pseudo axis set is held: the targets of
several pseudo axes are laid one upon the other (`real_moves`), in whatever order.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from undula.core.errors import DeviceError, InputError, LimitError
from undula.devices.computed import Derived
from undula.devices.expression import Expression
from undula.devices.sim.status import SimStatus

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
FAR = 1e8
REFINED = 6
"""Each time the end of a reach is known a hundred times finer."""
Targets = dict[str, Any]
"""Name of a real axis to its target: a number, or an array over the points of a scan."""


class PseudoAxis(Derived):
    """An axis that is an expression of real ones.

    Args:
        value: the position, from real axes, e.g. `top - bottom`.
        moves: real axis to where it goes; `value` is the target, real axes are where they are.
        unit, precision: of the position.
        limits: of its own, beside those of the real axes; low and high.
    """

    def __init__(
        self,
        name: str,
        *,
        value: str,
        moves: Mapping[str, str],
        unit: str = "mm",
        precision: int = 4,
        limits: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name, unit, precision)
        self.inputs = PseudoAxis.needs_of({"value": value, "moves": moves})
        self.reals = tuple(moves)
        """Names of the real axes that it moves."""
        self._value = Expression(value)
        self._moves = {real: Expression(text) for real, text in moves.items()}
        self.limits = (float(limits[0]), float(limits[1])) if limits else (0.0, 0.0)

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the real axes. Raises: InputError for a wrong expression."""
        value, moves = str(config.get("value", "")), config.get("moves") or {}
        if not isinstance(moves, Mapping) or not moves:
            raise InputError("moves names no real axis", remedy="e.g. moves: {top: value / 2}")
        names = set(Expression(value).names)
        for text in moves.values():
            expression = Expression(str(text))
            if "value" not in expression.names and not expression.names & names:
                raise InputError(f"{text!r} depends on nothing", remedy="use value in it")
            names |= expression.names - {"value"}
        return tuple(dict.fromkeys([*map(str, moves), *sorted(names)]))

    @property
    def position(self) -> float:
        """Where it is, from where the real axes are. Raises: DeviceError."""
        return float(self._value({n: d.position() for n, d in self._devices.items()}))

    def locate(self) -> Any:
        """Where it was sent and where it is; an awaitable of it for asynchronous real axes."""
        if all(device.synchronous for device in self._devices.values()):
            return self._located()
        return asyncio.to_thread(self._located)  # their loop may be the caller's

    def _located(self) -> dict[str, float]:
        sent = float(self._value({n: sent_to(d) for n, d in self._devices.items()}))
        return {"setpoint": sent, "readback": self.position}

    def onto(self, targets: Targets, value: Any) -> None:
        """Lay a target, or an array of them, upon the targets of the real axes.

        Args:
            targets: targets so far; a real axis that is not in it is taken where it was sent last.
        """
        here = {n: targets[n] if n in targets else sent_to(d) for n, d in self._devices.items()}
        found = {real: move({**here, "value": value}) for real, move in self._moves.items()}
        for real, target in found.items():
            if not np.all(np.isfinite(target)):
                raise InputError(
                    f"{np.ravel(value)[np.argmin(np.isfinite(target))]:g} {self.egu} cannot be "
                    f"reached: {real} has no place for it",
                    remedy="choose another target",
                    device=self.name,
                )
        self._check_fit({**here, **found}, value)
        targets |= found

    def reach(self) -> tuple[float, float] | None:
        """How far it could go from here, by the limits of the real axes, read live; None without.

        Found by trying: outwards in growing steps, then ever finer where it ends.
        """
        here = {name: sent_to(device) for name, device in self._devices.items()}
        limits = {real: self._devices[real].limits() for real in self.reals}
        bounded = {real: limit for real, limit in limits.items() if limit is not None}
        if not bounded:
            return None
        at = float(self._value(here))

        def allowed(steps: FloatArray) -> BoolArray:
            found = np.ones(len(steps), dtype=bool)
            with np.errstate(all="ignore"):
                for real, (low, high) in bounded.items():
                    there = np.asarray(self._moves[real]({**here, "value": at + steps}), float)
                    slack = 1e-9 * max(1.0, abs(low), abs(high))
                    found &= (there >= low - slack) & (there <= high + slack)
            return found

        low, high = at - _edge(lambda d: allowed(-d)), at + _edge(allowed)
        return (low, high) if np.isfinite(low) and np.isfinite(high) else None

    def _check_fit(self, there: Targets, value: Any) -> None:
        """Raises: InputError when `moves` would not bring it to where `value` was asked to be.

        Coarse, as the expressions may be approximations: it finds a wrong sign or factor.
        """
        asked = np.asarray(value, dtype=float)
        got = np.asarray(self._value(there), dtype=float)
        near = np.abs(got - asked) <= 10.0**-self.precision + 0.01 * np.abs(asked)
        if not np.all(near):
            asked, got = np.broadcast_arrays(asked, got)
            first = int(np.argmin(np.ravel(near)))
            raise InputError(
                f"asked for {np.ravel(asked)[first]:g} {self.egu}, its axes would bring it to "
                f"{np.ravel(got)[first]:g} {self.egu}: value and moves do not fit together",
                remedy="correct the expressions in its deviceConfig",
                device=self.name,
            )

    def set(self, target: float) -> SimStatus:
        """Move all real axes together; done when all have arrived.

        Raises: InputError, LimitError; where a real axis is asynchronous, the status gets them.
        """
        if all(device.synchronous for device in self._devices.values()):
            return self._start(float(target), SimStatus(self))
        status = SimStatus(self)  # asked on another thread: their loop may be the caller's
        threading.Thread(
            target=self._start_later, args=(float(target), status), name="pseudo", daemon=True
        ).start()
        return status

    def _start_later(self, target: float, status: SimStatus) -> None:
        try:
            self._start(target, status)
        except Exception as exc:  # a driver may raise anything; whoever waits gets it
            status.finish(exc)

    def _start(self, target: float, status: SimStatus) -> SimStatus:
        targets: Targets = {}
        self.onto(targets, target)
        for real, place in targets.items():
            within(self._devices[real], place)
        together = _Together(self, status, len(targets))
        for real, place in targets.items():
            together.add(self._devices[real], float(place))
        return status

    def stop(self, *, success: bool = False) -> None:
        """Stop all real axes. Raises: DeviceError naming those that could not be stopped.

        Called on the loop of asynchronous axes, as the RunEngine does, it does not wait for them.
        """
        failed = []
        for real in self.reals:
            device = self._devices[real]
            try:
                stopping = device.obj.stop(success=success)
                if inspect.iscoroutine(stopping) and _on_loop(device.loop):
                    device.loop.create_task(stopping)
                else:
                    device.call(stopping)
            except Exception as exc:  # a driver may raise anything; the others must stop too
                failed.append(f"{real}: {exc}")
        if failed:
            raise DeviceError("; ".join(failed), remedy="undula stop", device=self.name)

    def real_devices(self) -> dict[str, Any]:
        """Real axes by name, as `LoadedDevice`."""
        return {real: self._devices[real] for real in self.reals}

    def compute(self, values: Mapping[str, Any]) -> float:
        """The position for the positions of the real axes."""
        return float(self._value(values))

    @property
    def source(self) -> str:
        """How it is computed."""
        return self._value.text


class _Together:
    """A move of several real axes, as one status."""

    def __init__(self, axis: PseudoAxis, status: SimStatus, number: int) -> None:
        self._axis, self._status, self._left = axis, status, number
        self._lock = threading.Lock()

    def add(self, device: Any, target: float) -> None:
        """Start one of them."""
        if device.synchronous:
            status = device.obj.set(target)
        else:
            status = device.call(_set(device.obj, target)).status
        status.add_callback(lambda *_: self._settle(device, status))

    def _settle(self, device: Any, status: Any) -> None:
        if not status.success:
            why = status.exception(0)
            self._status.finish(
                DeviceError(
                    f"{device.name} did not arrive: {why or 'it was stopped'}",
                    remedy=f"look at {device.name}",
                    device=self._axis.name,
                )
            )
            return
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._status.finish()


async def _set(obj: Any, target: float) -> Any:
    """Set on the loop of an asynchronous device; the status, not awaited."""
    return _Held(obj.set(target))


class _Held:
    """A status that is handed over, not awaited, although it could be."""

    def __init__(self, status: Any) -> None:
        self.status = status


def _on_loop(loop: Any) -> bool:
    """This is the thread of that loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _edge(allowed: Callable[[FloatArray], BoolArray]) -> float:
    """The largest step of which all smaller ones are allowed; infinite when all are."""
    steps = np.concatenate(([0.0], np.logspace(-6, 9, 151)))
    for _ in range(REFINED):
        good = allowed(steps)
        if good.all():
            return float("inf") if steps[0] == 0.0 and steps[-1] > FAR else float(steps[-1])
        first_bad = int(np.argmin(good))
        if first_bad == 0:
            return 0.0
        steps = np.linspace(steps[first_bad - 1], steps[first_bad], 101)
    return float(steps[0])


def within(device: Any, targets: Any) -> None:
    """Raises: LimitError for a real axis that would leave its limits, which are read live;
    InputError for one that is read-only."""
    if device.read_only:
        raise InputError("it is read-only", remedy="ask staff to lift readOnly", device=device.name)
    limits = device.limits()
    if limits is None:
        return
    low, high = limits
    bad = np.flatnonzero((np.ravel(targets) < low) | (np.ravel(targets) > high))
    if len(bad):
        raise LimitError(
            f"it would go to {np.ravel(targets)[bad[0]]:g} {device.unit}".rstrip(),
            remedy=f"keep it within {low:g}..{high:g} {device.unit}".rstrip(),
            device=device.name,
        )


def sent_to(device: Any) -> float:
    """Where an axis was sent last; its readback where its library does not say.

    The readback has noise, which would pile up in what another pseudo axis holds.
    """
    locate = getattr(device.obj, "locate", None)
    if callable(locate):
        return float(device.call(locate())["setpoint"])
    setpoint: Any = getattr(device.obj, "user_setpoint", None)
    if hasattr(setpoint, "get"):
        return float(setpoint.get())
    return float(device.position())


def real_moves(moves: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Moves of axes as moves of real ones: pseudo axes laid one upon the other.

    In and out: (`LoadedDevice`, target), targets being numbers, or arrays over the points of a
    scan. Axes that are real pass as they are; a pseudo axis may move other pseudo axes.
    Raises: InputError for a real axis that is to be moved by itself as well.
    """
    found = list(moves)
    while any(isinstance(device.obj, PseudoAxis) for device, _ in found):
        found = _one_level(found)
    return found


def _one_level(moves: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    plain: list[tuple[Any, Any]] = []
    targets: Targets = {}
    reals: dict[str, Any] = {}
    for device, target in moves:
        if isinstance(device.obj, PseudoAxis):
            device.obj.onto(targets, target)
            reals |= device.obj.real_devices()
        else:
            plain.append((device, target))
    for device, _ in plain:
        if device.name in reals:
            raise InputError(
                "it is moved by a pseudo axis as well",
                remedy="name either the real axes or the pseudo axes",
                device=device.name,
            )
    return [*plain, *((reals[name], target) for name, target in targets.items())]
