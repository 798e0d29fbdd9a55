"""Where the file of a run goes, and whether there is room for it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from undula.core.clock import iso, now
from undula.core.errors import ConfigError, InputError, StorageError
from undula.core.file_names import file_part, fits
from undula.core.settings import BeamlineSettings
from undula.messages import ScanRequest
from undula.plans import FORMS

_SUFFIX = re.compile(r"[A-Za-z0-9_-]{1,100}")
PLACES = frozenset({"file_suffix", "file_directory"})
"""Metadata that say where the file of a run goes, in place of the template."""
DEFAULTS = {"proposal": "no_proposal", "sample": "no_sample", "dataset": "dataset"}


def _part(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("name", "")
    return file_part(str(value))


def run_path(settings: BeamlineSettings, metadata: dict[str, Any], plan: str, number: int) -> Path:
    """The NeXus file of run `number`, by the beamline's template.

    Raises: ConfigError; InputError for a folder or ending that the scan asks for and that is unfit.
    """
    fields = {k: _part(metadata.get(k) or default) for k, default in DEFAULTS.items()}
    try:
        relative = settings.template.format(
            **fields, plan=_part(plan), beamline=settings.name, number=number, date=iso(now())[:10]
        )
    except (KeyError, ValueError, IndexError) as exc:
        raise ConfigError(
            f"the file template {settings.template!r} is wrong: {exc}",
            remedy="use proposal, sample, dataset, number, plan, beamline and date only",
        ) from exc
    return settings.data / _as_asked(Path(relative), metadata)


def with_place(request: ScanRequest) -> ScanRequest:
    """The request with the place of its file in the metadata, where its plan has words for it."""
    said = {key: request.kwargs[key] for key in PLACES if request.kwargs.get(key)}
    own = request.plan in FORMS and set(FORMS[request.plan].options) >= PLACES
    if not said or not own:
        return request
    return request.model_copy(update={"metadata": {**request.metadata, **said}})


def _as_asked(path: Path, metadata: dict[str, Any]) -> Path:
    """The path with the folder and the ending that a scan asks for. Raises: InputError."""
    suffix, folder = metadata.get("file_suffix"), metadata.get("file_directory")
    if suffix:
        if not _SUFFIX.fullmatch(str(suffix)):
            raise InputError(
                f"file_suffix is {suffix!r}", remedy="use letters, digits, - and _ only"
            )
        path = path.with_stem(f"{path.stem}_{suffix}")
    if folder:
        parts = Path(str(folder)).parts
        if not all(fits(part) for part in parts):
            raise InputError(
                f"file_directory is {str(folder)!r}",
                remedy="name a folder below the data folder: letters, digits, - . _ and /",
            )
        path = Path(*parts) / path.name
    return path


def check_room(settings: BeamlineSettings, needed_bytes: int) -> None:
    """Raise StorageError when the data folder cannot be written or has no room."""
    folder = settings.data
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(
            f"the data folder {folder} cannot be made: {exc.strerror}",
            remedy="choose another with undula up --data, or correct its owner and mode",
        ) from exc
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"the data folder {folder} cannot be written",
            remedy="correct its owner and mode, or choose another with undula up --data",
        )
    free = shutil.disk_usage(folder).free
    if free < settings.min_free_bytes + needed_bytes:
        raise StorageError(
            f"{folder} has {free / 1e9:.2f} GB free, the scan needs {needed_bytes / 1e9:.2f} GB "
            f"and {settings.min_free_bytes / 1e9:.2f} GB must stay free",
            remedy="free some space, or choose another folder with undula up --data",
        )
