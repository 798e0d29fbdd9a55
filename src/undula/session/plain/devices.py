"""The user's own ophyd devices for the verbs; see `session.rpc.ports.Devices`.

In: `Names`. Out: plain data. Blocks, on the server's threads. ophyd-async devices are asked on the
RunEngine's loop. Twin: `session.rpc.beamline.ClientDevices`.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from undula.core.errors import DeviceError, InputError, UndulaError
from undula.session.plain.names import Names
from undula.session.rpc.ports import Fields

ANSWER_S = 10.0


class PlainDevices:
    """Devices in the groups of a plain IPython."""

    def __init__(self, names: Names, engine_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._names, self._engine_loop = names, engine_loop

    def keys(self, path: str) -> list[str]:
        """Paths of all devices below `path`."""
        return self._names.keys(path)

    def describe(self, path: str) -> Fields:
        """Data key to its description."""
        return dict(self._ask(path, "describe"))

    def read(self, path: str) -> Fields:
        """Data key to value and time stamp, read now."""
        return dict(self._ask(path, "read"))

    def describe_configuration(self, path: str) -> Fields:
        """Data key of each setting to its description."""
        return dict(self._ask(path, "describe_configuration"))

    def read_configuration(self, path: str) -> Fields:
        """Data key of each setting to value and time stamp."""
        return dict(self._ask(path, "read_configuration"))

    def value(self, path: str) -> Fields:
        """A positioner's position as last heard; otherwise what is read now."""
        device = self._names.find(path)
        position = getattr(device, "position", None)
        if position is not None and not inspect.iscoroutinefunction(device.read):
            return {"value": position, "timestamp": time.time()}
        reading = self.read(path)
        main: Fields = reading.get(device.name) or next(iter(reading.values()), {})
        return {"value": main.get("value"), "timestamp": main.get("timestamp")}

    def watch(self, path: str, changed: Callable[[Fields], None]) -> Callable[[], None]:
        """Each change that an ophyd device tells of. Raises: InputError for one that tells none."""
        device = self._names.find(path)
        if inspect.iscoroutinefunction(device.read) or not hasattr(device, "subscribe"):
            raise InputError(f"{path} tells no changes", remedy="watch one of its signals")

        def look(*_: Any, value: Any = None, timestamp: float | None = None, **__: Any) -> None:
            changed({"value": value, "timestamp": timestamp})

        number = device.subscribe(look, run=True)

        def end() -> None:
            device.unsubscribe(number)

        return end

    def _ask(self, path: str, word: str) -> Any:
        device = self._names.find(path)
        try:
            answer = getattr(device, word)()
            if inspect.iscoroutine(answer):
                asked = asyncio.run_coroutine_threadsafe(answer, self._engine_loop())
                answer = asked.result(ANSWER_S)
        except UndulaError:
            raise
        except Exception as exc:  # a driver may raise anything
            raise DeviceError(
                f"{type(exc).__name__}: {exc}",
                remedy="check its controller and the network",
                device=path,
            ) from exc
        return answer
