"""One device as a block of text for people. Pure.

In: a `DeviceInfo`. Out: text: what is set, in words; what is empty is left out.
"""

from __future__ import annotations

from undula.messages import DeviceInfo

READOUT = {
    "monitored": "monitored: read at every point of a scan",
    "baseline": "baseline: read before and after a scan",
    "on_request": "on_request: read only when asked for",
    "async": "async: gives data by itself during a scan",
    "continuous": "continuous: gives data by itself during a scan",
}


def _state(info: DeviceInfo) -> str:
    if not info.enabled:
        return "disabled" + (f": {info.problem}" if info.problem else "")
    if not info.connected:
        return f"not connected: {info.problem}"
    return f"used by {info.leased_by}" if info.leased_by else "ok"


def device_block(info: DeviceInfo) -> str:
    """The block: name, description, then one line for each thing worth knowing.

    >>> print(device_block(DeviceInfo(name="samx", path="M.samx", device_class="SimPositioner",
    ...     kind="positioner", readout_priority="baseline", enabled=True, connected=True,
    ...     unit="mm", limits=(-5, 5), description="sample stage")))
    samx: sample stage
      state       ok
      kind        positioner (SimPositioner)
      in shell    M.samx
      unit        mm
      limits      -5 to 5 mm
      readout     baseline: read before and after a scan
    """
    unit = f" {info.unit}" if info.unit else ""
    limits = "" if info.limits is None else f"{info.limits[0]:g} to {info.limits[1]:g}{unit}"
    reads = [
        " ".join(filter(None, [key, _shape(about), str(about.get("units") or "")]))
        for key, about in info.data_keys.items()
    ]
    rows = [
        ("state", _state(info)),
        ("kind", f"{info.kind} ({info.device_class})"),
        ("in shell", info.path),
        ("unit", info.unit),
        ("limits", limits),
        ("moves", "no: read only" if info.read_only else ""),
        ("readout", READOUT.get(info.readout_priority, info.readout_priority)),
        ("count time", "can be told" if info.takes_count_time else ""),
        ("tags", ", ".join(info.tags)),
        *((("reads" if i == 0 else ""), text) for i, text in enumerate(reads)),
    ]
    head = f"{info.name}: {info.description}" if info.description else info.name
    return "\n".join([head, *(f"  {key:<12}{text}" for key, text in rows if text)])


def _shape(about: dict[str, object]) -> str:
    shape = about.get("shape")
    if isinstance(shape, list | tuple) and shape:
        return f"array {'x'.join('?' if n is None else str(n) for n in shape)}"
    return ""
