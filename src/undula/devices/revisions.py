"""The history of the configuration: one file a revision, each a device file of its own.

In: entries, who changed them and how. Out: `Revision`s, oldest first. A revision is written once,
by rename and with fsync, so that a power cut leaves the one before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from undula.core.clock import now
from undula.core.errors import InputError, StorageError
from undula.devices.description import DeviceEntry, DeviceFile, load_device_file
from undula.devices.export import devices_text

MARK = "# revision "
KEPT = 1000


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of the configuration: what made it, from where, and which one it came from."""

    number: int
    time: float
    user: str
    action: str
    source: str
    digest: str
    base: int = 0
    """The revision that `undo` goes back to; 0: none."""
    edited: bool = False
    """It holds changes made at run time, which the source file does not have."""


class Revisions:
    """Revisions in a folder. Only the engine writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, number: int) -> Path:
        """The file of a revision."""
        return self.folder / f"{number:06d}.yaml"

    def numbers(self) -> list[int]:
        """All numbers, ascending."""
        return sorted(int(p.stem) for p in self.folder.glob("[0-9]*.yaml") if p.stem.isdigit())

    def all(self) -> list[Revision]:
        """All revisions, oldest first; one whose file is damaged is left out."""
        return [r for n in self.numbers() if (r := self._header(n)) is not None]

    def last(self) -> Revision | None:
        """The newest readable one."""
        return next((r for n in reversed(self.numbers()) if (r := self._header(n))), None)

    def get(self, number: int) -> Revision:
        """One revision. Raises: InputError when it is not there."""
        found = self._header(number)
        if found is None:
            known = self.numbers()
            span = f"there are {known[0]} to {known[-1]}" if known else "there are none"
            raise InputError(
                f"there is no revision {number}: {span}", remedy="see undula config history"
            )
        return found

    def load(self, number: int) -> DeviceFile:
        """The devices of a revision. Raises: InputError, DeviceFileError."""
        self.get(number)
        return load_device_file(self.path(number))

    def add(
        self,
        entries: Iterable[DeviceEntry],
        *,
        user: str,
        action: str,
        source: str,
        digest: str,
        base: int | None = None,
        edited: bool = False,
    ) -> Revision:
        """Keep a new state of the configuration. Raises: StorageError."""
        known = self.numbers()
        last = known[-1] if known else 0
        revision = Revision(
            last + 1,
            now(),
            user,
            " ".join(action.split()),
            source,
            digest,
            last if base is None else base,
            edited,
        )
        header = f"{MARK}{json.dumps(asdict(revision), ensure_ascii=False)}\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._store(self.path(revision.number), devices_text(entries, header))
        except OSError as exc:
            raise StorageError(
                f"the history of the configuration cannot be written: {exc}",
                remedy=f"make room in {self.folder}; nothing was changed",
            ) from exc
        for number in known[: -KEPT + 1] if len(known) >= KEPT else ():
            self.path(number).unlink(missing_ok=True)
        return revision

    def _store(self, path: Path, text: str) -> None:
        temporary = path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _header(self, number: int) -> Revision | None:
        try:
            with self.path(number).open(encoding="utf-8") as file:
                line = file.readline()
            return Revision(**json.loads(line.removeprefix(MARK)))
        except (OSError, ValueError, TypeError):
            return None
