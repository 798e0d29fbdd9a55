"""Hooks that are run while a plan stands: by a second RunEngine on the same loop.

A paused RunEngine runs nothing else. In: the hooks of a scan. Out: what failed, as text.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted, TransitionError

from undula.core.errors import UndulaError
from undula.core.log import get_logger
from undula.plans import VERBS
from undula.plans.step import Messages
from undula.scans.quick_bluesky import run_engine
from undula.scans.scan_hooks import ScanHooks

STOP_S = 0.5
"""The loop is waited for no longer: a hook may hold it up."""


class Aside:
    """Runs hooks beside the RunEngine of the scans, on the thread of the scans.

    Args:
        ended: whether the scan is to end, and its hooks with it.
    """

    def __init__(self, engine: RunEngine, ended: Callable[[], bool] = lambda: False) -> None:
        self._loop = engine.loop
        self._ended = ended
        self._engine: RunEngine | None = None

    def of(self, hooks: ScanHooks | None) -> Callable[[str], str]:
        """The function that runs the hooks of a place; it returns what failed, or ''."""
        if hooks is None or not hooks.has("on pause", "on resume"):
            return lambda _: ""
        return lambda place: self._run(hooks, place)

    def stop(self) -> None:
        """End the hooks that run now, if any; from any thread."""
        if self._engine is not None and self._engine.state == "running":
            pause = self._engine._request_pause_coro()  # without a checkpoint that aborts
            asked = asyncio.run_coroutine_threadsafe(pause, self._loop)
            # they have ended just now; or one of them computes, and is ended by `OWN_CODE`
            with contextlib.suppress(TransitionError, TimeoutError):
                asked.result(STOP_S)

    def _run(self, hooks: ScanHooks, place: str) -> str:
        if not hooks.has(place):
            return ""
        if self._engine is None:  # only where there are such hooks
            self._engine = run_engine(loop=self._loop)
            for verb, function in VERBS.items():
                self._engine.register_command(verb, function)
        try:
            self._engine(self._unless_ended(hooks.run(place)))
        except UndulaError as error:
            return str(error)
        except RunEngineInterrupted:
            self._end_paused()
            return f"the hooks {place} were ended"
        except Exception as exc:  # of the RunEngine itself
            get_logger().exception("hook_not_run", place=place)
            return f"the hooks {place} could not be run: {type(exc).__name__}: {exc}"
        return ""

    def _unless_ended(self, plan: Messages) -> Messages:
        """Looked at when the RunEngine runs already: from then on `stop` interrupts it."""
        if self._ended():
            plan.close()
            return None
        return (yield from plan)

    def _end_paused(self) -> None:
        """Hooks with a checkpoint pause where others are ended."""
        if self._engine is None or self._engine.state != "paused":
            return
        try:
            self._engine.abort("the scan ended")
        except Exception:  # whatever a hook does in its clean-up
            get_logger().exception("hooks_not_ended")
