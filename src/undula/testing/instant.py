"""Trivial devices, done on return, and what a RunEngine made of them: for tests of plans."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from event_model import DocumentNames, schema_validators


class Done:
    """A status that is done."""

    done = True
    success = True

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        """Called at once."""
        callback(self)

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:  # noqa: ARG002  # protocol
        """None."""
        return None


class Axis:
    """A positioner that notes where it was sent; `hook` is called at each set."""

    parent = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.visited: list[float] = []
        self.stopped = 0
        self.hook: Callable[[], None] = lambda: None

    def set(self, value: float) -> Done:
        """Go there."""
        self.visited.append(value)
        self.hook()
        return Done()

    def stop(self, *, success: bool = False) -> None:  # noqa: ARG002  # protocol
        """Noted."""
        self.stopped += 1

    def read(self) -> dict[str, Any]:
        """Where it is."""
        return {self.name: {"value": self.visited[-1], "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        """Its data key."""
        return {self.name: {"source": "test", "dtype": "number", "shape": []}}

    def read_configuration(self) -> dict[str, Any]:
        """None."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """None."""
        return {}


class Counter(Axis):
    """A detector that counts how often it was triggered."""

    def trigger(self) -> Done:
        """Count one more."""
        self.visited.append(len(self.visited) + 1.0)
        return Done()


class Collected:
    """Documents by name, validated against event-model, and rows of the primary stream."""

    def __init__(self) -> None:
        self.docs: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.rows: dict[int, float] = {}

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document."""
        schema_validators[DocumentNames[name]].validate(doc)
        self.docs[name].append(doc)
        if name == "event" and "x" in doc["data"]:
            self.rows[doc["seq_num"]] = doc["data"]["x"]
        if name == "event_page":
            self.rows.update(zip(doc["seq_num"], doc["data"]["x"], strict=True))
