"""The services of a beamline: what `undula up` hands to the supervisor.

In: paths and settings. Out: `ServiceSpec`s. Called by: `cli`. Not here: starting them
(`supervisor`).
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from undula.bus import broker
from undula.bus.link import Address
from undula.core.bec_services import BecServices
from undula.core.errors import BusyError, ConfigError
from undula.core.paths import BeamlinePaths
from undula.core.settings import BeamlineSettings, load_settings, save_settings
from undula.processes.supervisor_client import refuse_second_start
from undula.processes.supervisor_model import ServiceSpec

_KEPT_PREFIXES = ("EPICS_", "UNDULA_", "XDG_", "PYTHON", "LC_", "HDF5_", "OPHYD_", "VIRTUAL_")
_KEPT = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "TZ", "USER", "LOGNAME", "LD_LIBRARY_PATH"})


SIMULATED = "simulated"


def choose_settings(
    paths: BeamlinePaths,
    *,
    devices: Path | None = None,
    data: Path | None = None,
    broker_url: str | None = None,
    bec_services: BecServices | None = None,
) -> BeamlineSettings:
    """The beamline's settings, those kept before with what is given now; written to its folder.

    Args:
        devices: device file; `simulated` takes back an earlier one; None keeps it.
        data: data folder; None keeps the earlier one, at first `undula-data/NAME` in the home.
        bec_services: what a service file of BEC says; the other arguments win over it.
    Raises: ConfigError for an absent device file, all faults of a wrong one, or a data folder that
        cannot be made. Nothing was changed then.
    """
    default = BeamlineSettings(name=paths.name, data=Path.home() / "undula-data" / paths.name)
    kept = load_settings(paths.config) if paths.config.exists() else default
    changes = _changes(devices, data, broker_url, bec_services)
    if changes.get("devices") is not None:
        _existing(changes["devices"])
    settings = kept.model_copy(update=changes)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(
            f"the data folder {settings.data} cannot be made: {exc.strerror}",
            remedy="name another one: undula up --data FOLDER",
        ) from exc
    save_settings(settings, paths.config)
    return settings


def _changes(
    devices: Path | None,
    data: Path | None,
    broker_url: str | None,
    bec_services: BecServices | None,
) -> dict[str, Any]:
    changes: dict[str, Any] = dict(bec_services.settings) if bec_services else {}
    if devices is not None:
        changes["devices"] = None if str(devices) == SIMULATED else devices.expanduser().absolute()
    if data is not None:
        changes["data"] = data.expanduser().absolute()
    if broker_url is not None:
        changes["broker_url"] = broker_url
    return changes


_OPTIONS = {"devices": "--devices", "data": "--data", "broker_url": "--broker"}


def refuse_second_up(
    paths: BeamlinePaths,
    *,
    devices: Path | None = None,
    data: Path | None = None,
    broker_url: str | None = None,
    bec_services: BecServices | None = None,
) -> None:
    """Nothing while the beamline is down.

    Raises: BusyError when it is up; names what it keeps where other options are given now.
    """
    try:
        refuse_second_start(paths)
    except BusyError as busy:
        changes = _changes(devices, data, broker_url, bec_services)
        kept = load_settings(paths.config) if paths.config.exists() else None
        other = {
            key: value
            for key, value in changes.items()
            if kept is not None and getattr(kept, key) != value
        }
        if not other:
            raise
        keeps = ", ".join(f"{_OPTIONS.get(k, k)} {_shown(k, getattr(kept, k))}" for k in other)
        given = " ".join(f"{_OPTIONS.get(k, k)} {_shown(k, v)}" for k, v in other.items())
        live = "undula config load FILE changes the devices while it runs; otherwise "
        raise BusyError(
            f"{busy.what}, and keeps {keeps}; {given} was not taken over",
            remedy=f"{live if 'devices' in other else ''}undula down --beamline {paths.name}, "
            f"then undula up --beamline {paths.name} {given}",
        ) from None


def _shown(key: str, value: object) -> str:
    if key == "broker_url" and value is not None:
        return Address(str(value)).shown
    return str(value) if value is not None else {"devices": SIMULATED}.get(key, "none")


def _existing(found: Path) -> None:
    if not found.is_file():
        raise ConfigError(
            f"there is no device file {found}",
            remedy=f"name an existing YAML file, or --devices {SIMULATED}",
        )
    from undula.devices.description import load_device_file  # brings ophyd along

    load_device_file(found)


def kept_environment() -> dict[str, str]:
    """Variables of `undula up` that a later supervisor must give to the services it restarts.

    Only what concerns running them: secrets in the environment stay out of the state folder.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (name in _KEPT or name.startswith(_KEPT_PREFIXES))
        and not name.startswith(("UNDULA_FAULT", "UNDULA_TEST", "UNDULA_NOTIFY", "UNDULA_SERVICE"))
    }


def service_specs(paths: BeamlinePaths, settings: BeamlineSettings) -> list[ServiceSpec]:
    """The services in the order in which they start; they stop in the reverse order.

    Prepares the embedded broker (folder, access rules, measured fsync policy) unless
    `settings.broker_url` names an existing one.
    """
    specs: list[ServiceSpec] = []
    on_broker: tuple[str, ...] = ()
    if settings.broker_url is None:
        specs.append(_broker(paths, settings))
        on_broker = ("broker",)
    specs += [
        _python(paths, "writer", needs=on_broker, stop_timeout_s=10.0),
        _python(paths, "publisher", needs=on_broker, stop_timeout_s=5.0),
        _python(paths, "engine", needs=on_broker, stop_timeout_s=10.0),
    ]
    # When people can measure already, the shared prompt comes up beside them.
    measuring = (*on_broker, "writer", "publisher", "engine")
    specs += [
        replace(_python(paths, name, needs=measuring, stop_timeout_s=5.0), essential=False)
        for name in ("kernel", "session")
    ]
    return specs


def _broker(paths: BeamlinePaths, settings: BeamlineSettings) -> ServiceSpec:
    return ServiceSpec(
        name="broker",
        argv=tuple(broker.prepare(paths, settings)),
        env=kept_environment(),
        ready="broker",
        ready_path=str(paths.broker_socket),
        ready_timeout_s=60.0,
        stop_timeout_s=10.0,
    )


def _python(
    paths: BeamlinePaths, name: str, *, needs: tuple[str, ...], stop_timeout_s: float
) -> ServiceSpec:
    module = f"undula.processes.{name}"
    return ServiceSpec(
        name=name,
        argv=(sys.executable, "-m", module, "--beamline", paths.name),
        env=kept_environment(),
        needs=needs,
        ready_timeout_s=60.0,
        stop_timeout_s=stop_timeout_s,
    )
