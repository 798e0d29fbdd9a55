"""Whether an asynchronous EPICS device can be reached: one PV of it is watched.

In: a connected ophyd-async device, the loop on which it connected. Out: a `Link`, whose `up`
follows the connection. ophyd's own devices say `connected` themselves; this is for those that do
not. One PV stands for all of a device: they are served by one IOC as a rule.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

WATCH_TIMEOUT_S = 5.0
HEARD_WITHIN_S = 4.0
_contexts: list[Any] = []


class Link:
    """The connection of one PV, e.g. `ca://X:m1.RBV`."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.up = True
        self._heard = asyncio.Event()
        self._kept: Any = None

    async def watch(self) -> None:
        """Begin to follow, and hear of it once; on the loop of the device."""
        protocol, _, pv = self.source.partition("://")
        self._kept = self._over_pva(pv) if protocol == "pva" else self._over_ca(pv)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), HEARD_WITHIN_S)
        self.up = self._heard.is_set() and self.up

    def _told(self, up: bool) -> None:
        """It begins as disconnected, which is no loss of a device that has just connected."""
        if up:
            self._heard.set()
        self.up = up

    def close(self) -> None:
        """Follow no more; on the loop of the device."""
        if self._kept is not None:
            self._kept.close()

    def _over_ca(self, pv: str) -> Any:
        from aioca import DBE_PROPERTY, camonitor

        def said(value: Any) -> None:
            self._told(bool(value.ok))

        return camonitor(pv, said, events=DBE_PROPERTY, notify_disconnect=True)

    def _over_pva(self, pv: str) -> Any:
        from p4p.client.asyncio import Context, Disconnected

        if not _contexts:
            _contexts.append(Context("pva", nt=False))

        async def said(value: Any) -> None:
            self._told(not isinstance(value, Disconnected))

        return _contexts[0].monitor(pv, said, request="field(alarm)", notify_disconnect=True)


def sources(device: Any) -> Iterator[str]:
    """Where the signals of an ophyd-async device come from, its own first."""
    children = getattr(device, "children", None)
    if not callable(children):
        return
    found = [child for _, child in children()]
    for child in found:
        source = getattr(child, "source", "")
        if isinstance(source, str) and source:
            yield source
    for child in found:
        yield from sources(child)


def watch(device: Any, loop: asyncio.AbstractEventLoop | None) -> Link | None:
    """Follow the connection of a device; None when it is not EPICS, or says so itself."""
    if loop is None or hasattr(device, "connected"):
        return None
    source = next((s for s in sources(device) if s.startswith(("ca://", "pva://"))), None)
    if source is None:
        return None
    link = Link(source)
    asyncio.run_coroutine_threadsafe(link.watch(), loop).result(WATCH_TIMEOUT_S)
    return link
