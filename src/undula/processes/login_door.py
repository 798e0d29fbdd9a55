"""The door where people log in: a Unix socket of the beamline's group, in the engine's process.

In: one line of JSON a connection, `{"do": "login", "name": ..., "password": ...}`, `logout` and
`whoami` with a `token`, `password` with `name`, `old`, `new`. Out: one line of JSON, the result or
`{"error": ...}`. Logged is who came and how it ended, never what was sent.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from undula.core.access import Access
from undula.core.errors import AccessError, InputError, UndulaError
from undula.core.log import get_logger
from undula.core.secret import Secret
from undula.core.tokens import Claims, claims_of
from undula.core.unix_socket import bind_for_group, peer_of
from undula.messages.errors import ErrorReport

MAX_LINE = 16_384
MAX_VISITORS = 16
SPEAK_WITHIN_S = 5.0
NAME_SHOWN = 64


class LoginDoor:
    """Listens for the life of the engine; a few visitors at once, one password at a time."""

    def __init__(self, path: Path, access: Access) -> None:
        self._path = path
        self._access = access
        self._closing = False
        self._visitors = threading.BoundedSemaphore(MAX_VISITORS)
        self._socket = bind_for_group(path)
        self._socket.listen(MAX_VISITORS)
        threading.Thread(target=self._serve, name="login", daemon=True).start()

    def _serve(self) -> None:
        while not self._closing:
            self._visitors.acquire()
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                self._visitors.release()
                if self._closing or self._socket.fileno() < 0:
                    return
                time.sleep(0.05)  # e.g. no file descriptor left: the next one may find some
                continue
            threading.Thread(target=self._attend, args=(visitor,), daemon=True).start()

    def _attend(self, visitor: socket.socket) -> None:
        try:
            with visitor, contextlib.suppress(OSError):  # a visitor who leaves early
                line = _line(visitor)
                visitor.sendall(json.dumps(self._answer(line, peer(visitor))).encode() + b"\n")
        finally:
            self._visitors.release()

    def _answer(self, line: bytes, who: dict[str, int]) -> dict[str, Any]:
        try:
            return self._do(_words(line), who)
        except UndulaError as error:
            return {"error": ErrorReport.of(error).model_dump()}
        except Exception as exc:  # its text may quote what was sent: only its kind is told
            get_logger().error("door_failed", error=type(exc).__name__, **who)
            failed = UndulaError("the door failed", remedy="see undula logs engine")
            return {"error": ErrorReport.of(failed).model_dump()}

    def _do(self, words: dict[str, Any], who: dict[str, int]) -> dict[str, Any]:
        match words:
            case {"do": "login", "name": str(name), "password": Secret() as password}:
                return self._login(name, password, who)
            case {"do": "logout", "token": Secret() as token}:
                claims = self._access.logout(token)
                get_logger().info("logged_out", user=claims.user, **who)
                return {"user": claims.user}
            case {"do": "whoami", "token": Secret() as token}:
                return self._whoami(token)
            case {
                "do": "password",
                "name": str(name),
                "old": Secret() as old,
                "new": Secret() as new,
            }:
                self._access.users.verify(name, old)
                self._access.users.set_password(name, new)
                get_logger().info("password_changed", user=name[:NAME_SHOWN], **who)
                return {"user": name}
        raise InputError("the door does not understand this", remedy="use undula login")

    def _login(self, name: str, password: Secret, who: dict[str, int]) -> dict[str, Any]:
        try:
            token = self._access.login(name, password)
        except AccessError as error:
            # the name may be a password typed at the wrong prompt: only names that exist are told
            known = self._access.users.exist and self._access.users.find(name) is not None
            user = name if known else "unknown"
            get_logger().warning("log_in_refused", user=user, why=error.category, **who)
            raise
        claims = claims_of(token)
        get_logger().info("logged_in", user=claims.user, role=str(claims.role), **who)
        return {"token": token.reveal(), "user": claims.user, "role": str(claims.role)}

    def _whoami(self, token: Secret) -> dict[str, Any]:
        if not self._access.required:
            return {"required": False}
        if not token:
            raise AccessError("you are not logged in", remedy="log in: undula login NAME")
        return {"required": True, "claims": _plain(self._access.claims(token))}

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)


def peer(visitor: socket.socket) -> dict[str, int]:
    """Who is at the other end, for the log."""
    pid, uid = peer_of(visitor)
    return {"peer_pid": pid, "peer_uid": uid}


def _line(visitor: socket.socket) -> bytes:
    """What a visitor says until the end of the line, within a bound of bytes and of time."""
    end, heard = time.monotonic() + SPEAK_WITHIN_S, b""
    while b"\n" not in heard and len(heard) <= MAX_LINE:
        visitor.settimeout(max(0.001, end - time.monotonic()))
        more = visitor.recv(MAX_LINE)
        if not more:
            break
        heard += more
    visitor.settimeout(SPEAK_WITHIN_S)
    return heard


def _words(line: bytes) -> dict[str, Any]:
    """The words of a line, secrets hidden from now on."""
    try:
        words = json.loads(line) if len(line) <= MAX_LINE else None
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, dict):
        return {}
    secrets = ("password", "token", "old", "new")
    return {
        str(key): Secret(value) if key in secrets and isinstance(value, str) else value
        for key, value in words.items()
    }


def _plain(claims: Claims) -> dict[str, Any]:
    return {**asdict(claims), "role": str(claims.role)}
