"""The sample that a scan names: known before it is queued, mounted before it runs.

In: requests, the sample changer among the devices. Out: requests whose metadata name the sample,
and a changer that has mounted it. What is mounted is asked of the changer each time, so that it is
right after a restart, or after somebody changed the sample by hand. Whoever waits is told.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from undula.core.errors import BusyError, DeviceError, InputError
from undula.core.log import get_logger
from undula.devices.changer import SampleChanger
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import ScanRequest
from undula.scans.attendant import Attendant
from undula.scans.check import usable
from undula.scans.leases import Leases

POLL_S = 0.1


class ChangerFaultError(DeviceError):
    """The changer did not do it: no other scan should ask it before somebody has looked."""


class Waits(Protocol):
    """The scan that waits for its sample."""

    def waits_for(self, text: str, since: float | None = None) -> None:
        """What it waits for, and since when (monotonic, s); '' when it goes on."""

    def stop_if_aborted(self) -> None:
        """Raises where the scan is not to begin any more."""


class Samples:
    """Mounts samples for scans."""

    def __init__(self, devices: Registry, leases: Leases, attendant: Attendant) -> None:
        self._devices, self._leases, self._attendant = devices, leases, attendant

    def completed(self, request: ScanRequest) -> ScanRequest:
        """The request with its sample in the metadata.

        Raises: InputError for a sample that the changer does not hold, or without a changer;
        DeviceError when the changer does not answer.
        """
        sample = request.queue.sample
        if not sample:
            return request
        device = self._changer()
        known = self._attendant.read(device.name, lambda: _samples(device))
        if sample not in known:
            raise InputError(
                f"it holds no sample {sample!r}",
                remedy=f"choose one of {', '.join(known) or 'none'}",
                device=device.name,
            )
        given = request.metadata.get("sample")
        named = {**given, "name": sample} if isinstance(given, dict) else sample
        return request.model_copy(update={"metadata": {**request.metadata, "sample": named}})

    def mount(self, sample: str, holder: str, waits: Waits) -> None:
        """Mount the sample of a scan, unless it is; `holder` has the changer from now on.

        Raises: ChangerFaultError; whatever `waits` raises when the scan is aborted. A robot that
        is on its way is left to finish: it would drop the sample.
        """
        if not sample:
            return
        device, begin = self._changer(), time.monotonic()
        while True:
            while other := self._leases.wait_free([device.name], 0.5):
                waits.waits_for(f"waiting for {other}", begin)
                waits.stop_if_aborted()
            try:
                self._leases.take([device.name], holder)
                break
            except BusyError:  # somebody was quicker
                continue
        try:
            self._until_idle(device, waits)
            if str(self._ask(device, "mounted")) != sample:
                self._mount(device, sample, waits)
        finally:
            waits.waits_for("")

    def _changer(self) -> LoadedDevice:
        found = [n for n in self._devices.names() if _is_changer(self._devices[n])]
        if not found:
            raise InputError(
                "there is no sample changer",
                remedy="leave the sample out and mount it by hand, or add one to the device file",
            )
        return usable(self._devices, found[0], "the sample changer")

    def _ask(self, device: LoadedDevice, what: str) -> Any:
        return self._attendant.read(device.name, lambda: device.call(getattr(device.obj, what)()))

    def _until_idle(self, device: LoadedDevice, waits: Waits) -> None:
        """After a restart, or an abort, it may still be on its way."""
        begin = time.monotonic()
        while (state := self._ask(device, "changer_state")) != "idle":
            if state == "fault":
                raise _fault(device, str(self._ask(device, "changer_fault")))
            waits.waits_for(f"the sample changer, which is {state}", begin)
            _pause(waits)

    def _mount(self, device: LoadedDevice, sample: str, waits: Waits) -> None:
        begin, done = time.monotonic(), threading.Event()
        waits.waits_for(f"mounting {sample}", begin)
        get_logger().info("sample_mounting", sample=sample, changer=device.name)
        status = self._attendant.read(device.name, lambda: device.call(device.obj.mount(sample)))
        if status is not None:  # a coroutine has ended already
            status.add_callback(lambda _: done.set())
            while not done.wait(POLL_S):
                waits.stop_if_aborted()
            if not status.success:
                raise _fault(
                    device, str(getattr(status.exception(0), "what", "it did not succeed"))
                )
        self._until_idle(device, waits)
        mounted = str(self._ask(device, "mounted"))
        if mounted != sample:
            raise _fault(device, f"{mounted or 'nothing'} is mounted in place of {sample}")
        get_logger().info("sample_mounted", sample=sample, duration_s=time.monotonic() - begin)


def _is_changer(device: LoadedDevice) -> bool:
    return isinstance(device.obj, SampleChanger)


def _samples(device: LoadedDevice) -> list[str]:
    return [str(name) for name in device.call(device.obj.samples())]


def _pause(waits: Waits) -> None:
    waits.stop_if_aborted()
    time.sleep(POLL_S)


def _fault(device: LoadedDevice, why: str) -> ChangerFaultError:
    return ChangerFaultError(
        f"the sample was not mounted: {why}",
        remedy="see to the changer, then let the queue go on: undula queue resume",
        device=device.name,
    )
