"""A Ctrl-C stops a jog at every moment, also before the answer to its request."""

from __future__ import annotations

from typing import Any

import pytest

from undula.bus.memory import MemoryConnector
from undula.client.link import Link
from undula.client.motors import Motors


def test_a_ctrl_c_while_a_jog_is_sent_stops_what_may_move_already() -> None:
    stops: list[str] = []

    def sent(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    motors = Motors(Link(MemoryConnector()), sent, lambda: stops.append("stop"))
    with pytest.raises(KeyboardInterrupt):
        motors.jog("samx", "+")
    assert stops == ["stop"]
