"""The tree of an HDF5 file as text: names, classes, shapes, units. It only reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

MAX_CHILDREN = 12
OPENED = ("collection", "primary")
"""Collections that are walked; the others are counted."""


def file_tree(path: Path, width: int = 80) -> list[str]:
    """One line for each group and data set, indented; long groups are cut with a count.

    Raises: StorageError when the file cannot be read.
    """
    from undula.files.reading import open_file

    lines = [path.name]
    with open_file(path) as file:
        _walk(file, "  ", lines)
    return [line[: width - 1] + "…" if len(line) > width else line for line in lines]


def brief_tree(path: Path) -> list[str]:
    """The way to the default plot, what is plotted, and how much each other main group holds.

    Raises: StorageError when the file cannot be read.
    """
    from undula.files.reading import open_file

    lines = [path.name]
    with open_file(path) as file:
        group, indent = file, "  "
        while True:
            default = group.attrs.get("default")
            name = _text(default) if default is not None else ""
            if not isinstance(group.get(name) if name else None, h5py.Group):
                break
            _others(group, name, indent, lines)
            group = group[name]
            lines.append(f"{indent}{name}: {_text(group.attrs.get('NX_class', 'group'))}  @default")
            indent += "  "
        lines += [
            f"{indent}{name} {_about(node)}"
            for name, node in group.items()
            if isinstance(node, h5py.Dataset)
        ]
    return lines


def _others(group: Any, default: str, indent: str, lines: list[str]) -> None:
    for name in group:
        node = group.get(name)
        if name != default and isinstance(node, h5py.Group):
            kind = _text(node.attrs.get("NX_class", "group"))
            lines.append(f"{indent}{name}: {kind}, {len(node)} entries")


def _walk(group: Any, indent: str, lines: list[str]) -> None:
    names = list(group)
    for name in names[:MAX_CHILDREN]:
        node = group.get(name)
        if node is None:
            lines.append(f"{indent}{name} -> (not there)")
        elif isinstance(node, h5py.Group):
            kind = node.attrs.get("NX_class")
            lines.append(f"{indent}{name}" + (f": {_text(kind)}" if kind is not None else "/"))
            if _text(kind) == "NXcollection" and name not in OPENED:
                lines[-1] += f", {len(node)} entries"
            elif isinstance(group.get(name, getlink=True), h5py.HardLink):
                _walk(node, indent + "  ", lines)
        else:
            lines.append(f"{indent}{name} {_about(node)}")
    if len(names) > MAX_CHILDREN:
        lines.append(f"{indent}... and {len(names) - MAX_CHILDREN} more")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _about(node: Any) -> str:
    shape = "x".join(map(str, node.shape)) or "scalar"
    kind = "text" if h5py.check_string_dtype(node.dtype) is not None else str(node.dtype)
    units = node.attrs.get("units")
    return f"{shape} {kind}" + (f" ({_text(units)})" if units is not None and len(units) else "")
