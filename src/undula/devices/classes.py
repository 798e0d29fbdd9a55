"""Which Python class a `deviceClass` names, and what it takes."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from typing import Any

SIM = "undula.devices.sim"
SIM_NAMES = {
    "SimPositioner": "SimPositioner",
    "SimLinearTrajectoryPositioner": "SimPositioner",
    "SimPositionerWithController": "SimPositioner",
    "SimMonitor": "SimMonitor",
    "SimCamera": "SimCamera",
    "SimWaveform": "SimWaveform",
    "ReadOnlySignal": "bec.SimReadOnly",
    "SimMonitorAsync": "bec.SimMonitorAsync",
    "SimAsyncGauss2D": "bec.SimAsyncGauss2D",
    "SimDeviceWithSignalDelay": "bec.SimRamp",
    "SynDeviceOPAAS": "bec.SimHexapod",
    "SynDynamicComponents": "bec.SimDynamicSignals",
    "SynFlyer": "bec.SimFlyer",
    "SimFlyer": "bec.SimFlyer",
    "SlitProxy": "proxies.SlitProxy",
    "H5ImageReplayProxy": "proxies.H5ImageReplayProxy",
}
OWN_MOTOR = "undula.devices.epics.EpicsMotor"
OWN_MOTORS = {
    "ophyd.EpicsMotor": OWN_MOTOR,
    "ophyd_async.epics.motor.Motor": "undula.devices.epics.Motor",
}
EPICS_NAMES = dict.fromkeys(("EpicsMotor", "EpicsMotorEC", "EpicsUserMotorVME"), OWN_MOTOR)
COMPUTED_NAMES = {"ComputedSignal": "undula.devices.computed.ComputedSignal"}
BEC_PACKAGE = "ophyd_devices"


def mapped(path: str) -> tuple[str, str]:
    """The path to import, and why it differs ('' when it does not).

    BEC's `ophyd_devices` names map to ours, or to ophyd's, where that package is not installed.
    """
    if path in OWN_MOTORS:
        return OWN_MOTORS[path], "the same, and it says why a motion went wrong"
    first, last = path.split(".", maxsplit=1)[0], path.rsplit(".", 1)[-1]
    if first != BEC_PACKAGE or importlib.util.find_spec(BEC_PACKAGE) is not None:
        return path, ""
    if last in SIM_NAMES:
        return (
            f"{SIM}.{SIM_NAMES[last]}",
            f"{BEC_PACKAGE} is not installed: Undula's own simulation",
        )
    if last in COMPUTED_NAMES:
        return COMPUTED_NAMES[last], "read as arithmetic, its text is never run"
    if last in EPICS_NAMES:
        return EPICS_NAMES[last], f"{BEC_PACKAGE} is not installed: our motor record"
    return path, ""


def find_class(path: str) -> type[Any]:
    """Import the class. Raises: ImportError with a text for people."""
    target, _ = mapped(path)
    module, _, name = target.rpartition(".")
    if not module:
        raise ImportError(f"{path!r} has no package, e.g. ophyd.EpicsMotor")
    try:
        found = getattr(importlib.import_module(module), name)
    except AttributeError:
        raise ImportError(f"{module} has no class {name}") from None
    except ImportError as exc:
        raise ImportError(f"{module} cannot be imported: {exc}") from exc
    if not isinstance(found, type):
        raise ImportError(f"{target} is not a class")
    return found


def constructor_keys(cls: type[Any]) -> set[str]:
    """Names of the constructor's parameters, along the classes as far as `**kwargs` goes on."""
    keys: set[str] = set()
    for owner in cls.__mro__:
        if "__init__" not in owner.__dict__:
            continue
        parameters = inspect.signature(owner.__dict__["__init__"]).parameters.values()
        keys |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return keys - {"self", "name", "parent", "world"}


def takes_any(cls: type[Any]) -> bool:
    """Its keys are names of devices: it says itself which are wrong."""
    return bool(getattr(cls, "takes_any_key", False))
