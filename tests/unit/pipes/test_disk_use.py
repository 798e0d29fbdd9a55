"""How much a graph will write at each point, as far as one can know beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from undula.core.errors import StorageError
from undula.files.frame_file import FrameFile, Row
from undula.pipes.disk_use import DiskUse, bytes_of_frames
from undula.pipes.for_scans import ScanGraph, for_scans
from undula.pipes.graph import Graph, GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.run_files import RunFile
from undula.pipes.runner.writing import too_much

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


def test_the_frames_of_a_command_are_counted_and_what_cannot_fit_is_refused(tmp_path: Path) -> None:
    def graph(compression: str, **source: object) -> Graph:
        made = (
            GraphBuilder("live").node("det", "simulated", width=60_000, height=50_000, **source)
            .node("file", "frame_file", folder=str(tmp_path / "new"), compression=compression)
            .edge("det -> file")
        )  # fmt: skip
        return checked(made.graph(), TYPES)

    sizes = bytes_of_frames(graph("none", frames=10**6), TYPES)
    assert sizes == {"file": 6 * 10**15}
    assert bytes_of_frames(graph("none", frames=10**6, rate_hz=2), TYPES, 1.5) == {
        "file": 18 * 10**9
    }
    assert bytes_of_frames(graph("none"), TYPES) == {}, "nobody knows when it ends"
    with pytest.raises(StorageError, match=r"\[nodes.file\] 6e\+06 GB of frames for .*/new"):
        too_much(graph("none", frames=10**6), sizes)
    (warning,) = too_much(graph("bslz4", frames=10**6), sizes)
    assert "enough only if they become so much smaller" in warning
    assert too_much(graph("none"), {"file": 1}) == []
