"""BEC's service YAML: what of it Undula uses, and what it leaves, with the reason.

In: a path. Out: settings for `BeamlineSettings` and a report of every key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from undula.core.errors import ConfigError

IGNORED = {
    "mongodb": "the history is kept in SQLite",
    "scibec": "SciBec is no longer in use",
    "atlas": "there is no central Atlas",
    "scilog": "the logbook is not part of these services",
    "acl": "access rules of the broker are generated",
    "abort_on_ctrl_c": "the first Ctrl-C pauses, the second aborts",
    "enforce_ACLS": "access rules of the broker are always in force",
    "file_writer.plugin": "there is one layout of files",
    "log_writer": "logs stay in the beamline's state folder",
    "user_macros": "plans are shipped as packages",
    "user_scripts": "scripts are run by their path",
    "widgets_settings": "there are no widgets",
    "procedures": "there are no procedure workers",
}


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _why(key: str) -> str:
    return next(
        (why for start, why in IGNORED.items() if key == start or key.startswith(f"{start}.")),
        "not known",
    )


def load_bec_services(path: Path) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Settings found in the file, and (key, used or ignored, reason) for every key.

    Raises: ConfigError when the file is no YAML mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        raise ConfigError(f"{path}: {exc}", remedy="check the path and the YAML") from exc
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is not a mapping", remedy="write NAME: and its keys below")
    settings: dict[str, Any] = {}
    report: list[tuple[str, str, str]] = []
    redis = data.get("redis") or {}
    for key, value in _flat(data):
        short = key.removeprefix("service_config.")
        if key in ("redis.host", "redis.port"):
            settings["broker_url"] = (
                f"redis://{redis.get('host', 'localhost')}:{redis.get('port', 6379)}"
            )
            report.append((key, "used", "an existing broker"))
        elif short == "file_writer.base_path":
            settings["data"] = Path(str(value))
            report.append((key, "used", "folder of the data files"))
        else:
            report.append((key, "ignored", _why(short)))
    return settings, report
