"""The configuration of the devices from a client: look, change, undo. Each change whole or not.

`client.config.update("samx", readOnly=True)`, `client.config.load("x07mb.yaml")`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undula.bus.endpoints import ENGINE_CONFIG
from undula.client.arguments import plain
from undula.client.link import Link
from undula.messages import ConfigStatus

CONFIG_TIMEOUT_S = 120.0
"""Importing classes and connecting devices takes its time: seconds until the reply."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a change."""

    revision: int
    changes: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    pending: str = ""

    def __str__(self) -> str:
        lines = [*self.changes] or ["nothing differs"]
        lines += [f"{name} does not answer: {why}" for name, why in self.absent.items()]
        if self.pending:
            lines.append(f"waits for the end of a run: {self.pending}")
        return "\n".join(lines)


class ConfigView:
    """The configuration that the engine holds.

    All changes take `dry_run` (say what would change), `when_free` (wait for the end of runs that
    use the devices) and `accept_absent` (change even if a changed device does not answer).
    They raise ConfigError with every fault and its place; nothing was changed then.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._listeners: list[Callable[[], None]] = []

    def _ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return self._link.ask(ENGINE_CONFIG, CONFIG_TIMEOUT_S, action=action, **fields)

    def _change(self, action: str, **fields: Any) -> Changed:
        changed = Changed(**self._ask(action, **fields))
        for listener in self._listeners:
            listener()
        return changed

    def when_changed(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change that is made here."""
        self._listeners.append(listener)

    def status(self) -> ConfigStatus:
        """Which configuration holds, who made it, what does not answer."""
        return ConfigStatus.model_validate(self._ask("show")["status"])

    def devices(self) -> dict[str, dict[str, Any]]:
        """All devices with the keys of their device file, defaults left out."""
        return dict(self._ask("show")["devices"])

    def load(self, path: Path | str, **how: bool) -> Changed:
        """Go over to a device file."""
        return self._change("load", path=_absolute(path), **how)

    def reload(self, **how: bool) -> Changed:
        """Read the device file again; changes made at run time no longer hold."""
        return self._change("reload", **how)

    def add(
        self,
        devices: Path | str | Mapping[str, Mapping[str, Any]],
        names: list[str] | None = None,
        **how: bool,
    ) -> Changed:
        """Add or replace devices, of a file or given as keys; `names` takes only these."""
        if isinstance(devices, Mapping):
            return self._change("add", devices=plain(devices), names=names or [], **how)
        return self._change("add", path=_absolute(devices), names=names or [], **how)

    def update(self, device: Any, values: Mapping[str, Any] | None = None, **keys: Any) -> Changed:
        """Change keys of one device: `update("samx", {"deviceConfig.limits": [-5, 5]})`."""
        how = {k: keys.pop(k) for k in ("dry_run", "when_free", "accept_absent") if k in keys}
        changed = {plain(device): plain({**(values or {}), **keys})}
        return self._change("update", devices=changed, **how)

    def remove(self, *devices: Any, **how: bool) -> Changed:
        """Take devices away."""
        return self._change("remove", names=[plain(d) for d in devices], **how)

    def undo(self, **how: bool) -> Changed:
        """Go back to the configuration before the last change; again: further back."""
        return self._change("undo", **how)

    def restore(self, revision: int, **how: bool) -> Changed:
        """Go back to a revision of the history."""
        return self._change("restore", revisions=[revision], **how)

    def history(self) -> list[dict[str, Any]]:
        """All revisions, oldest first: number, time (UTC epoch s), user, action, source."""
        return list(self._ask("history")["revisions"])

    def diff(self, before: int | None = None, after: int | None = None) -> list[str]:
        """What differs between two revisions; by default what the last change did."""
        numbers = [n for n in (before, after) if n is not None]
        return list(self._ask("diff", revisions=numbers)["changes"])

    def cancel(self) -> str:
        """Drop a change that waits for the end of a run; what it was."""
        return str(self._ask("cancel")["cancelled"])

    def save(self, path: Path | str, split_by_tag: bool = False) -> list[Path]:
        """Write the present devices: one file, or a folder with `main.yaml` and a file per tag.

        Raises: StorageError; nothing is ever overwritten.
        """
        from undula.devices.description import DeviceEntry
        from undula.devices.export import save_by_tag, save_devices

        entries = [
            DeviceEntry.model_validate({"name": name, **keys})
            for name, keys in self.devices().items()
        ]
        target = Path(path).expanduser().absolute()
        return save_by_tag(entries, target) if split_by_tag else save_devices(entries, target)


def _absolute(path: Path | str) -> str:
    return str(Path(path).expanduser().absolute())
