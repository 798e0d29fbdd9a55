"""What the verbs need of a beamline: services behind a client, or a plain IPython's own objects.

Twins: `beamline.ClientDevices` and `ClientScans`; `session.plain`'s. Devices and scans block: the
server calls them on its threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Fields = dict[str, Any]
Notify = Callable[[Fields], None]


class Devices(Protocol):
    """Devices by their paths, e.g. `M.samx`. Raises: InputError for a path that leads nowhere."""

    def keys(self, path: str) -> list[str]:
        """Paths of all devices below `path`; "" for all."""

    def describe(self, path: str) -> Fields:
        """Data key to its event-model description."""

    def read(self, path: str) -> Fields:
        """Data key to `{"value", "timestamp"}`, read now."""

    def describe_configuration(self, path: str) -> Fields:
        """As `describe`, of the settings that go into each run."""

    def read_configuration(self, path: str) -> Fields:
        """As `read`, of the settings that go into each run."""

    def value(self, path: str) -> Fields:
        """`{"value", "timestamp"}` of the main value as last heard, without touching hardware."""

    def watch(self, path: str, changed: Callable[[Fields], None]) -> Callable[[], None]:
        """Call at each change with `{"value", "timestamp"}`, on any thread; returns its end."""


class Scans(Protocol):
    """The running scan, for whom `undula.client.link.acting` names."""

    def pause(self, at_point: bool) -> Fields:
        """Pause now, or at the next point; the status afterwards."""

    def resume(self) -> Fields:
        """Go on."""

    def abort(self, reason: str) -> Fields:
        """End it, with clean-up."""

    def skip(self) -> Fields:
        """Leave out the point under way; the status afterwards, `did` says what was done."""

    def retake(self, point: int | None) -> Fields:
        """Take a point again, by its number from 1; None: the last one. As `skip`."""

    def complete(self) -> Fields:
        """End it early, as good. As `skip`."""

    def stop_all(self, reason: str) -> Fields:
        """End it, with clean-up, and take out all that waits. As `skip`."""

    def stop(self) -> Fields:
        """Stop motion, whatever is queued or busy."""

    def status(self) -> Fields:
        """`{"state", "id", "command", "user", "done", "total", "waiting": [...], ...}`."""
