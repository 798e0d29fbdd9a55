"""Calls of devices with somebody watching the clock: a hanging driver holds up nobody else.

In: work that asks devices. Out: its result, or an error that names the device and how long it has
not answered. A thread cannot be ended from outside: one that hangs is left alone until its driver
answers, and meanwhile no second call of that device is begun.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from undula.core.errors import DeviceError, TimeoutUndulaError
from undula.core.settings import BeamlineSettings
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import ScanRequest
from undula.scans.check import check_scan
from undula.scans.checked_scan import CheckedScan
from undula.scans.involved import named_devices

T = TypeVar("T")
READ_TIMEOUT_S = 6.0
"""More than an asynchronous device takes to give up by itself."""
CHECK_TIMEOUT_S = 6.0
LONGEST_CHECK_S = 55.0
MEND_S = 0.5
"""How long the work of a device that hung is given to end: it may answer again just now."""
TURN_S = 1.0
"""How long a read waits for another one of the same device."""


class _Task:
    """Work on a thread of its own."""

    def __init__(self, work: Callable[[], Any], name: str) -> None:
        self._began = time.monotonic()
        self._future: Future[Any] = Future()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self._future.set_result(work())
        except BaseException as exc:  # whatever it is, whoever waits gets it
            self._future.set_exception(exc)

    @property
    def done(self) -> bool:
        return self._future.done()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._began

    def ends_within(self, timeout_s: float) -> bool:
        return bool(wait([self._future], max(0.0, timeout_s)).done)

    def result(self) -> Any:
        return self._future.result()

    def device(self) -> str:
        """The device that it is asking now; '' for none."""
        # the only way to see where another thread is
        frame = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None:
            asked = frame.f_locals.get("self")
            if isinstance(asked, LoadedDevice):
                return asked.name
            frame = frame.f_back
        return ""


class Attendant:
    """Calls devices for the engine. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reads: dict[str, _Task] = {}
        self._hanging: dict[str, _Task] = {}
        self.reads_more: Callable[[CheckedScan], bool] = lambda _: False
        """Whether hooks or preprocessors apply to a scan: they may read what its plan does not."""

    def forget(self) -> None:
        """The devices have changed: what hung may be another one now."""
        with self._lock:
            self._reads.clear()
            self._hanging.clear()

    def read(self, name: str, work: Callable[[], T], timeout_s: float = READ_TIMEOUT_S) -> T:
        """One call of a device, never two at a time.

        Raises: DeviceError when it does not answer, at once when it is known to hang.
        """
        task = self._begin(name, work)
        if not task.ends_within(timeout_s):
            raise _hangs(name, task)
        result: T = task.result()
        return result

    def _begin(self, name: str, work: Callable[[], Any]) -> _Task:
        while True:
            with self._lock:
                before = self._reads.get(name)
                if before is None or before.done:
                    task = self._reads[name] = _Task(work, f"read {name}")
                    return task
            if not before.ends_within(TURN_S - before.age_s):
                raise _hangs(name, before)

    def check(self, names: Iterable[str], work: Callable[[], T]) -> T:
        """Work that asks several devices, e.g. for their limits.

        Args:
            names: refused at once when one of them is known to hang.
        Raises: DeviceError naming the device that does not answer; TimeoutUndulaError.
        """
        self._refuse_hanging(names)
        task = _Task(work, "check")
        while not task.ends_within(CHECK_TIMEOUT_S):
            if name := task.device():
                with self._lock:
                    self._hanging[name] = task
                raise _hangs(name, task)
            if task.age_s > LONGEST_CHECK_S:
                raise TimeoutUndulaError(
                    f"the check did not end within {LONGEST_CHECK_S:g} s",
                    remedy="is the data folder on a file server that does not answer?",
                )
        result: T = task.result()
        return result

    def _refuse_hanging(self, names: Iterable[str]) -> None:
        with self._lock:
            self._hanging = {n: task for n, task in self._hanging.items() if not task.done}
            hanging = dict(self._hanging)
            hanging |= {
                n: t for n, t in self._reads.items() if not t.done and t.age_s > READ_TIMEOUT_S
            }
        for name in names:
            if name in hanging and not hanging[name].ends_within(MEND_S):
                raise _hangs(name, hanging[name])

    def check_scan(
        self, request: ScanRequest, devices: Registry, settings: BeamlineSettings
    ) -> CheckedScan:
        """The check of a scan. Raises: as `check_scan`, and when a device does not answer."""
        named = named_devices([request.args, request.kwargs, request.detectors], devices)
        return self.check(named, lambda: check_scan(request, devices, settings, self.reads_more))


def _hangs(name: str, task: _Task) -> DeviceError:
    return DeviceError(
        f"it does not answer since {task.age_s:.1f} s",
        remedy=f"check its controller and the network; undula devices disable {name} leaves it out",
        device=name,
    )
