"""The user's own RunEngine for the verbs, and what it tells.

In: documents and states, on the RunEngine's threads. Out: notifications, on the loop. What blocks
the prompt as long as it lasts (`RE.resume()`) is typed there, as a person would. Twins:
`session.rpc.beamline.ClientScans` and `Told`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from undula.client.link import acting
from undula.core.errors import BusyError, InputError
from undula.session.bridge.bridge import SessionBridge
from undula.session.bridge.model import Author, Call
from undula.session.plain.names import Names
from undula.session.plain.prompt import PlainPrompt
from undula.session.rpc.ports import Fields, Notify

PROGRESS_S = 0.1
TYPED_S = 5.0


class PlainScans:
    """See `session.rpc.ports.Scans`; all but `told` on the server's threads.

    Args:
        engine: the RunEngine.
        name: the user's name for it, e.g. RE.
    """

    def __init__(
        self,
        engine: Any,
        name: str,
        names: Names,
        prompt: PlainPrompt,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._engine, self._name, self._names = engine, name, names
        self._prompt, self._loop = prompt, loop
        self._bridge: SessionBridge | None = None
        self._notify: Notify = lambda _: None
        self._run: Fields = {}
        self._streams: dict[str, str] = {}
        self._last_progress = 0.0
        self._number: int | None = None
        self._hook: Callable[..., None] | None = None

    def start(self, bridge: SessionBridge, notify: Notify) -> None:
        """Begin to follow the RunEngine."""
        self._bridge, self._notify = bridge, notify
        self._number = self._engine.subscribe(self._document)
        self._hook = self._engine.state_hook
        self._engine.state_hook = self._state

    def close(self) -> None:
        """Follow it no more."""
        if self._number is not None:
            self._engine.unsubscribe(self._number)
            self._engine.state_hook = self._hook
            self._number = None

    # -- asked ------------------------------------------------------------------------------

    def pause(self, at_point: bool) -> Fields:
        """Pause now, or at the next checkpoint."""
        self._must_be("running")
        self._engine.request_pause(defer=at_point)
        return self.status()

    def resume(self) -> Fields:
        """Type `RE.resume()`: it lasts as long as the scan."""
        self._must_be("paused")
        return self._typed("resume")

    def abort(self, reason: str) -> Fields:
        """Abort now; when it is paused, by typing `RE.abort(...)`: the clean-up lasts."""
        self._must_be("running", "paused", "pausing")
        if self._engine.state == "paused":
            return self._typed("abort", reason=reason)
        self._engine.abort(reason)
        return self.status()

    def skip(self) -> Fields:
        """Not here."""
        raise self._no_points("skipped")

    def retake(self, point: int | None) -> Fields:  # noqa: ARG002  # as the twin takes it
        """Not here."""
        raise self._no_points("retaken")

    def complete(self) -> Fields:
        """End it as good now; when it is paused, by typing `RE.stop()`."""
        self._must_be("running", "paused", "pausing")
        if self._engine.state == "paused":
            return self._typed("stop")
        self._engine.stop()
        return self.status() | {"did": "it ends"}

    def stop_all(self, reason: str) -> Fields:
        """As `abort`: nothing waits behind it."""
        return self.abort(reason)

    def _no_points(self, what: str) -> InputError:
        return InputError(
            f"a RunEngine of one's own does not say its points: none can be {what}",
            remedy="scan/pause and scan/resume take the point under way again",
        )

    def stop(self) -> Fields:
        """Abort what runs, then stop every device that can be stopped."""
        if self._engine.state == "running":
            self._engine.abort("motion was stopped")
        stopped: list[str] = []
        failed: dict[str, str] = {}
        for path, device in self._names.devices().items():
            if hasattr(device, "stop") and hasattr(device, "set"):
                try:
                    answer = device.stop()
                    if asyncio.iscoroutine(answer):
                        asyncio.run_coroutine_threadsafe(answer, self._engine.loop).result(TYPED_S)
                    stopped.append(path)
                except Exception as exc:  # a driver may raise anything; the others are stopped
                    failed[path] = f"{type(exc).__name__}: {exc}"
        return {"stopped": stopped, "failed": failed}

    def status(self) -> Fields:
        """The RunEngine's state and the open run."""
        current = self._prompt.current()
        return {
            "state": str(self._engine.state),
            "id": self._run.get("id"),
            "command": current.line if current and self._run else "",
            "user": current.author.name if current and self._run else "",
            "done": self._run.get("done", 0),
            "total": self._run.get("total"),
            "retaken": 0,
            "left_s": 0.0,
            "left_unknown": int(bool(self._run)),
            "waiting_for": "",
            "blocked": "",
            "waiting": [],
        }

    def _must_be(self, *states: str) -> None:
        state = str(self._engine.state)
        if state not in states:
            raise BusyError(
                f"the RunEngine is {state}", remedy=f"this needs it to be {' or '.join(states)}"
            )

    def _typed(self, word: str, **kwargs: Any) -> Fields:
        bridge, asks = self._bridge, acting()
        if bridge is None or asks is None:
            raise InputError("nobody asks", remedy="ask by the RPC")
        call = Call(f"{self._name}.{word}", (), kwargs)

        async def submit() -> str:
            return bridge.submit(call, Author(asks.user), "refuse").id

        command = asyncio.run_coroutine_threadsafe(submit(), self._loop).result(TYPED_S)
        return self.status() | {"command_id": command}

    # -- told, on the RunEngine's threads ---------------------------------------------------

    def _say(self, **message: Any) -> None:
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._notify, message)

    def _state(self, new: str, old: str) -> None:
        if self._hook is not None:
            self._hook(new, old)
        if new == "paused":
            self._say(typ="scan/pause", id=self._run.get("id"))
        elif new == "running" and old == "paused":
            self._say(typ="scan/resume", id=self._run.get("id"))

    def _document(self, name: str, doc: Fields) -> None:
        if name == "start":
            self._run = {"id": doc.get("scan_id"), "done": 0, "total": doc.get("num_points")}
            self._run["uid"] = doc["uid"]
            self._prompt.note_run(int(doc.get("scan_id") or 0))
            self._say(typ="scan/start", id=self._run["id"])
            self._say(typ="doc/start", id=self._run["id"], doc=doc)
        elif name == "descriptor":
            self._streams[doc["uid"]] = doc.get("name", "primary")
        elif name in ("event", "event_page"):
            self._point(name, doc)
        elif name == "stop":
            self._ended(doc)

    def _point(self, name: str, doc: Fields) -> None:
        if self._streams.get(doc["descriptor"]) != "primary":
            return
        last = doc["seq_num"] if name == "event" else max(doc["seq_num"], default=0)
        self._run["done"] = max(self._run.get("done", 0), int(last))
        if time.monotonic() - self._last_progress >= PROGRESS_S:
            self._tell_progress()

    def _tell_progress(self) -> None:
        self._last_progress = time.monotonic()
        run = self._run
        self._say(
            typ="scan/progress", id=run.get("id"), done=run.get("done"), total=run.get("total")
        )

    def _ended(self, doc: Fields) -> None:
        self._tell_progress()
        number = self._run.get("id")
        self._say(typ="doc/stop", id=number, doc=doc)
        self._say(
            typ="scan/stop", id=number, status=doc.get("exit_status"), desc=doc.get("reason", "")
        )
        self._run = {}
        self._streams.clear()
