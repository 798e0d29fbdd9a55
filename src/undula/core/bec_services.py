"""BEC's service YAML: what of it Undula uses, and what it leaves, with the reason.

In: a path, or BEC's environment variables. Out: settings for `BeamlineSettings` and a report of
every key.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from undula.core.errors import ConfigError

Outcome = Literal["used", "ignored", "unknown"]
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
WRAPPER = "service_config."
TEMPLATE_TAIL = "{sample}/{dataset}/{number:05d}_{plan}.nxs"
_E_ACCOUNT = re.compile(r"e(\d+)")


@dataclass(frozen=True, slots=True)
class BecServices:
    """What a service file means here."""

    settings: dict[str, Any]
    report: list[tuple[str, Outcome, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """A line for each key."""
        return [f"{key}: {outcome}: {reason}" for key, outcome, reason in self.report]


def load_bec_services(
    path: Path | None = None, environment: Mapping[str, str] = os.environ
) -> BecServices:
    """Settings of a service file; without one, of `$BEC_SERVICE_CONFIG` (JSON).

    Raises: ConfigError when it cannot be read, is no mapping, or names an impossible folder.
    """
    where = str(path) if path is not None else "$BEC_SERVICE_CONFIG"
    try:
        text = path.read_text(encoding="utf-8") if path else environment["BEC_SERVICE_CONFIG"]
        data = yaml.safe_load(text) if path else json.loads(text)
    except KeyError as exc:
        raise ConfigError(f"{where} is not set", remedy="name a service file of BEC") from exc
    except (OSError, UnicodeDecodeError, yaml.YAMLError, json.JSONDecodeError) as exc:
        text = " ".join(str(exc).split())
        raise ConfigError(f"{where}: {text}", remedy="check the path and the YAML") from exc
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is not a mapping", remedy="write NAME: and its keys below")
    return _read(data, where, environment)


def _read(data: dict[str, Any], where: str, environment: Mapping[str, str]) -> BecServices:
    settings: dict[str, Any] = {}
    report: list[tuple[str, Outcome, str]] = []
    redis = data.get("redis") or {}
    for key, value in _flat(data):
        short = key.removeprefix(WRAPPER)
        if key in ("redis.host", "redis.port"):
            host = redis.get("host") or environment.get("BEC_REDIS_HOST") or "localhost"
            settings["broker_url"] = f"redis://{host}:{redis.get('port') or 6379}"
            report.append((key, "used", f"an existing broker: {settings['broker_url']}"))
        elif short == "file_writer.base_path":
            folder = _for_user(value, where)
            settings |= _data_folder(folder)
            report.append((key, "used", f"data files: {settings['data']}/{settings['template']}"))
        else:
            report.append((key, *_why(short)))
    return BecServices(settings, report)


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and not name.endswith("base_path"):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _why(key: str) -> tuple[Outcome, str]:
    for start, why in IGNORED.items():
        if key == start or key.startswith(f"{start}."):
            return "ignored", why
    return "unknown", "BEC has no such key"


def _for_user(value: Any, where: str) -> str:
    """The folder, or the one whose pattern the login name fits, `*` being the rest."""
    user = getpass.getuser()
    if isinstance(value, dict):
        fitting = [v for k, v in value.items() if k != "*" and re.fullmatch(str(k), user)]
        value = fitting[0] if fitting else value.get("*")
        if value is None:
            raise ConfigError(
                f"{where}: file_writer.base_path has no folder for user {user}",
                remedy="add a line for the user, or one for '*'",
            )
    experiment = _E_ACCOUNT.fullmatch(user)
    account = f"p{experiment[1]}" if experiment else user
    return str(value).replace("$p_username", account).replace("$username", user)


def _data_folder(folder: str) -> dict[str, Any]:
    """Data folder and template: `$account` is the proposal, at the end when it is not named."""
    before, _, after = folder.partition("$account")
    below = "/".join(part for part in after.split("/") if part)
    middle = f"{{proposal}}/{below}/" if below else "{proposal}/"
    return {
        "data": Path(before.rstrip("/") or "/").expanduser(),
        "template": middle + TEMPLATE_TAIL,
    }
