"""The RPC of a session: its verbs put together, its sockets opened and closed.

In: a bridge, devices, scans. Out: a server on the bridge's loop. Called by: `processes.session`,
`session.plain`. Not here: what the verbs do, where the devices are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from undula.client import Client
from undula.core.errors import InputError
from undula.core.log import get_logger
from undula.core.roles import Role
from undula.session.bridge.bridge import SessionBridge
from undula.session.bridge.model import Author, Code
from undula.session.rpc.commands import Cmd, check_code
from undula.session.rpc.monitors import Monitors
from undula.session.rpc.namespaces import Dev, Mon, Scan, State
from undula.session.rpc.plugins import Offer
from undula.session.rpc.ports import Devices, Fields, Scans
from undula.session.rpc.server import Identify, RpcServer, by_credentials
from undula.session.rpc.verbs import Verbs


@dataclass(frozen=True, slots=True)
class RpcOptions:
    """What a session allows.

    `code` are names and roles of those who may send code beside staff; `raw` opens the socket for
    raw text, to staff; `plugins` are `NAMESPACE=module:factory`.
    """

    name: str
    code: Sequence[str] = ("user",)
    raw: bool = False
    plugins: Sequence[str] = ()
    identify: Identify = by_credentials
    namespaces: dict[str, object] = field(default_factory=dict)
    """Further namespaces, e.g. `auth`."""


class RpcService:
    """One session's RPC. All of it on the bridge's loop."""

    def __init__(
        self,
        folder: Path,
        bridge: SessionBridge,
        devices: Devices,
        scans: Scans,
        options: RpcOptions,
        *,
        client: Client | None = None,
    ) -> None:
        self._bridge, self._options = bridge, options
        self._started = time.time()
        verbs = Verbs()
        self.server = RpcServer(
            verbs, folder, identify=options.identify, inject=self._type if options.raw else None
        )
        self.monitors = Monitors(devices, self.server.notify)
        for name, made in {
            "dev": Dev(devices),
            "scan": Scan(scans),
            "mon": Mon(self.monitors),
            "cmd": Cmd(bridge, self._may_code),
            "state": State(scans, devices, self._session),
            **options.namespaces,
        }.items():
            verbs.add(name, made)
        offer = Offer(devices, scans, self.server.notify, bridge, client)
        self.faults = verbs.add_plugins(options.plugins, offer)
        self._unsubscribe = bridge.subscribe(self.server.notify)

    async def open(self) -> None:
        """Open the sockets. Raises: BusyError when another server has them; OSError."""
        await self.server.open()
        get_logger().info("rpc_opened", folder=str(self.server.folder), faults=self.faults)

    async def close(self) -> None:
        """Close the sockets."""
        self._unsubscribe()
        await self.monitors.close()
        await self.server.close()

    def _may_code(self, author: Author, role: Role) -> bool:
        named = {author.name, str(role)} & set(self._options.code)
        return role is Role.STAFF or (role is Role.USER and bool(named))

    async def _type(self, text: str, author: Author, role: Role) -> None:
        check_code(lambda _, asked: asked is Role.STAFF, author, role)
        if not text.strip():
            raise InputError("there is no text", remedy="send a line and its newline")
        self._bridge.submit(Code(text.rstrip("\n")), author, "refuse")

    def _session(self) -> Fields:
        return {
            "session": {
                "name": self._options.name,
                "started": self._started,
                "plugin_faults": self.faults,
            },
            "sent": self.server.sent,
            "commands": self._bridge.snapshot(),
        }
