"""Structured logs: an event name and fields, one JSON object a line, one file a service.

`configure(service, folder)` is called once by each process; everybody else uses `get_logger()`.
Extra sinks (the bounded log endpoint) are added with `add_sink`; a failing sink is dropped, never
raised into the caller.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

from undula.core.secret import redacted

Sink = Callable[[dict[str, Any]], None]
LEVELS: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
MAX_LOG_BYTES = 20_000_000

_sinks: list[Sink] = []
_lock = threading.Lock()


class _FileSink:
    """Appends JSON lines; at `MAX_LOG_BYTES` the file is kept once as `NAME.1`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def __call__(self, event: dict[str, Any]) -> None:
        self._file.write(json.dumps(event, default=str) + "\n")
        if self._file.tell() > MAX_LOG_BYTES:
            self._file.close()
            self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))
            self._file = self._path.open("a", buffering=1, encoding="utf-8")


def _deliver(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    flat = redacted(dict(event))
    with _lock:
        for sink in list(_sinks):
            try:
                sink(flat)
            except Exception as exc:  # a log must never break its caller
                _sinks.remove(sink)
                sys.stderr.write(f"log sink {sink!r} dropped: {exc}\n")
    import structlog

    raise structlog.DropEvent


def _name_service(
    service: str, _: Any, __: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.setdefault("service", service)  # context variables do not reach other threads
    return event


def configure(service: str, folder: Path | None, level: str = "info") -> None:
    """Write this process's events to `folder/service.jsonl` (None: to added sinks only)."""
    import structlog

    with _lock:
        _sinks.clear()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            _sinks.append(_FileSink(folder / f"{service}.jsonl"))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            partial(_name_service, service),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt=None, key="time"),
            structlog.processors.format_exc_info,
            _deliver,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()


def add_sink(sink: Sink) -> None:
    """Hand every further event to `sink` as well."""
    with _lock:
        _sinks.append(sink)


def get_logger() -> Any:
    """The logger: `get_logger().info("axis_arrived", axis="samx", duration_s=0.8)`."""
    import structlog  # here: a short command logs nothing, and this costs it 50 ms

    return structlog.get_logger()
