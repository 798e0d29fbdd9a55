"""Alarms from a client: those that matter now, the history, and acknowledging."""

from __future__ import annotations

from undula.bus.endpoints import ENGINE_ALARMS
from undula.client.link import Link
from undula.messages import Alarm

Alarms = list[Alarm]


class AlarmView:
    """What is wrong at the beamline, or was and nobody has seen it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def _ask(self, action: str, numbers: tuple[int, ...] = ()) -> Alarms:
        result = self._link.ask(ENGINE_ALARMS, action=action, numbers=list(numbers))
        return [Alarm.model_validate(alarm) for alarm in result["alarms"]]

    def list(self) -> Alarms:
        """Alarms that last or that nobody has acknowledged, the oldest first."""
        return self._ask("list")

    def history(self) -> Alarms:
        """The last thousand, the oldest first."""
        return self._ask("history")

    def acknowledge(self, *numbers: int) -> Alarms:
        """Say that they were seen; all without numbers. What remains afterwards."""
        return self._ask("acknowledge", numbers)
