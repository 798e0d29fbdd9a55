"""Room: files. Files that devices wrote on their own and told of, linked into the file of the run.

In: `resource` documents with the spec `undula_file`, one for each file that a device closed, or did
not write, while the run was open. Out: below the device an external link where it is HDF5, else its
name as text; beside that `NAME_problem` when it cannot be read, which the log says, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py

from undula.core.log import get_logger
from undula.files.documents import Document, h5_name
from undula.files.layout import nx_group

SPEC = "undula_file"
_HDF5 = frozenset({".h5", ".hdf5", ".hdf", ".nxs", ".nx5", ".cxi"})


def link_device_files(entry: Any, folder: Path, resources: Iterable[Document]) -> None:
    """Add the links. Structure is added: no reader may follow the file.

    Args:
        folder: where the run's file is; links to files below it are relative.
    """
    for doc in resources:
        if doc.get("spec") != SPEC:
            continue
        said = doc.get("resource_kwargs") or {}
        target = Path(str(doc.get("root") or "/")) / str(doc["resource_path"])
        relative = os.path.relpath(target, folder)
        name = str(target) if relative.startswith("..") else relative
        fault = _fault(target, missing=bool(said.get("missing")))
        home = _home(entry, str(said.get("device") or "files"))
        key = _free(home, h5_name(target.stem))
        if target.suffix.lower() in _HDF5:
            home[key] = h5py.ExternalLink(name, str(said.get("dataset") or "/"))
        else:
            data = home.create_dataset(key, data=name)
            data.attrs["long_name"] = "file that the device wrote"
        if fault:
            home.create_dataset(f"{key}_problem", data=f"{target}: {fault}")
            get_logger().warning(
                "device_file_missing",
                device=str(said.get("device") or ""),
                path=str(target),
                problem=fault,
                remedy="put it there, and the link leads to it; the run's file is sound without",
            )


def _fault(target: Path, *, missing: bool) -> str:
    """Why a file cannot be looked at; '' when it can."""
    if missing:
        return "the device could not write it"
    try:
        with target.open("rb") as file:
            file.read(1)
        if target.suffix.lower() in _HDF5:
            h5py.File(target, "r", locking=False).close()
    except FileNotFoundError:
        return "it is not there"
    except OSError as exc:
        return f"it cannot be read: {exc}"
    return ""


def _home(entry: Any, device: str) -> Any:
    name = h5_name(device)
    for parent in (entry["instrument"], entry):
        if name in parent and isinstance(parent[name], h5py.Group):
            return parent[name]
    taken = name in entry["instrument"]
    return nx_group(entry["instrument"], f"{name}_files" if taken else name, "NXdetector")


def _free(home: Any, name: str) -> str:
    number, found = 1, name
    while home.get(found, getlink=True) is not None:
        number += 1
        found = f"{name}_{number}"
    return found
