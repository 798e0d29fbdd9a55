"""The pages about device files show files that load, and name every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from undula.devices.description import KEYS, load_device_file
from undula.devices.device_yaml import LEGACY
from undula.devices.registry import Registry

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


def test_the_computed_devices_of_the_how_to_work(tmp_path: Path) -> None:
    axis = "undula.devices.sim.SimPositioner\n  deviceConfig: {start: 15, limits: [0, 90]}\n"
    text = re.sub(r"ophyd\.EpicsMotor\n.*\n", axis, COMPUTED[0] + COMPUTED[1])
    text += re.sub(r"ophyd\.EpicsSignalRO\n.*\n", "undula.devices.sim.SimMonitor\n", COMPUTED[2])
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    devices = Registry(load_device_file(path))
    devices.connect()
    assert not [d.problem for d in map(devices.__getitem__, devices.names()) if d.problem]
    devices["gap"].obj.set(0.5)
    assert devices["slit_top"].position() == 15.25
    devices["energy"].obj.set(9000.0)
    assert devices["energy"].position() == pytest.approx(9000.0)
    assert devices["absorption"].read()["absorption"]["value"] == pytest.approx(0.0, abs=2.0)


def test_the_device_of_the_how_to_works_as_it_is_written_there() -> None:
    page = (DOCS / "how-to" / "write-a-device.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks[0].splitlines()) < 40
    namespace: dict[str, object] = {"__name__": "pump"}
    for block in blocks:
        exec(block, namespace)  # our own page
    assert "Pump" in namespace
