"""The RPC server: requests answered, each in a task of its own; notifications for all.

In: JSON on a ROUTER socket. Out: replies there, notifications on a PUB socket, both Unix sockets of
the beamline's group. Everything runs on one asyncio loop; verbs that wait have threads. Called by:
`processes.session`, `session.plain`. Not here: what verbs do (`namespaces`), the format (`wire`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio

from undula.client.link import acting_for
from undula.core.errors import AccessError, BusyError, UndulaError, WireError
from undula.core.log import get_logger
from undula.core.roles import Role
from undula.core.unix_socket import bind_for_group
from undula.session.bridge.model import Author
from undula.session.rpc import wire
from undula.session.rpc.errors import ZError
from undula.session.rpc.peers import Admission, Peer, parse_address
from undula.session.rpc.verbs import Ask, Connection, Verbs, verb

REQUESTS, NOTIFICATIONS, KEYS = "rpc.sock", "rpc-notify.sock", "rpc-keys.sock"
"""Names of the sockets in the run folder."""
ALIVE_S = 1.0
LONG_BYTES = 16_384

Identify = Callable[[Peer, Connection, str], Awaitable[tuple[Author, Role]]]
"""Who a peer is and what it may, by its token or the one that its connection logged in with."""
Inject = Callable[[str, Author, Role], Awaitable[None]]
"""Types raw text at the prompt, as in the paper's Figure 3(d)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may ask at once, one process with all of its own, and all together."""

    open_requests: int = 64
    of_one_process: int = 256
    all_open_requests: int = 2000
    threads_of_one: int = 4
    threads: int = 32
    unread: int = 200
    """Replies, or notifications (ten times as many), kept for who does not read; then dropped."""


@dataclass(slots=True)
class _Guest:
    """A connection with open requests."""

    threads: asyncio.Semaphore
    open_requests: int = 0


async def by_credentials(peer: Peer, connection: Connection, token: str) -> tuple[Author, Role]:
    """The login name that the kernel attests: staff for who runs this process, else user."""
    del connection
    role = Role.STAFF if peer.uid in (0, os.getuid()) else Role.USER
    return Author(peer.name, "rpc", token), role


