"""The layouts that there are: read from YAML, read again when a file has changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undula.core.described import read_described
from undula.core.errors import ConfigError
from undula.core.log import get_logger
from undula.core.stamp import Stamp, stamp_of
from undula.messages.layouts import FileFields, FileLayout
from undula.scans.file_layouts.choose import choose, unknown_technique

SHIPPED = Path(__file__).with_name("shipped")
FIELDS = "file_fields.yaml"
FOLDER = "file_layouts"


def read_layout(path: Path) -> FileLayout:
    """One layout; its name is the file's where it says none. Raises: ConfigError."""
    layout = read_described(path, FileLayout)
    return layout if layout.name else layout.model_copy(update={"name": path.stem})


def shipped() -> list[FileLayout]:
    """The layouts of the package, by name."""
    return [read_layout(path) for path in sorted(SHIPPED.glob("*.yaml"))]


class FileLayouts:
    """Layouts and fields of one beamline. Thread-safe.

    Args:
        state: the beamline's folder: `file_fields.yaml`, and `file_layouts/NAME.yaml`, which go
            before the shipped ones and replace those of the same name.
        quiet: faults are raised only, and not said in the log as well.
    """

    def __init__(self, state: Path, *, quiet: bool = False) -> None:
        self._state, self._quiet = state, quiet
        self._lock = threading.Lock()
        self._seen: dict[Path, Stamp] | None = None
        self._own: list[FileLayout] = []
        self._shipped = shipped()
        self._fields = FileFields(fields=[])
        self._fault: ConfigError | None = None

    def _files(self) -> dict[Path, Stamp]:
        paths = (self._state / FIELDS, *sorted((self._state / FOLDER).glob("*.yaml")))
        found = {path: stamp_of(path) for path in paths}
        return {path: stamp for path, stamp in found.items() if stamp is not None}

    def _look(self) -> None:
        """Read what has changed; what is wrong is kept as a fault, and the former stays."""
        try:
            files = self._files()
        except OSError as exc:  # what was read last holds
            get_logger().warning("file_layouts_not_read", error=str(exc), remedy="the former hold")
            return
        if files == self._seen:
            return
        self._seen, faults = files, list[str]()
        first: ConfigError | None = None
        own, fields = list[FileLayout](), FileFields(fields=[])
        for path in files:
            try:
                if path.name == FIELDS and path.parent == self._state:
                    fields = read_described(path, FileFields)
                else:
                    own.append(read_layout(path))
            except ConfigError as exc:
                first = first or exc
                faults += exc.details
        if first is None:
            self._own, self._fields, self._fault = own, fields, None
            return
        first.details = faults
        self._fault = first
        if not self._quiet:
            get_logger().error("file_layouts_wrong", faults=faults, remedy="the former ones hold")

    def check(self) -> None:
        """Raise ConfigError with every fault of the beamline's files."""
        with self._lock:
            self._look()
            if self._fault is not None:
                raise self._fault

    def known(self) -> list[FileLayout]:
        """All layouts, in the order in which rules are tried."""
        with self._lock:
            self._look()
            names = {layout.name for layout in self._own}
            return [*self._own, *(s for s in self._shipped if s.name not in names)]

    def warnings(self, metadata: Mapping[str, Any]) -> list[str]:
        """What may surprise of the file of a run with this metadata."""
        found = unknown_technique(self.known(), metadata)
        return [found] if found else []

    def fields(self) -> FileFields:
        """The beamline's own fields."""
        with self._lock:
            self._look()
            return self._fields

    def chosen(self, plan: str, start: Mapping[str, Any]) -> dict[str, Any]:
        """What a start document says under `file_layout`; {} when there is nothing to say."""
        layout = choose(self.known(), plan, start)
        fields = [*self.fields().fields, *(layout.fields if layout else ())]
        if not fields:
            return {}
        said = {"name": layout.name, "definition": layout.definition} if layout else {}
        dumped = [f.model_dump(by_alias=True, exclude_defaults=True) for f in fields]
        return {"file_layout": {**said, "fields": dumped}}
