"""How a plan tells that rows do not go on with the next point: events of the stream `steering`.

In: the turns of `Steps`. Out: messages. Between two checkpoints each, so that a pause repeats none
of them with another's values.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

from bluesky.utils import IllegalMessageSequence, Msg

from undula.plans.steps import Steps, Turn

STEERING = "steering"
FIELDS = ("action", "point", "row", "next")


class TurnReader:
    """A Bluesky device that reads the turn which is told."""

    parent = None
    name = STEERING

    def __init__(self) -> None:
        self.turn = Turn("resumed", 1, 1, 1)
        self._time = 0.0

    def show(self, turn: Turn) -> None:
        """Read this from now on."""
        self.turn, self._time = turn, time.time()

    def read(self) -> dict[str, Any]:
        """`steering_action`, and `steering_point`, `_row`, `_next`, all counted from 1."""
        return {
            f"{STEERING}_{field}": {"value": getattr(self.turn, field), "timestamp": self._time}
            for field in FIELDS
        }

    def describe(self) -> dict[str, Any]:
        """Data keys of `read`."""
        return {
            f"{STEERING}_{field}": {
                "source": "what people asked of the scan",
                "dtype": "string" if field == "action" else "integer",
                "shape": [],
            }
            for field in FIELDS
        }

    def read_configuration(self) -> dict[str, Any]:
        """None."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """None."""
        return {}


def given_up() -> Generator[Msg, Any, Any]:
    """The event of a point that is given up is dropped, if it was begun."""
    with contextlib.suppress(IllegalMessageSequence):
        yield Msg("drop")
    yield Msg("checkpoint")


def tell_turns(steps: Steps, reader: TurnReader) -> Generator[Msg, Any, Any]:
    """An event for each turn that was not told yet."""
    while steps.turns:
        reader.show(steps.turns.pop(0))
        yield Msg("checkpoint")
        yield Msg("create", None, name=STEERING)
        yield Msg("read", reader)
        yield Msg("save")
        yield Msg("checkpoint")
