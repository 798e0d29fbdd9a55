"""Room: scans. How the RunEngine is interrupted from other threads, none of which waits for long.

In: whether the plan is to be interrupted, asked when it can be. Out: a pause of the RunEngine; what
keeps it from that, by name; code of people that is ended. Called by: `scans.steering`.

The RunEngine's loop may be held up, for a moment by a driver or for ever by a hook: then it is
interrupted as soon as that is over, and whoever asked is told before.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from bluesky.run_engine import RunEngine
from bluesky.utils import TransitionError

from undula.core.log import get_logger
from undula.scans.own_code import OWN_CODE

HELD_UP_S = 0.3
NUDGE_S = 0.5
"""The loop is waited for no longer."""
AGAIN_S = 0.05


class Interrupter:
    """Interrupts one RunEngine. Thread-safe.

    Args:
        wanted: whether its plan is to be interrupted, asked in its loop.
    """

    def __init__(self, engine: RunEngine, wanted: Callable[[], bool]) -> None:
        self._engine, self._wanted = engine, wanted
        self._asked: Future[None] | None = None

    def interrupt(self) -> None:
        """Interrupt the plan now, or as soon as the loop is free; this returns before."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.run_coroutine_threadsafe(self._interrupt(), self._engine.loop)
        try:
            self._asked.result(NUDGE_S)
        except TimeoutError:
            get_logger().info("interrupted_later")
        except TransitionError as exc:
            get_logger().info("not_interrupted", why=str(exc))

    async def _interrupt(self) -> None:
        """In the RunEngine's loop, whose plan may have ended since: then it is left alone."""
        if self._wanted():
            await self._engine._request_pause_coro()

    def held_up_by(self) -> str:
        """What keeps the RunEngine from being interrupted, in words; '' when nothing does."""
        if self._engine.state != "running" and OWN_CODE.running is None:
            return ""
        asked = asyncio.run_coroutine_threadsafe(_answers(), self._engine.loop)
        try:
            asked.result(HELD_UP_S)
        except TimeoutError:
            running = OWN_CODE.running
            return "a device" if running is None else running.name
        return ""


async def _answers() -> None:
    """The loop does something else by now."""


def end_computing(ended: threading.Event, patience_s: Callable[[], float]) -> None:
    """End code of people that computes on without a message, again and again until `ended`.

    Args:
        patience_s: so long each piece of it may compute on, s.
    """
    while not ended.is_set():
        piece = OWN_CODE.piece
        if ended.wait(patience_s()):
            return
        while piece and OWN_CODE.interrupt(piece) and not ended.wait(AGAIN_S):
            pass
