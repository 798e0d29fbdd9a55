"""A real RPC server on its own loop in a thread, with a small namespace of verbs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from undula.core.errors import LimitError
from undula.core.roles import Role
from undula.session.rpc.client import RpcClient
from undula.session.rpc.errors import ZError
from undula.session.rpc.server import Limits, RpcServer
from undula.session.rpc.verbs import Ask, Verbs, verb
from undula.testing.beamline import short_folder

LIMITS = Limits(open_requests=8, of_one_process=20, threads=4, threads_of_one=2)


class Small:
    """Verbs that answer, wait, fail, and tell who asks."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.seen: list[Any] = []

    @verb()
    def keys(self, ask: Ask, path: str) -> list[str]:
        return [f"{path}.m1", f"{path}.m2"]

    @verb()
    def fail(self, ask: Ask, how: str = "exc") -> Any:
        if how == "zerror":
            raise ZError("error", "description")
        if how == "limit":
            raise LimitError("31 mm is above 30 mm", remedy="stay inside", device="samx")
        return 1 / 0

    @verb()
    def echo(self, ask: Ask, value: Any = None) -> Any:
        return value

    @verb()
    def block(self, ask: Ask) -> str:
        assert self.open.wait(30)
        return "done"

    @verb()
    async def wait(self, ask: Ask) -> str:
        while not self.open.is_set():
            await asyncio.sleep(0.01)
        return "done"

    @verb()
    async def who(self, ask: Ask) -> list[Any]:
        return [ask.author.name, ask.author.origin, ask.peer.uid, ask.peer.pid, ask.author.token]

    @verb()
    def odd(self, ask: Ask) -> Any:
        return object()

    @verb()
    def secret(self, ask: Ask, name: str, password: str) -> None:
        self.seen.append((name, password))

    @verb(needs=Role.STAFF)
    async def for_staff(self, ask: Ask) -> str:
        return "yes"


class Running:
    """A server and what its tests need of it."""

    def __init__(self, server: RpcServer, small: Small, loop: asyncio.AbstractEventLoop) -> None:
        self.server, self.small, self.loop = server, small, loop
        self.folder = server.folder

    def notify(self, **message: Any) -> None:
        done = threading.Event()

        def tell() -> None:
            self.server.notify(message)
            done.set()

        self.loop.call_soon_threadsafe(tell)
        assert done.wait(60.0)

    def plain(self, context: zmq.Context[Any], kind: int = zmq.REQ) -> zmq.Socket[bytes]:
        """A socket of plain pyzmq on the request socket."""
        made = context.socket(kind)
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.RCVTIMEO, 20_000)
        made.connect(f"ipc://{self.folder}/rpc.sock")
        return made


@contextlib.contextmanager
def running(folder: Path, **options: Any) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    verbs, small = Verbs(), Small()
    verbs.add("dev", small)
    server = RpcServer(verbs, folder, **options)
    asyncio.run_coroutine_threadsafe(server.open(), loop).result(60.0)
    try:
        yield Running(server, small, loop)
    finally:
        small.open.set()
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(60.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60.0)
        loop.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder("ur-") as made:
        yield made


@pytest.fixture
def rpc(folder: Path) -> Iterator[Running]:
    with running(folder, limits=LIMITS) as made:
        yield made


@pytest.fixture
def start(folder: Path) -> Callable[..., Any]:
    """Start a server with other options."""
    return lambda **options: running(folder, **options)


@pytest.fixture
def client(rpc: Running) -> Iterator[RpcClient]:
    with RpcClient(rpc.folder) as made:
        yield made


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(linger=0)


def soon(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)  # between two looks
