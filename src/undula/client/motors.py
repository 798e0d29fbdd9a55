"""Motors from a client: parameters, positions redefined, limits, home, history.

In: names and numbers. Out: rows of parameters. Used by `DeviceProxy` and by `undula motor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from undula.bus.endpoints import ENGINE_MOTOR
from undula.client.link import Background, Link
from undula.core.errors import InputError
from undula.messages import Readback

MOTOR_TIMEOUT_S = 30.0
HOME_TIMEOUT_S = 600.0
DIRECTIONS = {"+": 1, "-": -1, "1": 1, "-1": -1}
Rows = dict[str, dict[str, Any]]


class Motors:
    """Asks the engine about motors. Each call raises InputError, DeviceError or BusyError."""

    def __init__(
        self, link: Link, move: Callable[..., Background], stop: Callable[[], object]
    ) -> None:
        self._link = link
        self._move = move
        self._stop = stop

    def parameters(self, device: str) -> Rows:
        """Name of a parameter to `{"value", "unit", "about"}`."""
        return self._rows(device, "show")

    def all(self) -> dict[str, Rows]:
        """Parameters of every motor that answers."""
        return dict(
            self._link.ask(ENGINE_MOTOR, MOTOR_TIMEOUT_S, device="", action="all")["motors"]
        )

    def set(self, device: str, parameter: str, *values: float) -> Rows:
        """Change a parameter; all of them afterwards. `limits` takes two numbers."""
        return self._rows(device, "set", parameter=parameter, values=list(values))

    def set_position(self, device: str, position: float) -> Rows:
        """Call the present place `position`, without moving: SPEC's `set`."""
        return self.set(device, "position", position)

    def set_limits(self, device: str, low: float, high: float) -> Rows:
        """Soft limits in user positions: SPEC's `set_lm`."""
        return self.set(device, "limits", low, high)

    def home(self, device: str, direction: str = "forward") -> Rows:
        """Search for home and wait."""
        return self._rows(device, "home", timeout_s=HOME_TIMEOUT_S, direction=direction)

    def jog(self, device: str, direction: str, velocity: float | None = None) -> dict[str, Any]:
        """Go in a direction, "+" or "-", until a stop or the soft limit; Ctrl-C stops it.

        Args:
            device: name of a motor with soft limits.
            direction: "+" or "-".
            velocity: in its unit per second, for this motion only; None: as it is.

        Returns: where it is then: `{"value", "unit"}`.
        Raises: InputError without limits and at the limit already; BusyError, DeviceError.
        """
        move: Background | None = None
        try:
            move = self.start_jog(device, direction, velocity)
            readbacks = move.result()
        except KeyboardInterrupt:
            self._stop()  # also where the key came before the answer: it may move already
            if move is None:
                raise
            readbacks = move.result()
        return dict(readbacks[str(device)])

    def start_jog(
        self,
        device: str,
        direction: str,
        velocity: float | None = None,
        progress: Callable[[Readback], None] | None = None,
    ) -> Background:
        """As `jog`, on another thread: a stop ends it, `result()` waits for the readbacks."""
        sign = DIRECTIONS.get(str(direction))
        if sign is None:
            raise InputError(
                f"{direction!r} is no direction", remedy="give + or -", device=str(device)
            )
        return self._move({str(device): sign}, False, progress, jog=True, velocity=velocity)

    def history(self, device: str) -> list[dict[str, Any]]:
        """Who changed what, oldest first: time (UTC epoch s), user, name, old, new."""
        result = self._link.ask(ENGINE_MOTOR, MOTOR_TIMEOUT_S, device=device, action="history")
        return list(result["changes"])

    def _rows(
        self, device: str, action: str, timeout_s: float = MOTOR_TIMEOUT_S, **fields: Any
    ) -> Rows:
        result = self._link.ask(ENGINE_MOTOR, timeout_s, device=device, action=action, **fields)
        return dict(result["parameters"])
