"""Hooks that are run while a plan stands: by a second RunEngine on the same loop.

A paused RunEngine runs nothing else. In: the hooks of a scan. Out: what failed, as text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted, TransitionError

from undula.core.errors import UndulaError
from undula.core.log import get_logger
from undula.plans import VERBS
from undula.scans.scan_hooks import ScanHooks


class Aside:
    """Runs hooks beside the RunEngine of the scans, on the thread of the scans."""

    def __init__(self, engine: RunEngine) -> None:
        self._loop = engine.loop
        self._engine: RunEngine | None = None

    def of(self, hooks: ScanHooks | None) -> Callable[[str], str]:
        """The function that runs the hooks of a place; it returns what failed, or ''."""
        if hooks is None or not hooks.has("on pause", "on resume"):
            return lambda _: ""
        return lambda place: self._run(hooks, place)

    def stop(self) -> None:
        """End the hooks that run now, if any; from any thread."""
        if self._engine is not None and self._engine.state == "running":
            with contextlib.suppress(TransitionError):  # they have ended just now
                self._engine.request_pause(defer=False)  # without a checkpoint that aborts

    def _run(self, hooks: ScanHooks, place: str) -> str:
        if not hooks.has(place):
            return ""
        if self._engine is None:  # only where there are such hooks
            self._engine = RunEngine({}, loop=self._loop, context_managers=[])
            for verb, function in VERBS.items():
                self._engine.register_command(verb, function)
        try:
            self._engine(hooks.run(place))
        except UndulaError as error:
            return str(error)
        except RunEngineInterrupted:
            return f"the hooks {place} were ended"
        except Exception as exc:  # of the RunEngine itself
            get_logger().exception("hook_not_run", place=place)
            return f"the hooks {place} could not be run: {type(exc).__name__}: {exc}"
        return ""
