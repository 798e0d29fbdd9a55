"""The pages about device files show files that load, and name every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from undula.devices.description import KEYS, load_device_file
from undula.devices.device_yaml import LEGACY

DOCS = Path(__file__).parents[3] / "docs"
HOW_TO = DOCS / "how-to" / "devices.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)


COMPUTED = [
    block
    for page in ("computed-devices.md", "shutters-and-conditions.md", "tango.md")
    for block in re.findall(
        r"```yaml\n(.*?)```", (DOCS / "how-to" / page).read_text(encoding="utf-8"), re.DOTALL
    )
]


@pytest.mark.parametrize("block", [b for b in (*BLOCKS, *COMPUTED) if "!include" not in b])
def test_each_example_of_the_how_to_loads(block: str, tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(block)
    assert load_device_file(path).entries


def test_the_example_of_includes_loads(tmp_path: Path) -> None:
    (block,) = (b for b in BLOCKS if "!include" in b)
    (tmp_path / "devices.yaml").write_text(block)
    for name in re.findall(r"!include (\w+)\.yaml", block):
        entry = BLOCKS[0].replace("samx", f"{name}_x").replace("diode", f"{name}_diode")
        (tmp_path / f"{name}.yaml").write_text(entry)
    assert len(load_device_file(tmp_path / "devices.yaml").entries) == 6


def test_the_reference_names_every_key() -> None:
    text = (DOCS / "reference" / "device_file.md").read_text(encoding="utf-8")
    missing = [key for key in (*KEYS, *LEGACY) if f"`{key}`" not in text]
    assert not missing
