"""`server_start(M, D, RE)`: requests, replies and notifications inside a plain IPython.

In: the user's groups of devices and RunEngine. Out: a `PlainSession`, with its sockets in a folder
for the user's group. Its loop runs on a thread of its own; the prompt stays the person's.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from undula.core import log
from undula.core.errors import InputError, UndulaError
from undula.core.paths import beamline_paths
from undula.session.bridge.bridge import SessionBridge
from undula.session.plain.devices import PlainDevices
from undula.session.plain.engine import PlainScans
from undula.session.plain.names import Names
from undula.session.plain.prompt import PlainPrompt
from undula.session.rpc.service import RpcOptions, RpcService

START_S = 20.0

_open: dict[int, PlainSession] = {}
"""The session of each IPython."""


class PlainSession:
    """What `server_start` returns: where the sockets are, and how to end it."""

    def __init__(self, shell: Any, engine: Any, groups: list[str], options: RpcOptions) -> None:
        self.name = options.name
        self.folder = _folder(options.name)
        self._shell = shell
        self._loop = asyncio.new_event_loop()
        self.names = Names(shell.user_ns, groups, say)
        self.names.adopt()
        self._prompt = PlainPrompt(shell, self._loop)
        self.bridge = SessionBridge(self._prompt, typing_guard=True)
        self._scans = PlainScans(
            engine, _name_of(shell, engine, "RE"), self.names, self._prompt, self._loop
        )
        devices = PlainDevices(self.names, lambda: engine.loop)
        self._rpc = RpcService(self.folder, self.bridge, devices, self._scans, options)
        self._thread = threading.Thread(target=self._run, name="undula-rpc", daemon=True)
        self._closed = False
        self._told = ""

    def open(self) -> None:
        """Begin. Raises: BusyError when another session answers there; OSError."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._rpc.open(), self._loop).result(START_S)
        except BaseException:  # whatever it is, it goes on to the caller
            self._end_loop()
            raise
        self._prompt.tell(self.bridge, self.bridge.typing)
        self._scans.start(self.bridge, self._rpc.server.notify)
        self._shell.events.register("post_run_cell", self._look_again)
        for fault in self._rpc.faults:
            say(fault)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _look_again(self, _: Any) -> None:
        """Devices may have been added by the cell that has just ended."""
        try:
            self.names.adopt()
            self._told = ""
        except UndulaError as error:
            if self._told != str(error):
                self._told = str(error)
                say(self._told)

    def close(self) -> None:
        """End it; IPython goes on as before."""
        if self._closed:
            return
        self._closed = True
        self._shell.events.unregister("post_run_cell", self._look_again)
        self._prompt.close()
        self._scans.close()
        asyncio.run_coroutine_threadsafe(self._rpc.close(), self._loop).result(START_S)
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.names.devices())} devices"
        return f"<RPC of {self.name}: {self.folder / 'rpc.sock'}, {state}>"


def server_start(
    M: Any,  # noqa: N803  # the paper's names
    D: Any,  # noqa: N803  # as above
    RE: Any,  # noqa: N803  # as above
    *,
    name: str | None = None,
    raw: bool = False,
    code: Sequence[str] = ("user",),
    plugins: Sequence[str] = (),
) -> PlainSession:
    """Answer requests of programs inside this IPython: `U = server_start(M, D, RE)`.

    Args:
        M: motors, as a namespace with attributes; known as `M` at the prompt.
        D: detectors, likewise `D`.
        RE: the RunEngine.
        name: by which clients find it, `run_folder(name)`; by default `ipython-PID`.
        raw: open the socket for raw text of the paper's Figure 3(d), for yourself only.
        code: who may send code: names, or `user` for everybody of the folder's group.
        plugins: further namespaces of verbs, `NAMESPACE=module:factory`.

    A device named by its path, `name="M.m1"`, is renamed without the dot; the path stays. Devices
    may be added to M and D later. Raises: InputError where this is no IPython in a terminal, or a
    path does not lead to its device; BusyError when another session has that name.
    """
    shell = _shell()
    for group, given in (("M", M), ("D", D)):
        if shell.user_ns.get(group, given) is not given:
            raise InputError(
                f"{group} at the prompt is another object than the one given",
                remedy=f"give {group} there this value first",
            )
        shell.user_ns.setdefault(group, given)
    options = RpcOptions(
        name=name or f"ipython-{os.getpid()}", code=tuple(code), raw=raw, plugins=tuple(plugins)
    )
    session = PlainSession(shell, RE, ["M", "D"], options)
    before = _open.pop(id(shell), None)  # ended only when the new one can begin
    if before is not None:
        before.close()
    log.configure("rpc", None)  # its events must not be printed across the prompt
    session.open()
    _open[id(shell)] = session
    atexit.register(session.close)
    say(f"requests of programs are answered at {session.folder / 'rpc.sock'}")
    return session


def say(text: str) -> None:
    """Tell the person at the prompt."""
    sys.stdout.write(f"undula: {text}\n")
    sys.stdout.flush()


def _shell() -> Any:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise InputError(
            "this is no IPython", remedy="start ipython and run your script there: %run -i FILE"
        )
    return shell


def _name_of(shell: Any, wanted: object, default: str) -> str:
    return next((n for n, v in shell.user_ns.items() if v is wanted and n[:1] != "_"), default)


def _folder(name: str) -> Path:
    """The folder of the sockets: found by the name, for the user's group only (2770)."""
    folder = beamline_paths(name).run
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder} was made by somebody else", remedy="choose another name")
    folder.chmod(0o2770)
    return folder
