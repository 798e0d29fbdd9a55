"""Devices back to BEC's YAML: without defaults, in one file or one file a tag.

In: `DeviceEntry`s. Out: text, or files, that `load_device_file` reads to equal entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from undula.core.errors import StorageError
from undula.devices.description import DeviceEntry

HEADER = """\
# Devices of a beamline. Keys and their meaning: docs/reference/devices.md
# enabled, deviceClass and readoutPriority must be given; keys with their default are left out.
"""
_FILE_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class _Dumper(yaml.SafeDumper):
    """Safe dumper that never writes references: a file is read by people."""

    def ignore_aliases(self, data: Any) -> bool:
        """No `&id001`."""
        return data is not None


def device_keys(entry: DeviceEntry) -> dict[str, Any]:
    """The entry under BEC's keys, those with their default left out."""
    return entry.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"name"})


def devices_text(entries: Iterable[DeviceEntry], header: str = HEADER) -> str:
    """The device file that holds these entries."""
    devices = {entry.name: device_keys(entry) for entry in entries}
    body = yaml.dump(devices, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return header + body


def save_devices(entries: Sequence[DeviceEntry], path: Path) -> list[Path]:
    """Write one device file; never over another. Raises: StorageError."""
    _write(path, devices_text(entries))
    return [path]


def save_by_tag(
    entries: Sequence[DeviceEntry], folder: Path, remaining: str = "misc"
) -> list[Path]:
    """Write `main.yaml` and one included file for each first tag.

    Args:
        entries: in an order in which they may be built.
        folder: is made when it is not there.
        remaining: name of the file for devices without a tag.
    Returns: the files, main.yaml first. Raises: StorageError; files are never overwritten.
    """
    groups: dict[str, list[DeviceEntry]] = {}
    for entry in entries:
        tag = entry.device_tags[0] if entry.device_tags else remaining
        groups.setdefault(_FILE_NAME.sub("_", tag).strip("_") or remaining, []).append(entry)
    names = {tag: ("main_devices" if tag == "main" else tag) + ".yaml" for tag in groups}
    files = {folder / names[tag]: devices_text(members) for tag, members in groups.items()}
    main = folder / "main.yaml"
    text = HEADER + "".join(f"{tag}: !include {names[tag]}\n" for tag in groups)
    for path in (main, *files):
        _refuse_existing(path)
    _write(main, text)
    for path, content in files.items():
        _write(path, content)
    return [main, *files]


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise StorageError(
            f"{path} is there already", remedy="name another place, or move it away first"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _refuse_existing(path)
    except OSError as exc:
        raise StorageError(
            f"{path} cannot be written: {exc.strerror}", remedy="choose a folder you may write to"
        ) from exc
