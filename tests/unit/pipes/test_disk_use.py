"""How much a graph will write at each point, as far as one can know beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from undula.files.frame_file import FrameFile, Row
from undula.pipes.disk_use import DiskUse
from undula.pipes.for_scans import ScanGraph, for_scans
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.run_files import RunFile

TYPES = Shipped()


def scan(kind: str = "simulated", **parameters: object) -> ScanGraph:
    """The frames of a source in one file, and binned in another."""
    made = (
        GraphBuilder("cam").node("det", kind, **parameters).node("small", "binning")
        .node("raw", "frame_file").node("binned", "frame_file")
        .edge("det -> raw").edge("det -> small").edge("small.frames -> binned")
    )  # fmt: skip
    return for_scans(checked(made.graph(), TYPES), TYPES, "cam")


def test_frames_count_as_they_are_until_a_run_has_shown_how_small_they_become(
    tmp_path: Path,
) -> None:
    use, graph = DiskUse(), scan(width=100, height=80, dtype="uint32")
    whole = 100 * 80 * 4
    assert use.bytes_per_point(graph) == whole + whole // 4
    file = FrameFile(tmp_path / "a.h5", (80, 100), "u4")
    for number in range(1, 101):
        file.append(np.zeros(whole // 10, "u1"), Row(number))
    file.close()
    use.learn("raw", [RunFile(file.path, (80, 100), "<u4", frames=100)])
    found = use.bytes_per_point(graph) - whole // 4
    assert whole // 10 <= found < whole // 2
    use.learn("raw", [RunFile(tmp_path / "gone.h5", (80, 100), "<u4", frames=3)])
    assert use.bytes_per_point(graph) == found + whole // 4


def test_what_nobody_knows_beforehand_counts_from_its_first_run_on(tmp_path: Path) -> None:
    use, graph = DiskUse(), scan("zmq_images", address="tcp://x:1")
    assert use.bytes_per_point(graph) == 0
    (tmp_path / "a.h5").write_bytes(bytes(6000))
    use.learn("raw", [RunFile(tmp_path / "a.h5", (80, 100), "<u2", frames=3)])
    assert use.bytes_per_point(graph) == 2000
