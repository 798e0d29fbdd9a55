"""Subshells of the kernel end with whom they are for.

In: requests to make and to end a subshell, each with the process that asks. Out: a subshell less
when that process has ended, however it did. One that still works ends after that: nothing waits
for it meanwhile, least of all an interrupt.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from undula.core.procs import ProcessId
from undula.session.kernel.guard import GuardedKernel

LOOK_S = 0.1


class OwnedSubshells(GuardedKernel):
    """A kernel that keeps no subshell for the dead. All of it runs on the control thread."""

    async def create_subshell_request(self, socket: Any, ident: Any, parent: Any) -> None:
        """Make one, and follow the process that it is for, where that says which it is."""
        manager = self.shell_channel_thread.manager
        before = set(manager.list_subshell())
        await super().create_subshell_request(socket, ident, parent)
        owner = _owner(parent)
        for made in set(manager.list_subshell()) - before:
            if owner is not None:
                self._follow(owner, made)

    async def delete_subshell_request(self, socket: Any, ident: Any, parent: Any) -> None:
        """End one as soon as it does nothing."""
        self._end(str(parent["content"].get("subshell_id", "")))
        self.session.send(socket, "delete_subshell_reply", {"status": "ok"}, parent, ident)

    def _follow(self, owner: ProcessId, subshell: str) -> None:
        descriptor = owner.open()
        if descriptor is None:
            self._end(subshell)
            return
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._end(subshell)

        loop.add_reader(descriptor, ended)

    def _end(self, subshell: str) -> None:
        manager = self.shell_channel_thread.manager
        try:
            works = manager.get_subshell_asyncio_lock(subshell).locked()
        except KeyError:  # it has ended already
            return
        if works:  # its thread would be waited for, and everybody with it
            asyncio.get_running_loop().call_later(LOOK_S, self._end, subshell)
            return
        line = manager.control_to_shell_channel.from_socket
        line.send_json({"type": "delete", "subshell_id": subshell})
        line.recv_json()


def _owner(parent: dict[str, Any]) -> ProcessId | None:
    about = parent.get("metadata", {}).get("undula", {})
    try:
        return ProcessId(int(about["pid"]), int(about["ticks"]))
    except (KeyError, ValueError, TypeError):
        return None  # a front end of others
