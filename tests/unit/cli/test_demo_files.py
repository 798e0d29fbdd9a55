"""The demo's files: those of the last demo stay, and the tree that is shown is short."""

from __future__ import annotations

import os
from pathlib import Path

import h5py

from undula.cli.demo import data_folder
from undula.session.tree import brief_tree


def test_a_new_demo_replaces_the_files_of_ended_ones_only(tmp_path: Path) -> None:
    ended, living = tmp_path / "999999999", tmp_path / str(os.getppid())
    for folder in (ended, living):
        folder.mkdir()
        (folder / "file.nxs").touch()

    made = data_folder(tmp_path)

    assert made.is_dir()
    assert not ended.exists()
    assert (living / "file.nxs").exists()


def test_the_short_tree_leads_to_the_default_plot(tmp_path: Path) -> None:
    path = tmp_path / "run.nxs"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        entry.create_group("instrument").attrs["NX_class"] = "NXinstrument"
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="diode")
        data["diode"] = [1, 2, 3]
        data["diode"].attrs["units"] = "counts"

    assert brief_tree(path) == [
        "run.nxs",
        "  entry: NXentry  @default",
        "    instrument: NXinstrument, 0 entries",
        "    data: NXdata  @default",
        "      diode 3 int64 (counts)",
    ]
