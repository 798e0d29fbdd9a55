"""Open a terminal on the shared prompt of a beamline, until the person leaves it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from undula.client import Client
from undula.client.queue_text import held_up
from undula.core.clock import Deadline
from undula.core.errors import AccessError, ServiceError
from undula.core.settings import load_settings
from undula.session.bridge.log import read_log
from undula.session.display import wants_colour
from undula.session.kernel.places import KernelPlaces
from undula.session.terminal.beside import BusBeside
from undula.session.terminal.feed import harmless
from undula.session.terminal.front import Front
from undula.session.terminal.typing import TypingTold

GREETING = """Undula, {beamline}: the shared prompt. Others see what you run; Ctrl-D leaves.
Try: help    wa    scan(samx, -1, 1, 21, time=0.1)    scan?    runs
"""
LAST = 5
START_S = 30.0
"""The prompt comes up beside the services that measure, a little later."""


def last_commands(rows: list[dict[str, Any]]) -> str:
    """What was done before somebody joined, one line each.

    >>> print(last_commands([{"submitted": 0.0, "origin": "rpc", "author": "anna",
    ...     "line": "umv(M.samx, 1)", "status": "ok", "error": ""}])[8:], end="")
     <rpc:anna> umv(M.samx, 1)  ok
    """
    text = ""
    for row in rows:
        when = time.strftime("%H:%M:%S", time.localtime(row["submitted"]))
        ended = row["error"] or row["status"]
        first = harmless(row["line"].splitlines()[0][:100]) if row["line"] else ""
        text += f"{when} <{row['origin']}:{row['author']}> {first}  {ended}\n"
    return text


def _token(client: Client) -> str:
    """The token of whoever is logged in, read anew for every line; "" without one that is safe."""
    try:
        return client.link.token().reveal()
    except AccessError:
        return ""  # the prompt says that somebody has to log in


def open_terminal(client: Client, *, plot: bool = True, why_died: Callable[[], str] = str) -> int:
    """The prompt until the person leaves. Returns the exit code.

    Raises: ServiceError when there is no shared prompt.
    """
    if client.paths is None:
        raise ServiceError("this client has no beamline", remedy="connect to one by its name")
    paths, user = client.paths, client.link.user
    colour = wants_colour(sys.stdout)
    places = KernelPlaces.of(paths)
    rows = read_log(paths.commands, LAST)
    held = "".join(f"{line}\n" for line in held_up(client.queue.last))
    greeting = GREETING.format(beamline=paths.name) + held + last_commands(rows)
    running = {r["id"]: f"{r['origin']}:{r['author']}" for r in rows if r["status"] == "open"}
    shown = load_settings(paths.config).status_bar
    typing = TypingTold(paths.run, client)
    beside = BusBeside(client, why_died=why_died, typing=typing, colour=colour, shown=shown)
    history = paths.state / f"history-{user}" if os.access(paths.state, os.W_OK) else None

    if places.holder() is None:
        sys.stdout.write("waiting for the shared prompt to start ...\n")
        deadline = Deadline(START_S)
        while not places.connection.exists() and not deadline.passed:
            time.sleep(0.05)  # between two looks

    async def serve() -> int:
        front = Front(
            places,
            user,
            beside,
            history=history,
            colour=colour,
            plot=plot,
            token=lambda: _token(client),
        )
        return await front.run(greeting, running)

    try:
        return asyncio.run(serve())
    finally:
        beside.close()
        typing.close()
