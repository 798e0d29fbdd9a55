"""What our pythonSoftIOC processes share: start, say "ready", serve until the parent ends.

In: a function that makes the records. Out: a process that serves Channel Access and PV Access as
its environment says. Needs pythonSoftIOC (Apache-2.0, extra `dev`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

POLL_S = 0.005


def running(record: Any) -> bool:
    """Whether a start/stop record still holds its "on": a client may have written 0 meanwhile."""
    return record.get_field("VAL") in ("1", record.get_field("ONAM"))


async def wait_on(record: Any, duration_s: float) -> bool:
    """Wait while the start/stop record is on; False when it was switched off before the end."""
    loop = asyncio.get_running_loop()
    end = loop.time() + duration_s
    while loop.time() < end:
        if not running(record):
            return False
        await asyncio.sleep(min(POLL_S, max(0.0, end - loop.time())))
    return running(record)


def serve(make_records: Callable[[], None]) -> None:
    """Serve `PREFIX` (first argument); write to the descriptor (second argument) when ready."""
    from softioc import asyncio_dispatcher, builder, softioc

    prefix, ready = sys.argv[1], int(sys.argv[2])
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    builder.SetDeviceName(prefix.rstrip(":"))
    make_records()
    builder.LoadDatabase()
    softioc.iocInit(dispatcher)
    os.write(ready, b"1")
    sys.stdin.read()  # until the parent ends
    os._exit(0)  # no clean-up to wait for: EPICS threads may hang at an ordinary exit
