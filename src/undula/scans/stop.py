"""The stop path: its own socket and thread, needing neither broker nor RunEngine.

`stop()` is called on every touched device, each in its own thread, so that one hanging driver
does not keep the others moving. One line in (`stop NAME`, who asks), one JSON line out.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undula.core.log import get_logger
from undula.core.unix_socket import bind_for_group

ANSWER_WITHIN_S = 0.5


def stop_call(obj: Any) -> Any:
    """Call `stop()` of one device; what it returns, a coroutine for asynchronous ones."""
    stop = getattr(obj, "stop", None)
    if stop is None:
        return None
    takes_success = "success" in inspect.signature(stop).parameters
    return stop(success=False) if takes_success else stop()


def stop_device(obj: Any, loop: asyncio.AbstractEventLoop | None) -> None:
    """Stop one device from any thread but the loop's. Raises what the device raises."""
    if inspect.iscoroutinefunction(getattr(obj, "stop", None)) and loop is None:
        raise RuntimeError("it can be stopped from a running loop only")
    result = stop_call(obj)
    if asyncio.iscoroutine(result) and loop is not None:
        asyncio.run_coroutine_threadsafe(result, loop).result(ANSWER_WITHIN_S)


def stop_all(
    objects: dict[str, Any], loop: asyncio.AbstractEventLoop | None
) -> tuple[list[str], dict[str, str]]:
    """Stop all at once; names that were stopped, and name to error for the others."""
    errors: dict[str, str] = {}
    done: set[str] = set()

    def work(name: str, obj: Any) -> None:
        try:
            stop_device(obj, loop)
        except Exception as exc:  # a driver may raise anything; the others must be stopped too
            errors[name] = f"{type(exc).__name__}: {exc}"
        done.add(name)

    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in objects.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + ANSWER_WITHIN_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    failed = {
        n: errors.get(n, f"no answer within {ANSWER_WITHIN_S} s")
        for n in objects
        if n in errors or n not in done
    }
    return [n for n in objects if n not in failed], failed


class StopServer:
    """Listens on the stop socket for the life of the engine; `stop(by)` stops all motion."""

    def __init__(self, path: Path, stop: Callable[[str], tuple[list[str], dict[str, str]]]) -> None:
        self._path = path
        self._stop = stop
        self._closing = False
        self._socket = bind_for_group(path)
        self._socket.listen(16)
        self._thread = threading.Thread(target=self._serve, name="stop", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._socket.fileno() < 0 or self._closing:
                    return
                time.sleep(0.05)  # e.g. no file descriptor left: the next one may find some
                continue
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(ANSWER_WITHIN_S)
            try:
                self._answer(connection)
            except Exception:  # whatever happens to one caller, the next must be served
                get_logger().exception("stop_failed")

    def _answer(self, connection: socket.socket) -> None:
        word, _, by = connection.recv(128).partition(b" ")
        if word.strip() != b"stop":
            connection.sendall(b'{"error": "send the line: stop NAME"}\n')
            return
        stopped, failed = self._stop(by.decode("utf-8", "replace").strip() or "somebody")
        connection.sendall(json.dumps({"stopped": stopped, "failed": failed}).encode() + b"\n")
        get_logger().warning("motion_stopped", stopped=stopped, failed=failed)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
