"""Room: scans. The code of people that runs in the engine: plans, hooks, preprocessors.

In: their generators and functions. Out: the same, so that an abort ends them while they compute,
and so that whoever waits for them is told their name. All of it runs on the RunEngine's loop.
"""

from __future__ import annotations

import time

from undula.core.errors import InputError
from undula.core.interruptible import OwnCode

OWN_CODE = OwnCode()
"""What runs now."""
SHOWN_AFTER_S = 1.0


def computed_on() -> InputError:
    """What is told of code that was ended."""
    return InputError(
        "it was to end, and computed on", remedy="let it end, or give messages meanwhile"
    )


def own_code_text() -> str:
    """What holds up the RunEngine now and since when; '' when nothing does for long."""
    running = OWN_CODE.running
    since_s = 0.0 if running is None else time.monotonic() - running.since
    return f"{running.name}, since {since_s:.0f} s" if running and since_s > SHOWN_AFTER_S else ""
