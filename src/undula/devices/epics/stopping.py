"""EPICS devices: how to stop them without the engine."""

from __future__ import annotations

from undula.devices.description import DeviceEntry

MOTOR_CLASSES = ("EpicsMotor", "Motor", "EpicsMotorEC", "EpicsUserMotorVME")


def stop_pvs(entry: DeviceEntry) -> list[tuple[str, float]]:
    """PVs and values that stop the device: what the file declares, or `.STOP` of a motor record.

    >>> entry = DeviceEntry(name="m", deviceClass="ophyd.EpicsMotor", readoutPriority="baseline",
    ...                     enabled=True, deviceConfig={"prefix": "X:m1"})
    >>> stop_pvs(entry)
    [('X:m1.STOP', 1)]
    """
    if entry.stop:
        return list(entry.stop.items())
    if entry.shutter is not None and isinstance(entry.shutter.close, int | float):
        pv = entry.device_config.get("write_pv") or entry.device_config.get("read_pv")
        return [(str(pv), float(entry.shutter.close))] if pv else []
    prefix = entry.device_config.get("prefix")
    if prefix and entry.device_class.rsplit(".", 1)[-1] in MOTOR_CLASSES:
        return [(f"{prefix}.STOP", 1)]
    return []
