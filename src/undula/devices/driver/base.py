"""`Driver`: what a new device is made from. It reads; `acting` adds what moves and counts.

In: the signals that a class declares, and its link. Out: Bluesky's Readable, Configurable and
Subscribable. All calls to the hardware run on the device's one thread, with deadlines; an error
names the device and what it was doing; a lost link is opened again by itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from undula.core.errors import DeviceError, UndulaError
from undula.core.log import get_logger
from undula.devices.driver.lane import Lane
from undula.devices.driver.links import Link, SimLink, TcpLines
from undula.devices.driver.signals import BoundSignal, Reading, Signal, units

T = TypeVar("T")
Subscriber = Callable[[dict[str, Reading]], None]
RETRY_S = 1.0
GRACE_S = 0.5
CHECK_LINK = "check the cable and the network, and switch it on"


class Driver:
    """A device that is read.

    The first `hinted` signal has the device's name as its data key, every other one
    `DEVICE_SIGNAL`. Override `open` to set the instrument up each time it is connected.

    Args:
        address: `HOST:PORT` of an instrument that talks in lines.
        timeout: deadline of each exchange, seconds.
        poll: how often it is asked for changes while somebody listens, seconds; 0: never.
        link: instead of `address`, e.g. a `SimLink` in a test.
    """

    parent = None
    terminator: ClassVar[str] = "\n"
    """Ends each line, in both directions."""

    def __init__(
        self,
        name: str,
        *,
        address: str = "",
        timeout: float = 2.0,
        poll: float = 1.0,
        link: Link | None = None,
    ) -> None:
        self.name = name
        self._timeout_s, self._poll_s = timeout, poll
        self.link: Link = link or (
            TcpLines(address, self.terminator, timeout) if address else SimLink(lambda _: "")
        )
        self.signals = _bound(self)
        self._lane = Lane(f"driver {name}", self._tick)
        self._is_open = False
        self._subscribers: list[Subscriber] = []
        self._told: dict[str, Any] = {}
        self._polled = self._tried = 0.0

    # ---- for drivers -------------------------------------------------------------------------

    def open(self) -> None:
        """Connect. Called on the device's thread, at the begin and after a loss."""
        self.link.open()

    def close(self) -> None:
        """Hang up. Called on the device's thread."""
        self.link.close()

    def changed(self, readings: dict[str, Reading]) -> None:
        """Tell who listens. For drivers whose hardware reports by itself; from any thread."""
        values = {key: reading["value"] for key, reading in readings.items()}
        if not self._subscribers or _same(values, self._told):
            return
        self._told = {**self._told, **values}
        for subscriber in list(self._subscribers):
            try:
                subscriber(readings)
            except Exception:  # whoever listens may fail; the device must go on
                get_logger().exception("subscriber_failed", device=self.name)

    # ---- protocols ---------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """It answered when it was asked last."""
        return self._is_open and not self._lane.hanging

    def wait_for_connection(self, timeout: float = 3.0) -> None:
        """Connect, and read everything once. Raises: UndulaError that names the device."""

        def reach() -> None:
            self._reach()
            for bound in self.signals.values():
                bound.take()

        self.work("connecting", reach, max(timeout, GRACE_S))

    def destroy(self) -> None:
        """Hang up, and end the thread."""
        try:
            if self._is_open:
                self._lane.call("hanging up", self.close, self._timeout_s, urgent=True)
        except (UndulaError, OSError):
            get_logger().warning("link_not_closed", device=self.name)
        self._is_open, self._subscribers = False, []
        self._lane.close(self._timeout_s)

    @property
    def egu(self) -> str:
        """Unit of the first hinted signal."""
        return units(self.signals)

    @property
    def hints(self) -> dict[str, Any]:
        """What is worth a column and a curve."""
        return {"fields": [s.name for s in self.of_kind("hinted")]}

    def of_kind(self, *kinds: str) -> list[BoundSignal]:
        """Its signals of these kinds, in the order of declaration."""
        return [s for s in self.signals.values() if s.declared.kind in kinds]

    def read(self) -> dict[str, Reading]:
        """Values of the hinted and normal signals. Raises: UndulaError that names the device."""
        return self.take(self.of_kind("hinted", "normal"))

    def describe(self) -> dict[str, dict[str, Any]]:
        """Data keys of the hinted and normal signals."""
        found = self.of_kind("hinted", "normal")
        return {key: about for s in found for key, about in s.describe().items()}

    def read_configuration(self) -> dict[str, Reading]:
        """Values of the config signals. Raises: UndulaError that names the device."""
        return self.take(self.of_kind("config"))

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Data keys of the config signals."""
        return {k: about for s in self.of_kind("config") for k, about in s.describe().items()}

    def subscribe(self, callback: Subscriber) -> None:
        """Call `callback` now and at each change, on the device's thread."""
        callback(self.read())
        self._subscribers.append(callback)
        self._lane.wake()

    def clear_sub(self, callback: Subscriber) -> None:
        """Call it no more."""
        self._subscribers = [s for s in self._subscribers if s != callback]

    # ---- its thread --------------------------------------------------------------------------

    def take(self, signals: Sequence[BoundSignal]) -> dict[str, Reading]:
        """Read these signals now. Raises: UndulaError that names the device."""
        if not signals:
            return {}
        names = ", ".join(s.declared.attribute for s in signals)
        limit_s = self._timeout_s * len(signals) + GRACE_S
        return self.work(f"reading {names}", lambda: self._taken(signals), limit_s)

    def _taken(self, signals: Sequence[BoundSignal]) -> dict[str, Reading]:
        readings = {s.name: s.take() for s in signals}
        self.changed(readings)
        return readings

    def work(
        self,
        what: str,
        function: Callable[[], T],
        timeout_s: float | None = None,
        urgent: bool = False,
    ) -> T:
        """Do it on the device's thread. Raises: UndulaError that names the device and `what`."""
        limit_s = self._timeout_s + GRACE_S if timeout_s is None else timeout_s

        def reached() -> T:
            self._reach()
            return function()

        try:
            return self._lane.call(what, reached, limit_s, urgent)
        except Exception as exc:  # a driver may raise anything: said with the device's name
            error = self._named(what, exc)
            raise error from exc

    def later(self, what: str, function: Callable[[], None]) -> None:
        """Do it on the device's thread, in its turn. Raises: UndulaError that names the device."""
        try:
            self._lane.post(what, function)
        except UndulaError as exc:
            raise self._named(what, exc) from exc

    def _reach(self) -> None:
        if not self._is_open:
            self._tried = time.monotonic()
            with contextlib.suppress(Exception):  # what was lost may not let itself be closed
                self.close()
            self.open()
            self._is_open = True

    def _named(self, what: str, exc: BaseException) -> UndulaError:
        if isinstance(exc, OSError | TimeoutError) or _late(exc):
            self._lost()
        if isinstance(exc, UndulaError):
            exc.device = exc.device or self.name
            return exc
        if isinstance(exc, OSError):
            text = exc.strerror or str(exc) or type(exc).__name__
            return DeviceError(f"{what}: {text}", remedy=CHECK_LINK, device=self.name)
        return DeviceError(
            f"{what}: {type(exc).__name__}: {exc}",
            remedy="see what the instrument says, or correct its driver",
            device=self.name,
        )

    def _lost(self) -> None:
        was, self._is_open = self._is_open, False
        if was:
            get_logger().warning("device_lost", device=self.name)

    def _tick(self) -> float:
        """What is done when nobody asks for anything; the time until the next look."""
        at = time.monotonic()
        if not self._is_open:
            if at - self._tried >= RETRY_S:
                self._attempt("connecting again", self._reach)
            return RETRY_S
        if self._subscribers and self._poll_s and at - self._polled >= self._poll_s:
            self._polled = at
            self._attempt("reading", lambda: self._taken(self.of_kind("hinted", "normal")))
        return self._poll_s if self._subscribers and self._poll_s else RETRY_S

    def _attempt(self, what: str, function: Callable[[], Any]) -> UndulaError | None:
        """Do it on this thread; what went wrong, named."""
        try:
            function()
        except Exception as exc:  # a driver may raise anything: said with the device's name
            return self._named(what, exc)
        return None


def _late(exc: BaseException) -> bool:
    return isinstance(exc, UndulaError) and exc.category == "timeout"


def _same(values: dict[str, Any], told: dict[str, Any]) -> bool:
    return all(key in told and _equal(value, told[key]) for key, value in values.items())


def _equal(a: Any, b: Any) -> bool:
    same = a == b
    return bool(same.all()) if hasattr(same, "all") else bool(same)


def _bound(device: Driver) -> dict[str, BoundSignal]:
    declared: dict[str, Signal[Any]] = {}
    for owner in reversed(type(device).__mro__):
        declared |= {n: s for n, s in vars(owner).items() if isinstance(s, Signal)}
    main = next((n for n, s in declared.items() if s.kind == "hinted"), "")
    return {
        n: BoundSignal(device, s, device.name if n == main else f"{device.name}_{n}")
        for n, s in declared.items()
    }
