"""A service file of BEC is taken over: each key is used, or left with the reason."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from undula.core.bec_services import load_bec_services
from undula.core.errors import ConfigError

EXAMPLES = Path(__file__).parents[3] / "examples"
TAIL = "{sample}/{dataset}/{number:05d}_{plan}.nxs"


def test_the_seed_example_is_used_unchanged() -> None:
    services = load_bec_services(EXAMPLES / "seed_servers.yaml")
    assert services.settings["broker_url"] == "redis://127.0.0.1:24878"
    assert services.settings["data"] == Path("/tmp")
    assert not [line for line in services.lines() if "unknown" in line]


def test_every_block_of_bec_is_known_and_another_key_is_named(tmp_path: Path) -> None:
    text = """
redis: {host: broker.example, port: 6380}
service_config:
  file_writer: {plugin: default_NeXus_format, base_path: /data}
  log_writer: {base_path: /logs}
  user_macros: {base_path: /macros}
  user_scripts: {base_path: /scripts}
  widgets_settings: {base_path: /widgets}
  procedures: {enable_procedures: true, use_subprocess_worker: false}
  abort_on_ctrl_c: true
  file_wrtier: {base_path: /data}
atlas: {env_file: x}
scilog: {env_file: x}
acl: {env_file: x, user: null, password: null}
"""
    path = tmp_path / "services.yaml"
    path.write_text(text)
    services = load_bec_services(path)
    assert services.settings["broker_url"] == "redis://broker.example:6380"
    assert [line for line in services.lines() if "unknown" in line] == [
        "service_config.file_wrtier.base_path: unknown: BEC has no such key"
    ]


@pytest.mark.parametrize(
    ("base_path", "data", "template"),
    [
        ("/data", "/data", "{proposal}/" + TAIL),
        ("/data/$account", "/data", "{proposal}/" + TAIL),
        ("/sls/$account/raw", "/sls", "{proposal}/raw/" + TAIL),
        ("/home/$username", f"/home/{getpass.getuser()}", "{proposal}/" + TAIL),
        ({"nobody.*": "/no", "*": "/all"}, "/all", "{proposal}/" + TAIL),
        ({getpass.getuser(): "/mine", "*": "/all"}, "/mine", "{proposal}/" + TAIL),
    ],
)
def test_the_data_folder_may_depend_on_user_and_account(
    base_path: Any, data: str, template: str
) -> None:
    config = json.dumps({"file_writer": {"base_path": base_path}})
    found = load_bec_services(environment={"BEC_SERVICE_CONFIG": config}).settings
    assert (str(found["data"]), found["template"]) == (data, template)


def test_the_host_may_come_from_the_environment() -> None:
    env = {"BEC_SERVICE_CONFIG": '{"redis": {"port": 1}}', "BEC_REDIS_HOST": "there"}
    assert load_bec_services(environment=env).settings["broker_url"] == "redis://there:1"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("- a\n", "is not a mapping"),
        ("a: [\n", "services.yaml: while parsing"),
        ('file_writer: {base_path: {"nobody": /x}}\n', "has no folder for user"),
    ],
)
def test_a_wrong_service_file_is_named(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "services.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=what):
        load_bec_services(path)
