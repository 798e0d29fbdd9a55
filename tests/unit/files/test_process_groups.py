"""What programs worked out from a run, as groups of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bluesky.plans import scan
from ophyd.sim import SynAxis, SynGauss

from undula.files import NexusFile, Process, read_processes, write_archive
from undula.messages import RunDocument
from undula.writer.rebuild import rebuild

FIT = Process(
    name="fit det",
    program="undula fit",
    version="1.2",
    time=1.7e9,
    results={"model": "gaussian", "fwhm": 0.5, "peak": {"center": -1.5, "height": 7}},
    units={"fwhm": "mm", "peak/center": "mm"},
    axes={"motor": np.linspace(0, 1, 3)},
    data={"best_fit": np.array([1.0, 2.0, 1.0])},
)


def _documents(documents_of: Callable[..., Any]) -> Any:
    motor = SynAxis(name="motor")
    det = SynGauss("det", motor, "motor", center=0, Imax=1, sigma=1)
    return documents_of(scan([det], motor, -1, 1, 3), scan_id=1)


def _look(path: Path) -> None:
    with h5py.File(path, "r") as file:
        group = file["entry/fit det"]
        assert group.attrs["NX_class"] == "NXprocess"
        assert group["program"].asstr()[()] == "undula fit"
        assert group["date"].asstr()[()].startswith("2023-11-14T")
        assert group["results/fwhm"][()] == 0.5
        assert group["results/fwhm"].attrs["units"] == "mm"
        assert group["results/peak/center"].attrs["units"] == "mm"
        assert group["data"].attrs["signal"] == "best_fit"
        assert group["data/best_fit"][()].tolist() == [1.0, 2.0, 1.0]
        assert file["entry/com/sequence_index"][()] == 2
        assert file["entry"].attrs["default"] == "data"


def test_results_are_written_at_the_close_of_a_followed_file_and_survive_a_rebuilding(
    documents_of: Callable[..., Any], tmp_path: Path
) -> None:
    documents = _documents(documents_of)
    path = tmp_path / "00001_scan.nxs"
    file = NexusFile.create(path, documents[0][1], live=True)
    for name, doc in documents[1:-1]:
        file.write(name, doc)
        file.flush()
    file.add_process(Process("fit det", "an earlier one", {}))
    file.add_process(FIT)
    file.add_process(Process("com", "undula", {"com": 0.0}))
    file.close(documents[-1][1])
    _look(path)
    journal = [RunDocument(index=i, name=n, doc=d) for i, (n, d) in enumerate(documents, start=1)]
    write_archive(path, journal)
    assert rebuild(tmp_path / "00001_scan.nxs.docs", path) == path
    _look(path)
    assert [p.name for p in read_processes(path)] == ["fit det", "com"]
    assert read_processes(tmp_path / "none.nxs") == []


def test_a_name_that_the_file_needs_itself_is_left_alone(
    documents_of: Callable[..., Any], tmp_path: Path
) -> None:
    documents = _documents(documents_of)
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1])
    for name, doc in documents[1:-1]:
        file.write(name, doc)
    file.add_process(Process("data", "undula", {"x": 1}))
    path = file.close(documents[-1][1])
    with h5py.File(path, "r") as opened:
        assert opened["entry/data"].attrs["NX_class"] == "NXdata"
        assert opened["entry/process_data"].attrs["NX_class"] == "NXprocess"
