"""Changing the devices while the beamline runs: whole or not at all, kept in a history.

In: `ConfigRequest`s, on a thread of their own. Out: what changed, or every fault with its place and
nothing changed. Devices that a run uses are refused, or changed at its end when that was asked for.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from undula.core.errors import BusyError, InputError, UndulaError
from undula.core.log import get_logger
from undula.devices.changes import Change, compare, updated
from undula.devices.description import DeviceFile, check_devices, load_device_file, read_raw
from undula.devices.export import device_keys
from undula.devices.opening import Opening
from undula.devices.registry import Registry
from undula.devices.revisions import Revision, Revisions
from undula.devices.try_import import try_import, unknown_modules
from undula.messages import ConfigRequest, ConfigStatus
from undula.scans.leases import Leases

POLL_S = 0.5
KEPT_LINES = 200
NEW = -1
"""Instead of a base: undo goes back to what holds now."""


class Configuration:
    """The configuration that holds. `answer` runs on one thread at a time."""

    def __init__(
        self,
        devices: Registry,
        revisions: Revisions,
        opening: Opening,
        *,
        leases: Leases,
        changed: Callable[[], None],
        chosen: Callable[[Path], None],
    ) -> None:
        self._devices = devices
        self._revisions = revisions
        self._revision = opening.revision
        self._problem = opening.problem
        self._leases = leases
        self._changed = changed
        self._chosen = chosen
        self._pending: str = ""
        self._cancelled = threading.Event()
        self._lock = threading.Lock()

    def status(self) -> ConfigStatus:
        """Which configuration holds."""
        now, devices = self._revision, self._devices
        names = devices.names()
        return ConfigStatus(
            revision=now.number,
            time=now.time,
            user=now.user,
            action=now.action,
            source=now.source,
            edited=now.edited,
            devices=len(names),
            absent={
                n: devices[n].problem
                for n in names
                if devices[n].entry.enabled and not devices[n].connected
            },
            problem=self._problem,
            pending=self._pending,
        )

    def close(self) -> None:
        """Give up a change that waits."""
        self._cancelled.set()

    def answer(self, request: ConfigRequest) -> dict[str, Any]:
        """Carry out a request. Raises: ConfigError with every fault, BusyError, InputError."""
        action = request.action
        if action == "show":
            entries = self._devices.file.entries
            devices = {e.name: device_keys(e) for e in entries}
            return {"status": self.status().model_dump(), "devices": devices}
        if action == "history":
            return {"revisions": [asdict(r) for r in self._revisions.all()]}
        if action == "diff":
            return self._diff(request.revisions)
        if action == "cancel":
            return self._cancel()
        with self._lock:
            return self._change(request)

    # ---- looking ---------------------------------------------------------------------------

    def _diff(self, numbers: list[int]) -> dict[str, Any]:
        before = numbers[0] if numbers else self._revision.base
        after = numbers[1] if len(numbers) > 1 else self._revision.number
        if not before:
            raise InputError("there is no revision before this one", remedy="name two revisions")
        old, new = self._revisions.load(before), self._revisions.load(after)
        change = compare(old.entries, new.entries)
        return {"from": before, "to": after, "changes": change.lines()}

    def _cancel(self) -> dict[str, Any]:
        if not self._pending:
            raise InputError("no change waits", remedy="see undula config show")
        self._cancelled.set()
        return {"cancelled": self._pending}

    # ---- changing --------------------------------------------------------------------------

    def _change(self, request: ConfigRequest) -> dict[str, Any]:
        if self._pending and not request.dry_run:
            raise BusyError(
                f"a change waits already: {self._pending}",
                remedy="wait for it, or drop it: undula config cancel",
            )
        file, wanted = self._wanted(request)
        change = compare(self._devices.file.entries, file.entries)
        result = {"changes": change.lines()[:KEPT_LINES], "revision": self._revision.number}
        if request.dry_run or not change:
            return result
        holder = f"configuration change of {request.user or 'somebody'}"
        try:
            self._leases.take(change.concerns, holder, alone=True)
        except BusyError as error:
            if not request.when_free:
                raise BusyError(
                    error.what,
                    remedy="wait for its end, or let the change wait: --when-free",
                    device=error.device,
                ) from error
            self._wait(request, f"{wanted.action}: {error.device} is {error.what}")
            return {**result, "pending": self._pending}
        try:
            self._apply(file, change, wanted, request)
        finally:
            self._leases.release(holder)
        concerned = {*change.added, *change.rebuilt}
        absent = {n: p for n, p in self.status().absent.items() if n in concerned}
        return {**result, "revision": self._revision.number, "absent": absent}

    def _apply(
        self, file: DeviceFile, change: Change, wanted: Revision, request: ConfigRequest
    ) -> None:
        kept: list[Revision] = []

        def keep() -> None:
            kept.append(
                self._revisions.add(
                    file.entries,
                    user=request.user,
                    action=wanted.action,
                    source=wanted.source,
                    digest=wanted.digest,
                    base=None if wanted.base == NEW else wanted.base,
                    edited=wanted.edited,
                )
            )

        few = request.action in ("add", "update") and not request.accept_absent
        must = [*change.added, *change.changed] if few else ()
        self._devices.replace(file, change, must_answer=must, keep=keep)
        if wanted.source != self._revision.source:
            self._chosen(Path(wanted.source))
        self._revision, self._problem = kept[0], ""
        get_logger().info(
            "configuration_changed",
            revision=kept[0].number,
            user=request.user,
            action=wanted.action,
            changes=change.lines()[:20],
        )
        self._changed()

    def _wait(self, request: ConfigRequest, why: str) -> None:
        """Change at the end of the runs that use these devices, on a thread of its own."""
        self._pending = why
        self._cancelled.clear()
        threading.Thread(
            target=self._when_free, args=(request,), name="config-waits", daemon=True
        ).start()
        self._changed()

    def _when_free(self, request: ConfigRequest) -> None:
        problem = ""
        try:
            while not self._cancelled.is_set():
                file, _ = self._wanted(request)
                change = compare(self._devices.file.entries, file.entries)
                if self._leases.wait_free(change.concerns, POLL_S, alone=True):
                    continue
                with self._lock:
                    self._pending = ""
                    self._change(request.model_copy(update={"when_free": False}))
                return
        except BusyError:  # somebody else was quicker
            self._wait(request, self._pending or "waits again")
            return
        except UndulaError as error:
            problem = f"a change that waited was refused: {error}"
            get_logger().error("waiting_change_refused", error=str(error))
        self._pending, self._problem = "", problem or self._problem
        self._changed()

    # ---- what is wanted --------------------------------------------------------------------

    def _wanted(self, request: ConfigRequest) -> tuple[DeviceFile, Revision]:
        """The devices as they should be, and how the history will name that."""
        now, action = self._revision, request.action
        if action in ("load", "reload"):
            path = Path(request.path or now.source)
            file = _loaded(path)
            text = f"{action} {path.name}"
            return file, replace(
                now, action=text, source=str(path), digest=file.digest, edited=False, base=NEW
            )
        if action in ("undo", "restore"):
            return self._earlier(request)
        edited = replace(now, edited=True, base=NEW)
        if action == "add":
            return self._with_added(request, edited)
        if action == "update":
            return self._with_updates(request.devices, edited)
        return self._without(request.names, edited)

    def _earlier(self, request: ConfigRequest) -> tuple[DeviceFile, Revision]:
        now = self._revision
        number = request.revisions[0] if request.revisions else now.base
        if not number:
            raise InputError("nothing was changed yet", remedy="see undula config history")
        then = self._revisions.get(number)
        text = f"{request.action} {'to ' if request.action == 'undo' else ''}{number}"
        base = then.base if request.action == "undo" else NEW
        return self._revisions.load(number), replace(then, action=text, base=base)

    def _with_added(self, request: ConfigRequest, edited: Revision) -> tuple[DeviceFile, Revision]:
        raw, source = dict(request.devices), "the devices to add"
        if request.path:
            path = Path(request.path)
            file, source = _loaded(path), path.name
            raw |= {e.name: device_keys(e) for e in file.entries}
        if request.names:
            _known(request.names, raw, f"{source} does not describe")
            raw = {n: raw[n] for n in request.names}
        if not raw:
            raise InputError("nothing to add", remedy="name a device file")
        action = f"add {_few(raw)}"
        return self._merged(raw, source), replace(edited, action=action)

    def _with_updates(
        self, devices: Mapping[str, Mapping[str, Any]], edited: Revision
    ) -> tuple[DeviceFile, Revision]:
        present = {e.name: e for e in self._devices.file.entries}
        _known(devices, present, "there is no device")
        raw = {name: updated(present[name], values) for name, values in devices.items()}
        keys = dict.fromkeys(key for values in devices.values() for key in values)
        action = f"update {_few(devices)} {', '.join(keys)}"
        return self._merged(raw, "update"), replace(edited, action=action)

    def _without(self, names: list[str], edited: Revision) -> tuple[DeviceFile, Revision]:
        present = {e.name: device_keys(e) for e in self._devices.file.entries}
        if not names:
            raise InputError("no device was named", remedy="e.g. undula config remove samx")
        _known(names, present, "there is no device")
        for name in names:
            del present[name]
        if not present:
            raise InputError("no device would be left", remedy="load another file instead")
        return check_devices(present, "remove"), replace(edited, action=f"remove {_few(names)}")

    def _merged(self, raw: Mapping[str, Mapping[str, Any]], source: str) -> DeviceFile:
        try_import(unknown_modules(_classes(raw)))
        present = {e.name: device_keys(e) for e in self._devices.file.entries}
        return check_devices({**present, **raw}, source)


def _loaded(path: Path) -> DeviceFile:
    try_import(unknown_modules(_classes(read_raw(path))))
    return load_device_file(path)


def _classes(raw: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [c for keys in raw.values() if isinstance(c := keys.get("deviceClass"), str)]


def _known(names: Iterable[str], present: Mapping[str, Any], what: str) -> None:
    for name in names:
        if name in present:
            continue
        near = difflib.get_close_matches(name, present, 1)
        raise InputError(
            f"{what} {name!r}",
            remedy=f"did you mean {near[0]}?" if near else "see undula devices",
        )


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
