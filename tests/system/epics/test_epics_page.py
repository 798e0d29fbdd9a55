"""The how-to page about EPICS: each of its device files connects to an IOC and counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[[str, str], str]

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "epics.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
OURS = {
    '"X:m1"': '"MOT:m1"',
    '"X:scaler1"': '"CNT:scaler1"\n    separator: ":"',
    '"X:mca1"': '"CNT:mca1"\n    separator: ":"',
    '"X:CAM:"': '"CAM:"',
}
COUNT = """
import pathlib, tempfile
import bluesky.plans as bp
for name in registry.names():
    device = registry[name]
    assert device.connected, device.problem
    if hasattr(device.obj, "set_run_path"):
        device.obj.set_run_path(pathlib.Path(tempfile.mkdtemp()) / "00001_scan.nxs")
    if device.takes_count_time:
        device.set_count_time(0.05)
    events = []
    keep = lambda kind, doc: events.append(doc) if kind in ("event", "stream_datum") else None
    engine(bp.count([device.obj], 2), keep)
    assert len(events) >= 2
    print(name, sorted(events[-1].get("data", {})))
"""


def _with(page_block: str) -> str:
    for theirs, ours in OURS.items():
        page_block = page_block.replace(theirs, ours)
    return page_block


def _blocks(word: str) -> str:
    found = [_with(block) for block in BLOCKS if word in block]
    assert found, word
    return "".join(found)


def test_the_motor_of_the_page_connects(with_faulty_motor: Run) -> None:
    with_faulty_motor(_blocks("EpicsMotor"), COUNT)


def test_the_camera_of_the_page_takes_frames(with_camera: Run) -> None:
    with_camera(_blocks("AreaDetector"), 'from caproto.sync.client import write\n'
        'write("CAM:SIM:Fault", "none", repeater=False, notify=True,'
        ' timeout=10)\n' + COUNT)  # fmt: skip


@pytest.mark.parametrize("word", ["epics.Scaler", "epics.Mca"])
def test_card_and_mca_of_the_page_count(with_counting: Run, word: str) -> None:
    shown = with_counting(_blocks(word), COUNT)
    for key in {"epics.Scaler": ["card_fluo", "normalised_i0"], "epics.Mca": ["mca_fe_corrected"]}[
        word
    ]:
        assert key in shown
