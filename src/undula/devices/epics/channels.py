"""Channel Access at each point, by aioca and nothing between.

In: names of PVs. Out: readings as Bluesky wants them. A signal of ophyd-async adds a timeout task,
a retry and a converter to each get and put: half a millisecond, where the round trip itself takes
a fifth. What is done once a scan goes by signals; what is done at every point comes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aioca import FORMAT_TIME, caget

from undula.core.errors import DeviceError

ANSWER_S = 5.0
"""How long an IOC may take to answer."""
INVALID = 3


async def value_of(pv: str) -> Any:
    """Value with `timestamp` (UTC epoch s), `severity` and `status`. No deadline of its own."""
    return await caget(pv, format=FORMAT_TIME, timeout=None)


async def readings(pvs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Name to reading, asked side by side. Raises: DeviceError after `ANSWER_S`, CANothing."""
    try:
        async with asyncio.timeout(ANSWER_S):
            if len(pvs) == 1:  # no task for one
                found = [await value_of(pv) for pv in pvs.values()]
            else:
                found = await asyncio.gather(*map(value_of, pvs.values()))
    except TimeoutError:
        raise DeviceError(
            f"no answer within {ANSWER_S:g} s from {', '.join(pvs.values())}",
            remedy="check its IOC and the network",
        ) from None
    return {name: reading(value) for name, value in zip(pvs, found, strict=True)}


def reading(value: Any) -> dict[str, Any]:
    """A value of aioca as a reading; the severity is -1 when the value is not valid."""
    severity = -1 if value.severity >= INVALID else int(value.severity)
    plain = +value if isinstance(value, int | float) else value  # without aioca's attributes
    return {"value": plain, "timestamp": value.timestamp, "alarm_severity": severity}
