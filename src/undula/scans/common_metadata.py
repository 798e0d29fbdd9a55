"""Metadata that every further run has in its start document, until somebody changes it.

Kept by the engine, in a file, so that scans from the shell, the command line and programs all have
it, whoever started them. In: changes. Out: requests with it. What a scan says itself goes first.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from undula.core.errors import InputError, StorageError, UndulaError
from undula.core.log import get_logger
from undula.core.run_keys import OF_A_GROUP, OF_THE_RUN, refuse_taken
from undula.core.settings import BeamlineSettings
from undula.messages import BeamlineMetadata, MetadataRequest, ScanRequest
from undula.scans.file_layouts import FileLayouts
from undula.scans.metadata_schema import MetadataCheck, keys_of
from undula.scans.places import run_path
from undula.scans.start_check import check_given

MAX_BYTES = 64_000


class CommonMetadata:
    """The metadata of all further runs. Thread-safe.

    Args:
        path: where it is kept.
        changed: called with it after each change.
        schema: what the beamline wants runs to say; None: anything.
        layouts: how files are laid out; a scan is refused while they are wrong.
    """

    def __init__(
        self,
        path: Path,
        settings: BeamlineSettings,
        changed: Callable[[BeamlineMetadata], None],
        schema: MetadataCheck | None = None,
        layouts: FileLayouts | None = None,
    ) -> None:
        self._schema, self._layouts = schema, layouts
        self._path, self._settings, self._changed = path, settings, changed
        self._lock = threading.Lock()
        self._values = _kept(path)

    def shown(self) -> BeamlineMetadata:
        """As it is now."""
        values = self._values
        return BeamlineMetadata(values=values, next_file=self._next_file(values))

    def answer(self, request: MetadataRequest) -> dict[str, Any]:
        """Carry out a request. Raises: InputError, StorageError; nothing has changed then;
        ConfigError when the schema is wrong.
        """
        if request.action == "schema":
            return keys_of(self._schema.schema() if self._schema else None).model_dump()
        if request.action == "change":
            self._change(request.values, request.remove)
        return self.shown().model_dump()

    def added(self, request: ScanRequest) -> ScanRequest:
        """The request with the metadata that it does not give itself.

        Raises: InputError for a key that each run says itself, and with every fault against the
        beamline's schema; ConfigError when that or a file layout is wrong. Nothing has moved then.
        """
        values = self._values
        usual = self._settings.fits.get(request.plan)
        if usual:
            values = {"fit": usual, **values}
        if values:
            request = request.model_copy(update={"metadata": {**values, **request.metadata}})
        check_given(request.metadata)
        if self._layouts is not None:
            self._layouts.check()
        if self._schema is not None:
            self._schema.check(request.metadata, request.plan, OF_THE_RUN)
        return request

    def warnings(self, request: ScanRequest) -> list[str]:
        """What may surprise of the metadata that a request has by now."""
        return [] if self._layouts is None else self._layouts.warnings(request.metadata)

    def _change(self, values: dict[str, Any], remove: Iterable[str]) -> None:
        with self._lock:
            gone = set(remove)
            new = {key: value for key, value in self._values.items() if key not in gone} | values
            check(new)
            if self._schema is not None and values:
                self._schema.check(values, None)
            _keep(self._path, new)
            self._values = new
        self._changed(self.shown())

    def _next_file(self, values: dict[str, Any]) -> str:
        try:
            path = run_path(self._settings, values, "scan", 0)
        except UndulaError as error:  # the template is at fault: scans say so as well
            return str(error)
        return str(path.with_name(path.name.replace("00000", "NNNNN")))


def check(values: dict[str, Any]) -> None:
    """Raise InputError when no start document could have these values.

    >>> check({"sample": "Fe2O3", "temperature_K": 12.5})
    """
    refuse_taken(values, OF_A_GROUP)
    check_given(values)
    size = len(json.dumps(values))
    if size > MAX_BYTES:
        raise InputError(
            f"the metadata has {size} bytes, {MAX_BYTES} are allowed",
            remedy="keep large data in a file and give its path",
        )


def _kept(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        values = {key: value for key, value in kept.items() if key not in OF_THE_RUN}
        check(values)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, InputError) as error:
        get_logger().error("metadata_unreadable", path=str(path), error=str(error))
        return {}
    return values


def _keep(path: Path, values: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        raise StorageError(
            f"the metadata cannot be kept in {path}: {exc.strerror}",
            remedy="correct disk space and rights; nothing was changed",
        ) from exc
