"""Several scans in order, checked before any of them runs: each from where the one before ends.

In: requests, and where the axes are when the first one begins. Out: what the check says of each.
Nothing moves. A plan whose points are not known beforehand leaves its axes at places nobody knows:
a relative scan after it is checked from where they are now, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from undula.core.errors import UndulaError
from undula.core.settings import BeamlineSettings
from undula.devices.registry import LoadedDevice, Registry
from undula.messages import CheckedItem, ErrorReport, ScanRequest
from undula.scans.attendant import Attendant
from undula.scans.check import CheckedScan
from undula.scans.places import run_path

Places = dict[str, float | None]
"""Where axes will be, each in its unit; None: nobody knows."""


class Forecast:
    """Checks scans one after the other."""

    def __init__(self, devices: Registry, settings: BeamlineSettings, attendant: Attendant) -> None:
        self._devices, self._settings, self._attendant = devices, settings, attendant
        self.places: Places = {}

    def check(
        self,
        request: ScanRequest,
        completed: Callable[[ScanRequest], ScanRequest],
        *,
        warned: Callable[[ScanRequest], list[str]] = lambda _: [],
        leaves: bool = True,
    ) -> tuple[CheckedItem, CheckedScan | None]:
        """What is known of a scan that begins where the last one ended; None: it is refused.

        Args:
            completed: adds what its run is to say; what it refuses is told like a fault.
            warned: what may surprise of the completed request.
            leaves: the next one begins where it ends; else where it begins.
        """
        options = request.queue
        told = CheckedItem(
            command=request.command or request.plan,
            item_id=request.request_id,
            repeats=options.repeats,
            sample=options.sample,
        )
        try:
            view = PlacedRegistry(self._devices, self.places)
            request = completed(request)
            scan = self._attendant.check_scan(request, view, self._settings)
        except UndulaError as error:
            return told.model_copy(update={"error": ErrorReport.of(error)}), None
        unknown = _lost(scan, self.places)
        known = dict(zip(scan.axes, scan.origin, strict=False))
        update: dict[str, Any] = {
            "num_points": scan.num_points,
            "estimate_s": scan.estimate_s,
            "path": self._path(request),
            "starts_at": {n: place for n, place in known.items() if n not in unknown},
            "warnings": [*scan.warnings, *_warnings(scan, unknown), *warned(request)],
        }
        if leaves:
            self.leave(scan)
        return told.model_copy(update=update), replace(scan, request=request)

    def leave(self, scan: CheckedScan) -> None:
        """The axes are where this scan leaves them."""
        self.places.update(left_at(scan))
        for name in self._devices.names():
            over = getattr(self._devices[name].obj, "reals", ())
            if name not in scan.axes and any(real in self.places for real in over):
                self.places[name] = None

    def _path(self, request: ScanRequest) -> str:
        path = run_path(self._settings, request.metadata, request.plan, 0)
        return str(path.with_name(path.name.replace("00000", "NNNNN")))


def left_at(scan: CheckedScan) -> Places:
    """Where a scan leaves its axes.

    Its declared points say so; those of any other plan are not known beforehand.
    """
    form, path, driven = scan.form, scan.trajectory, scan.driven
    if scan.parts:
        several: Places = {}
        for part in scan.parts:  # the real axes under a condition are not known, it itself is
            several |= dict.fromkeys(part.conditions)
            several |= dict(part.form.before) if part.form is not None else {}
            several |= left_at(part)
        return several
    places: Places = dict.fromkeys([*scan.axes, *driven.axes])
    if form is None:
        return places
    if form.returns:
        ends: Iterable[tuple[str, float]] = zip(scan.axes, scan.origin, strict=False)
        return places | dict(ends) | dict(zip(driven.axes, driven.origin, strict=False))
    if path is None:  # it finds its points on its way
        return places
    places |= dict(zip(path.axes, path.points[-1].tolist(), strict=True))
    if driven.points is not None:
        places |= dict(zip(driven.axes, driven.points[-1].tolist(), strict=True))
    return places


def _lost(scan: CheckedScan, places: Mapping[str, float | None]) -> list[str]:
    return [name for name in scan.axes if name in places and places[name] is None]


def _warnings(scan: CheckedScan, unknown: list[str]) -> list[str]:
    form = scan.form
    if not unknown or form is None:
        return []
    if not form.returns and not (form.trajectory is not None and form.trajectory.relative):
        return []  # it says itself where it begins
    return [
        f"{', '.join(unknown)}: where the scans before leave it is not known beforehand; checked "
        "from where it is now"
    ]


class PlacedRegistry(Registry):
    """The devices, some of them as if they were at other places."""

    def __init__(self, devices: Registry, places: Mapping[str, float | None]) -> None:
        self.__dict__.update(devices.__dict__)
        self._placed = {
            name: PlacedDevice(devices[name], place)
            for name, place in places.items()
            if place is not None and name in devices
        }

    def __getitem__(self, name: str) -> LoadedDevice:
        placed = self._placed.get(name)
        return super().__getitem__(name) if placed is None else placed


class PlacedDevice(LoadedDevice):
    """A device as if it were at another place."""

    def __init__(self, device: LoadedDevice, place: float) -> None:
        self.__dict__.update(device.__dict__)
        self._place = place

    def position(self) -> float:
        """The place that was given."""
        return self._place
