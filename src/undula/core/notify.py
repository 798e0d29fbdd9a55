"""Word from a service to its supervisor: ready, alive, busy with.

In: what a service says. Out: one datagram each on the Unix socket named by `UNDULA_NOTIFY`, a JSON
object with `service` (from `UNDULA_SERVICE`), `pid`, `kind` and `text`. Without both variables
nothing is sent. The path is looked up at each call, so a supervisor that died and came back hears
the services it adopted. Nothing here raises or waits: a full or absent socket drops the word.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from typing import Literal

SOCKET_VARIABLE = "UNDULA_NOTIFY"
SERVICE_VARIABLE = "UNDULA_SERVICE"
FRESH_VARIABLE = "UNDULA_FRESH_START"
"""Given by the supervisor to the services that come up with the beamline."""
MAX_TEXT = 500

Kind = Literal["ready", "heartbeat", "status"]


def _send(kind: Kind, text: str) -> None:
    path = os.environ.get(SOCKET_VARIABLE)
    name = os.environ.get(SERVICE_VARIABLE)
    if not path or not name:
        return
    word = {"service": name, "pid": os.getpid(), "kind": kind, "text": text[:MAX_TEXT]}
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(json.dumps(word).encode(), path)


def fresh_start() -> bool:
    """Whether this service comes up with the beamline, and is not started again."""
    return bool(os.environ.get(FRESH_VARIABLE))


def ready(text: str = "") -> None:
    """Say that this service now does its work; the services that need it may start."""
    _send("ready", text)


def heartbeat(text: str = "") -> None:
    """Say that this service lives, about once a second; `text` is shown by `undula status`."""
    _send("heartbeat", text)


def status(text: str) -> None:
    """Say what this service is busy with, for instance why it is not ready yet."""
    _send("status", text)
