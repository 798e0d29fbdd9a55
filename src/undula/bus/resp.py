"""Room: the message bus. One connection to a Redis or Valkey server, in its protocol RESP2.

In: commands as tuples. Out: raw replies; refusals and lost connections as exceptions of this
module. Called by: `link`. Over hiredis, which packs and parses. The redis package would do the same
and be three quarters of what a process of the bus imports: 0.3 s of CPU and 10 MB each.
Not here: sending again, several connections, errors in words (`link`).
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import hiredis

Part = str | bytes | int | float
Command = tuple[Part, ...]
PORT = 6379
READ_BYTES = 1 << 16
JOINED_BYTES = 1 << 16
"""Longer commands are sent one by one: their payloads are not copied once more."""
_NOT_YET = object()


class RespError(Exception):
    """Anything that goes wrong on the way to the server or is refused by it."""


class LostError(RespError):
    """There is no connection, or the server lets nobody in."""


class NoAnswerError(RespError):
    """The server did not connect or answer within the time."""


class AuthenticationError(LostError):
    """User or password are wrong, or missing."""


class LoadingError(LostError):
    """The server is just starting: it still reads its file."""


class RefusedError(RespError):
    """The server answers a command with an error."""


class NoPermissionError(RefusedError):
    """This user may not do it."""


class OutOfMemoryError(RefusedError):
    """The server is full."""


_KINDS: dict[str, type[RespError]] = {
    "WRONGPASS": AuthenticationError,
    "NOAUTH": AuthenticationError,
    "LOADING": LoadingError,
    "NOPERM": NoPermissionError,
    "OOM": OutOfMemoryError,
    "ERR": RefusedError,
    "EXECABORT": RefusedError,
    "READONLY": RefusedError,
}
"""The first word of a refusal, which is taken off; any other refusal is kept whole."""
_ERR_KINDS: tuple[tuple[str, type[RespError]], ...] = (
    ("max number of clients reached", LostError),
    ("invalid password", AuthenticationError),
    ("Client sent AUTH, but no password is set", AuthenticationError),
    ("AUTH <password> called without any password", AuthenticationError),
)


def refusal(text: str) -> RespError:
    """What the server said after the minus sign, as an exception.

    >>> refusal("NOPERM this user has no permissions")
    NoPermissionError('this user has no permissions')
    >>> refusal("MISCONF Errors writing to the AOF file")
    RefusedError('MISCONF Errors writing to the AOF file')
    """
    word, _, rest = text.partition(" ")
    if word not in _KINDS:
        return RefusedError(text)
    kind = _KINDS[word]
    if word == "ERR":
        kind = next((made for begin, made in _ERR_KINDS if rest.startswith(begin)), kind)
    return kind(rest)


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how to log in.

    `path` is that of a Unix socket, '' for TCP. `cafile`, `certfile` and `keyfile` are for TLS;
    `verify` and `hostname`: whether its certificate, and the name in it, are checked.
    """

    path: str = ""
    host: str = "localhost"
    port: int = PORT
    db: int = 0
    user: str | None = None
    password: str | None = None
    tls: bool = False
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    verify: bool = True
    hostname: bool = True


def parse_url(url: str, default: Target) -> Target:
    """The server that a redis://, rediss:// or unix:// URL means; `default` is who logs in.

    Raises: ValueError for another scheme, port or option.

    >>> parse_url("redis://eva:open%20sesame@there:6380/2", Target()).password
    'open sesame'
    >>> parse_url("unix:///run/valkey.sock?db=1", Target()).path
    '/run/valkey.sock'
    """
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(f"unknown scheme {parts.scheme!r}")
    found = default
    if parts.username:
        found = replace(found, user=unquote(parts.username))
    if parts.password:
        found = replace(found, password=unquote(parts.password))
    if parts.scheme == "unix":
        found = replace(found, path=unquote(parts.path))
    else:
        host = unquote(parts.hostname or "localhost")
        found = replace(found, host=host, port=parts.port or PORT, tls=parts.scheme == "rediss")
        if parts.path.strip("/"):
            found = replace(found, db=int(unquote(parts.path).replace("/", "")))
    for name, value in parse_qsl(parts.query, strict_parsing=bool(parts.query)):
        found = _with_option(found, name, value)
    return found


def _with_option(target: Target, name: str, value: str) -> Target:
    changes: dict[str, Any]
    match name:
        case "db":
            changes = {"db": int(value)}
        case "username":
            changes = {"user": value}
        case "password":
            changes = {"password": value}
        case "ssl_ca_certs":
            changes = {"cafile": value}
        case "ssl_certfile":
            changes = {"certfile": value}
        case "ssl_keyfile":
            changes = {"keyfile": value}
        case "ssl_cert_reqs" if value in ("none", "required"):
            changes = {"verify": value == "required"}
        case "ssl_check_hostname":
            changes = {"hostname": value.lower() in ("true", "1", "yes")}
        case _:
            raise ValueError(f"unknown option {name!r}")
    return replace(target, **changes)


