"""A client of the RPC for Python programs: light, synchronous, with deadlines.

In: verbs and fields. Out: results, `ZError`s, notifications. Needs pyzmq and nothing of the
server. Called by: GUIs and scripts. Other languages: `docs/reference/rpc.md`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

from undula.core.errors import OutcomeUnknownError, WireError
from undula.core.paths import beamline_paths, default_beamline
from undula.session.rpc import wire
from undula.session.rpc.errors import ZError

REQUESTS, NOTIFICATIONS = "rpc.sock", "rpc-notify.sock"
POLL_MS = 100

Notification = dict[str, Any]

__all__ = ["Listener", "Notification", "RpcClient", "ZError", "run_folder"]


def run_folder(beamline: str | None = None) -> Path:
    """The folder of a beamline's sockets on this host."""
    return beamline_paths(beamline or default_beamline()).run


class RpcClient:
    """One connection; safe to use from several threads, one request at a time.

    Args:
        folder: of the sockets; None: those of `$UNDULA_BEAMLINE`, else of `default`.
        timeout_s: how long a reply is waited for, unless `call` is told otherwise.

    Notifications come after `listen()`. A server that was started anew is found again by itself;
    a log in is repeated by who logged in.
    """

    def __init__(self, folder: Path | None = None, *, timeout_s: float = 10.0) -> None:
        self.folder = folder or run_folder()
        self.timeout_s = timeout_s
        self.token = ""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._socket = self._dealer()

    def _dealer(self) -> zmq.Socket[bytes]:
        made = self._context.socket(zmq.DEALER)
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.RECONNECT_IVL, 20)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        made.connect(f"ipc://{self.folder / REQUESTS}")
        return made

    def call(self, typ: str, *, timeout_s: float | None = None, **fields: Any) -> Any:
        """The result of one request: `call("dev/keys", path="M")`.

        Raises: ZError with the server's code, text and remedy; OutcomeUnknownError when no reply
        came in time (it may have been carried out); WireError when the reply is none.
        """
        request: dict[str, Any] = {"typ": typ, "req": next(self._numbers)} | fields
        if self.token and "token" not in fields:
            request["token"] = self.token
        payload = wire.encode(request)
        wait_s = self.timeout_s if timeout_s is None else timeout_s
        with self._lock:
            return wire.result_of(self._exchange(typ, request["req"], payload, wait_s))

    def _exchange(self, typ: str, number: int, payload: bytes, wait_s: float) -> Notification:
        end = time.monotonic() + wait_s
        self._socket.send(payload)
        while (left_s := end - time.monotonic()) > 0:
            if self._socket.poll(min(int(left_s * 1000) + 1, 60_000)):
                reply = wire.decode(self._socket.recv(), 2 * wire.MAX_REPLY_BYTES)
                if reply.get("req", number) == number:  # an older one's came after its deadline
                    return reply
        self._socket.close(0)  # what was not sent yet must not be sent later
        self._socket = self._dealer()
        raise OutcomeUnknownError(
            f"no reply to {typ} within {wait_s:g} s",
            remedy="look whether it was done before you ask again; does the session run? "
            "undula status",
            where=str(self.folder / REQUESTS),
        )

    def log_in(self, name: str, password: str) -> dict[str, Any]:
        """Log in; later requests of this client are that person's."""
        result: dict[str, Any] = self.call("auth/login", name=name, password=password)
        self.token = result["token"]
        return result

    def log_out(self) -> None:
        """Log out."""
        self.call("auth/logout")
        self.token = ""

    def listen(
        self, *typs: str, callback: Callable[[Notification], None] | None = None
    ) -> Listener:
        """Notifications from now on: `for n in client.listen("scan/", "cmd/finished"): ...`.

        Args:
            typs: beginnings of `typ`; none: all.
            callback: called with each, on a thread of its own, instead of iterating.
        """
        return Listener(self._context, self.folder, typs, callback)

    def close(self) -> None:
        """Close; listeners must be closed before."""
        self._socket.close(0)
        self._context.term()

    def __enter__(self) -> RpcClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Listener:
    """Notifications: an iterator, or a thread that calls back."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        folder: Path,
        typs: tuple[str, ...],
        callback: Callable[[Notification], None] | None = None,
    ) -> None:
        self._closed = threading.Event()
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        for typ in typs or ("",):
            self._socket.subscribe(f'{{"typ": "{typ}'.encode() if typ else b"")
        self._socket.connect(f"ipc://{folder / NOTIFICATIONS}")
        self._thread: threading.Thread | None = None
        if callback is not None:
            self._thread = threading.Thread(
                target=self._run, args=(callback,), name="rpc-listener", daemon=True
            )
            self._thread.start()

    def next(self, timeout_s: float) -> Notification | None:
        """The next one; None when there was none within `timeout_s` seconds."""
        end = time.monotonic() + timeout_s
        while not self._closed.is_set():
            left_ms = max(0, int((end - time.monotonic()) * 1000))
            if self._socket.poll(min(left_ms, POLL_MS)):
                return wire.decode(self._socket.recv(), 2 * wire.MAX_REPLY_BYTES)
            if left_ms == 0:
                return None
        return None

    def __iter__(self) -> Iterator[Notification]:
        while not self._closed.is_set():
            found = self.next(1.0)
            if found is not None:
                yield found

    def _run(self, callback: Callable[[Notification], None]) -> None:
        while not self._closed.is_set():
            try:
                found = self.next(1.0)
            except WireError:
                continue
            if found is not None:
                callback(found)
        self._socket.close(0)

    def close(self) -> None:
        """Hear no more."""
        self._closed.set()
        if self._thread is None:
            self._socket.close(0)
        elif self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