@dataclass(slots=True)
class _Sockets:
    """Of one open server."""

    context: zmq.Context[zmq.Socket[bytes]]
    requests: zmq.asyncio.Socket
    notifications: zmq.Socket[bytes]
    keys: zmq.asyncio.Socket | None
    door: zmq.asyncio.Socket
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class RpcServer:
    """Opened and used on one loop; `notify` there, too."""

    def __init__(
        self,
        verbs: Verbs,
        folder: Path,
        *,
        identify: Identify = by_credentials,
        inject: Inject | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Nothing opens yet.

        Args:
            verbs: what may be asked; `rpc/verbs` and `rpc/ping` are added.
            folder: of the sockets; its group may come in.
            identify: who a peer is.
            inject: opens the socket for raw text when given.
            limits: see `Limits`.
        """
        self.verbs = verbs
        self.folder = folder
        self.sent = 0
        self._identify, self._inject = identify, inject
        self._limits = limits or Limits()
        self._admission = Admission(folder)
        self._guests: dict[Connection, _Guest] = {}
        self._open_requests = 0
        self._of_processes: Counter[tuple[int, int]] = Counter()
        self._pool: ThreadPoolExecutor | None = None
        self._sockets: _Sockets | None = None
        verbs.add("rpc", _About(self))

    # -- opening and closing ----------------------------------------------------------------

    async def open(self) -> None:
        """Bind and begin. Raises: OSError, zmq.ZMQError."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._pool = ThreadPoolExecutor(self._limits.threads, thread_name_prefix="rpc")
        door = zmq.asyncio.Socket(context, zmq.REP)
        door.bind("inproc://zeromq.zap.01")
        requests = zmq.asyncio.Socket(context, zmq.ROUTER)
        notifications = context.socket(zmq.PUB)
        keys = zmq.asyncio.Socket(context, zmq.ROUTER) if self._inject else None
        self._sockets = _Sockets(context, requests, notifications, keys, door)
        self._start(self._watch_the_door(door))
        self._bind(requests, REQUESTS, self._limits.unread)
        self._bind(notifications, NOTIFICATIONS, self._limits.unread * 10, guarded=True)
        self._start(self._serve(requests, self._answer))
        if keys is not None:
            self._bind(keys, KEYS, self._limits.unread)
            self._start(self._serve(keys, self._type))
        self._start(self._say_alive())

    def _bind(self, made: Any, name: str, unread: int, guarded: bool = False) -> None:
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.SNDHWM, unread)
        made.setsockopt(zmq.RCVHWM, unread)
        made.setsockopt(zmq.MAXMSGSIZE, 4 * wire.MAX_REQUEST_BYTES)
        if guarded:
            made.setsockopt(zmq.ZAP_DOMAIN, b"undula")
        path = self.folder / name
        _refuse_living(path)
        bound = bind_for_group(path)
        bound.listen(128)
        made.setsockopt(zmq.USE_FD, bound.detach())  # libzmq owns it from here
        made.bind(f"ipc://{path}")

    def _start(self, work: Any) -> None:
        sockets = self._sockets
        if sockets is None:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        sockets.tasks.add(task)
        task.add_done_callback(sockets.tasks.discard)

    async def close(self) -> None:
        """End open requests, close the sockets, remove their files."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        tasks = list(sockets.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for made in (sockets.requests, sockets.notifications, sockets.keys, sockets.door):
            if made is not None:
                made.close(0)
        for name in (REQUESTS, NOTIFICATIONS, KEYS):
            (self.folder / name).unlink(missing_ok=True)
        sockets.context.term()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # -- notifications ----------------------------------------------------------------------

    def notify(self, message: Mapping[str, Any]) -> None:
        """Tell everybody who listens; `typ` must be its first key. On the loop, never waits."""
        sockets = self._sockets
        if sockets is None:
            return
        try:
            payload = wire.encode(message)
        except WireError:
            get_logger().exception("rpc_notification_unfit", typ=str(message.get("typ")))
            return
        self.sent += 1
        with suppress(zmq.Again):
            sockets.notifications.send(payload, zmq.NOBLOCK)

    async def _say_alive(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_S)
            self.notify({"typ": "rpc/alive", "sent": self.sent, "time": time.time()})

    # -- requests ---------------------------------------------------------------------------

    async def _serve(self, line: zmq.asyncio.Socket, answer: Any) -> None:
        while True:
            try:
                frames = await line.recv_multipart(copy=False)
            except zmq.ZMQError as exc:  # of one peer; the others go on
                get_logger().warning("rpc_not_received", why=str(exc))
                await asyncio.sleep(0.1)
                continue
            if 2 <= len(frames) <= 8:
                self._start(self._reply(line, frames, answer))

    async def _reply(self, line: zmq.asyncio.Socket, frames: list[Any], answer: Any) -> None:
        """One request; whatever happens, it gets exactly one reply."""
        envelope = [bytes(frame) for frame in frames[:-1]]
        payload = frames[-1].bytes
        try:
            peer = parse_address(str(frames[-1].get("Peer-Address")))
        except (UndulaError, zmq.ZMQError) as exc:
            await line.send_multipart([*envelope, wire.encode_error(None, exc)])
            return
        connection = (envelope[0], peer.uid, peer.pid)
        guest = self._guests.get(connection)
        if guest is None:
            guest = _Guest(asyncio.Semaphore(self._limits.threads_of_one))
            self._guests[connection] = guest
        guest.open_requests += 1
        self._open_requests += 1
        self._of_processes[peer.uid, peer.pid] += 1
        try:
            reply = await answer(payload, peer, connection, guest)
            await line.send_multipart([*envelope, reply])
        finally:
            self._open_requests -= 1
            self._of_processes[peer.uid, peer.pid] -= 1
            if not self._of_processes[peer.uid, peer.pid]:
                del self._of_processes[peer.uid, peer.pid]
            guest.open_requests -= 1
            if guest.open_requests == 0:
                self._guests.pop(connection, None)

    async def _answer(
        self, payload: bytes, peer: Peer, connection: Connection, guest: _Guest
    ) -> bytes:
        asked: wire.Asked | None = None
        try:
            peer = await self._admitted(peer, connection, guest)
            asked = await _decoded(payload)
            author, role = await self._identify(peer, connection, asked.token)
            ask = Ask(asked.typ, author, role, peer, connection)
            return await self._call(ask, asked, guest)
        except UndulaError as exc:
            return wire.encode_error(asked, exc)
        except Exception as exc:  # a verb's own fault: told to who asked, and kept in the log
            get_logger().exception("rpc_verb_failed", typ=asked.typ if asked else "?")
            return wire.encode_error(asked, exc)

    async def _admitted(self, peer: Peer, connection: Connection, guest: _Guest) -> Peer:
        if connection[0][:1] != b"\0":
            raise WireError(
                "this connection names itself (ZMQ_ROUTING_ID)",
                remedy="leave the routing id to ZeroMQ: with a chosen one, replies can be stolen",
            )
        limits, of_process = self._limits, self._of_processes[peer.uid, peer.pid]
        full = ""
        if guest.open_requests > limits.open_requests:
            full = f"{guest.open_requests - 1} of your requests are still open"
        elif of_process > limits.of_one_process:
            full = f"{of_process - 1} requests of your process are still open"
        elif self._open_requests > limits.all_open_requests:
            full = f"{self._open_requests - 1} requests of all programs are still open"
        if full:
            raise ZError("busy", full, remedy="wait for their replies")
        return await self._admission.admit(peer)

    async def _call(self, ask: Ask, asked: wire.Asked, guest: _Guest) -> bytes:
        found = self.verbs.find(asked.typ)
        found.check(ask)
        arguments = found.arguments(asked.fields)
        if found.is_async:
            return wire.encode_reply(asked, await found.call(ask, **arguments))
        async with guest.threads:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._pool, lambda: wire.encode_reply(asked, _for(ask, found.call, arguments))
            )

    async def _type(
        self, payload: bytes, peer: Peer, connection: Connection, guest: _Guest
    ) -> bytes:
        """Raw text for the prompt: nothing back when it was typed, otherwise why not."""
        try:
            if self._inject is None:
                raise AccessError(
                    "raw text is switched off", remedy="ask staff: rpc.raw in the settings"
                )
            peer = await self._admitted(peer, connection, guest)
            if len(payload) > wire.MAX_REQUEST_BYTES:
                raise WireError("the text is too long", remedy="send less at once")
            text = payload.decode("utf-8")
            await self._inject(text, *await self._identify(peer, connection, ""))
        except (UndulaError, UnicodeDecodeError) as exc:
            return str(exc).encode("utf-8", "backslashreplace")
        return b""

    # -- the door of the other sockets ------------------------------------------------------

    async def _watch_the_door(self, door: zmq.asyncio.Socket) -> None:
        """ZAP: libzmq asks for each new listener, with the address that holds its credentials."""
        while True:
            request = await door.recv_multipart()
            number, address = request[1], request[3].decode("utf-8", "replace")
            status, text, name = b"400", b"not of the beamline's group", b""
            try:
                peer = await self._admission.admit(parse_address(address))
                status, text, name = b"200", b"", peer.name.encode()
            except (UndulaError, OSError) as exc:
                get_logger().warning("rpc_listener_refused", address=address, why=str(exc))
            await door.send_multipart([b"1.0", number, status, text, name, b""])


async def _decoded(payload: bytes) -> wire.Asked:
    """The request; a long one is taken apart beside the loop. Raises: WireError."""
    if len(payload) > LONG_BYTES:
        return await asyncio.to_thread(wire.decode_request, payload)
    return wire.decode_request(payload)


def _for(ask: Ask, call: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a verb on this thread: what it asks of the beamline is asked for the author."""
    with acting_for(ask.author.name, ask.author.token):
        return call(ask, **arguments)


def _refuse_living(path: Path) -> None:
    """Raises: BusyError when somebody answers at this socket: only the dead are replaced."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise BusyError(f"another session answers at {path}", remedy="end it, or choose another name")


class _About:
    """`rpc/...`: the server about itself."""

    def __init__(self, server: RpcServer) -> None:
        self._server = server

    @verb()
    async def verbs(self, ask: Ask) -> dict[str, Any]:
        """All verbs: what each does, its fields as JSON schema."""
        del ask
        return self._server.verbs.table()

    @verb()
    async def ping(self, ask: Ask) -> dict[str, Any]:
        """The server's pid and clock, how many notifications it has sent, and who you are."""
        return {
            "pid": os.getpid(),
            "time": time.time(),
            "sent": self._server.sent,
            "user": ask.author.name,
            "role": str(ask.role),
        }