class Connection:
    """One connection; made when it is first needed. Not thread-safe. Replies are raw.

    Args:
        answer_timeout_s: so long one write or one reply may take.
    """

    def __init__(
        self, target: Target, client_name: str, *, answer_timeout_s: float, connect_timeout_s: float
    ) -> None:
        self._target, self._client_name = target, client_name
        self._answer_timeout_s, self._connect_timeout_s = answer_timeout_s, connect_timeout_s
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        self._place = target.path or f"{target.host}:{target.port}"

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._socket is not None

    def fileno(self) -> int:
        """Its socket's. Raises: LostError when there is none."""
        if self._socket is None:
            raise LostError("not connected")
        return self._socket.fileno()

    def connect(self) -> None:
        """Connect and log in; nothing when that was done. Raises: LostError, NoAnswerError."""
        if self._socket is not None:
            return
        try:
            self._socket = self._open()
        except TimeoutError as exc:
            raise NoAnswerError(f"timeout while connecting to {self._place}") from exc
        except OSError as exc:
            why = exc.strerror or exc
            raise LostError(f"error {exc.errno} connecting to {self._place}: {why}") from exc
        self._reader = hiredis.Reader(
            protocolError=LostError, replyError=refusal, notEnoughData=_NOT_YET
        )
        try:
            self._greet()
        except BaseException:  # whatever it is, it goes on to the caller
            self.disconnect()
            raise

    def _open(self) -> socket.socket:
        target = self._target
        if target.path:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                made.settimeout(self._connect_timeout_s)
                made.connect(target.path)
            except BaseException:
                made.close()
                raise
        else:
            made = socket.create_connection((target.host, target.port), self._connect_timeout_s)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if target.tls:
                try:
                    made = _tls(target).wrap_socket(made, server_hostname=target.host)
                except BaseException:
                    made.close()
                    raise
        made.settimeout(self._answer_timeout_s)
        return made

    def _greet(self) -> None:
        target = self._target
        if target.user or target.password:
            who = (target.user,) if target.user else ()
            self.send([("AUTH", *who, target.password or "")])
            try:
                self.read()
            except RefusedError as exc:  # e.g. a server that knows no users
                raise AuthenticationError(str(exc)) from exc
        if self._client_name:
            self.send([("CLIENT", "SETNAME", self._client_name)])
            self.read()
        if target.db:
            self.send([("SELECT", target.db)])
            self.read()

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands, connected first where need be. Raises: LostError, NoAnswerError."""
        self.connect()
        packed = [hiredis.pack_command(c) for c in commands]  # type: ignore[arg-type]  # its stub
        if sum(map(len, packed)) <= JOINED_BYTES:
            packed = [b"".join(packed)]
        self._write(packed)

    def _write(self, packed: Iterable[bytes]) -> None:
        try:
            for piece in packed:
                self._connected().sendall(piece)
        except TimeoutError as exc:
            self.disconnect()
            raise NoAnswerError("timeout while writing") from exc
        except OSError as exc:
            self.disconnect()
            raise LostError(f"error {exc.errno} while writing: {exc.strerror or exc}") from exc
        except BaseException:  # half a command may be out: nothing else may follow it
            self.disconnect()
            raise

    def read(self) -> Any:
        """The next reply. Raises: what the server refuses, as `refusal`; LostError, NoAnswerError.

        A refusal inside a list stays in its place there.
        """
        try:
            reply = self._reader.gets()
            while reply is _NOT_YET:
                raw = self._connected().recv(READ_BYTES)
                if not raw:
                    raise LostError("connection closed by the server")
                self._reader.feed(raw)
                reply = self._reader.gets()
        except TimeoutError as exc:
            self.disconnect()
            raise NoAnswerError("timeout while reading") from exc
        except OSError as exc:
            self.disconnect()
            raise LostError(f"error {exc.errno} while reading: {exc.strerror or exc}") from exc
        except BaseException:  # what comes next would be taken for the answer to something else
            self.disconnect()
            raise
        if isinstance(reply, RespError):
            raise reply
        return reply

    def can_read(self, timeout_s: float) -> bool:
        """Whether something has come, the end of the connection included, within the time."""
        self.connect()
        used = self._connected()
        if self._reader.has_data() or (isinstance(used, ssl.SSLSocket) and used.pending()):
            return True
        poll = select.poll()
        poll.register(used, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise LostError("not connected")
        return self._socket

    def disconnect(self) -> None:
        """End it; nothing when there is none."""
        ended, self._socket = self._socket, None
        if ended is not None:
            with suppress(OSError):
                ended.shutdown(socket.SHUT_RDWR)
            ended.close()


def _tls(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.cafile)
    context.check_hostname = target.verify and target.hostname
    context.verify_mode = ssl.CERT_REQUIRED if target.verify else ssl.CERT_NONE
    if target.certfile:
        context.load_cert_chain(target.certfile, target.keyfile)
    return context
