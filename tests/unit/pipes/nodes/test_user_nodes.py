"""A beamline's own nodes: twenty lines in its folder; a fault is shown with file and line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undula.core.errors import ConfigError, InputError
from undula.pipes.errors import GraphError
from undula.pipes.frame import Frame
from undula.pipes.graph import checked, read_graph
from undula.pipes.nodes.user_nodes import NodeFolder, fault_in, function_node, own_texts

BRIGHT = '''"""Nodes of this beamline."""

from __future__ import annotations

from undula.pipes.nodes.base import Node, Port, parameter


class BrightFraction(Node):
    """Part of the pixels that are above a level."""

    outputs = (Port("part", "part of the pixels above the level", ndim=0, kinds="f"),)
    level: float = parameter(10.0, "a pixel is bright above this", ge=0, unit="counts")

    def clear(self):
        self.part = None

    def accumulate(self, frame):
        self.part = float((frame.data > self.level).mean())

    def result(self):
        return None if self.part is None else {"part": self.part}
'''


def write(path: Path, text: str) -> None:
    """A new text, whose stamp differs whatever the clock of the file system."""
    before = path.stat().st_mtime_ns if path.exists() else 10**9
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_a_class_of_twenty_lines_is_a_node_beside_the_shipped_ones(tmp_path: Path) -> None:
    write(tmp_path / "bright.py", BRIGHT)
    nodes = NodeFolder(tmp_path)
    assert nodes.faults == {}
    assert {"roi", "bright_fraction"} <= set(nodes)
    assert len(nodes) == len(list(nodes))
    assert nodes.place("bright_fraction") == str(tmp_path / "bright.py")
    assert nodes.place("roi") == "undula"
    node = nodes["bright_fraction"](level=2)
    node.accumulate(Frame(1, np.array([[1, 2], [3, 4]])))
    assert node.result() == {"part": 0.5}
    with pytest.raises(InputError, match=r"bright_fraction.level"):
        node.change(level=-1)


def test_a_node_of_ones_own_says_which_parameters_do_not_fit_each_other(tmp_path: Path) -> None:
    hook = """
    most: float = parameter(20.0, "and not above this")

    @classmethod
    def conflicts(cls, values):
        if values.most < values.level:
            yield "most", f"{values.most} is below level", "choose it above"
"""
    write(tmp_path / "bright.py", BRIGHT.replace('unit="counts")\n', 'unit="counts")\n' + hook))
    nodes = NodeFolder(tmp_path)
    assert nodes.faults == {}
    graph = {
        "nodes": {
            "det": "simulated",
            "part": {"node": "bright_fraction", "parameters": {"level": 9, "most": 5}},
        },
        "edges": ["det -> part"],
    }
    with pytest.raises(GraphError) as found:
        checked(read_graph(graph), nodes)
    assert found.value.details == [
        "[nodes.part.parameters.most] 5.0 is below level. Remedy: choose it above."
    ]
    node = nodes["bright_fraction"]()
    with pytest.raises(InputError, match=r"bright_fraction\.most"):
        node.change(most=1)
    assert node.most == 20.0


def test_a_function_is_a_node_whose_arguments_are_parameters(tmp_path: Path) -> None:
    write(
        tmp_path / "mine.py",
        "import numpy as np\n\n"
        "def _helper(image):\n    return image.max()\n\n"
        "def brightest(image, above: float = 10.0, scale=2):\n"
        '    """Brightest pixel above a level."""\n'
        "    top = _helper(image)\n"
        "    return scale * top if top > above else None\n\n"
        "def both(image):\n    return {'low': image.min(), 'high': image.max()}\n"
        "both.outputs = ('low', 'high')\n",
    )
    nodes = NodeFolder(tmp_path)
    assert sorted(set(nodes) - set(NodeFolder())) == ["both", "brightest"]
    node = nodes["brightest"](above=3)
    assert node.help() == "Brightest pixel above a level."
    assert node.result() is None
    node.accumulate(Frame(1, np.array([1, 5])))
    assert node.result() == {"result": 10}
    node.accumulate(Frame(2, np.array([1, 2])))
    assert node.result() is None
    with pytest.raises(InputError, match=r"brightest.above"):
        nodes["brightest"](above="much")
    assert [port.name for port in nodes["both"].outputs] == ["low", "high"]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = 1\ndef broken(:\n    pass\n", 2, "invalid syntax"),
        ("import numpy\n\nnumpy.nothing\n", 3, "AttributeError"),
        ("import nothing_of_that_name\n", 1, "ModuleNotFoundError"),
        ("def bare():\n    return 1\n", 1, "takes no array"),
        ("\ndef two(image, level):\n    return level\n", 2, "level without default"),
        ("raise SystemExit('no')\n", 1, "SystemExit"),
        (BRIGHT.replace("parameter(10.0", "parameter(-1.0").replace("level: float", "level: flaot"),
         8, "flaot"),
    ],
)  # fmt: skip
def test_a_fault_names_file_and_line_and_leaves_the_others(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    write(tmp_path / "good.py", BRIGHT)
    write(tmp_path / "bad.py", text)
    nodes = NodeFolder(tmp_path)
    assert "bright_fraction" in nodes
    fault = nodes.faults[tmp_path / "bad.py"]
    assert what in str(fault)
    assert fault.where == f"{tmp_path / 'bad.py'}:{line}"


def test_a_changed_file_is_read_again_and_a_broken_one_keeps_its_nodes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    write(path, "def double(image):\n    return 2 * image\n")
    nodes = NodeFolder(tmp_path)
    old = nodes["double"]
    assert nodes.refresh() == []
    assert nodes["double"] is old
    write(path, "def double(image):\n    retrun 2 * image\n")
    assert nodes.refresh() == []
    assert nodes["double"] is old
    assert ":2" in str(nodes.faults[path])
    write(path, "def double(image):\n    return 3 * image\n")
    assert nodes.refresh() == ["double"]
    assert nodes.faults == {}
    path.unlink()
    assert nodes.refresh() == ["double"]
    assert "double" not in nodes


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "def roi(image):\n    return image\n")
    write(tmp_path / "b.py", "def mine(image):\n    return image\n")
    write(tmp_path / "c.py", "def mine(image):\n    return image\n")
    nodes = NodeFolder(tmp_path)
    assert nodes["roi"].__name__ == "RoiStatistics"
    assert "Undula has a node 'roi' already" in str(nodes.faults[tmp_path / "a.py"])
    assert "b.py has a node 'mine' already" in str(nodes.faults[tmp_path / "c.py"])


def test_an_exception_of_a_running_node_is_shown_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    write(path, "def divide(image):\n    whole = int(image.sum())\n    return 1 // whole\n")
    node = NodeFolder(tmp_path)["divide"]()
    with pytest.raises(ZeroDivisionError) as caught:
        node.accumulate(Frame(1, np.zeros(3)))
    fault = fault_in(caught.value, path)
    assert fault.where == f"{path}:3"
    assert "return 1 // whole" in fault.what


def test_a_function_without_an_array_is_no_node() -> None:
    def wrong(*, image: Any = None) -> Any:
        return image

    with pytest.raises(ConfigError, match="takes no array"):
        function_node(wrong)


def test_a_graph_keeps_what_was_read_and_its_processes_make_the_same_of_the_text(
    tmp_path: Path,
) -> None:
    write(tmp_path / "mine.py", "def mine(image):\n    return 1\n")
    nodes = NodeFolder(tmp_path)
    kept = nodes.as_read()
    write(tmp_path / "mine.py", "def mine(image):\n    return 2\n")
    assert nodes.refresh() == ["mine"]
    write(tmp_path / "mine.py", "def mine(image):\n    return 2\n")
    assert nodes.refresh() == [], "saved as it was"
    made = NodeFolder.of_texts(own_texts(kept, ["mine", "roi"]))
    for folder, value in ((kept, 1), (made, 1), (nodes, 2)):
        node = folder["mine"]()
        node.accumulate(Frame(1, np.zeros(1)))
        assert node.result() == {"result": value}
    assert own_texts(kept, ["roi"]) == own_texts({}, ["mine"]) == {}
    write(tmp_path / "mine.py", "def mine(:\n")
    nodes.refresh()
    assert [fault.where for fault in nodes.faults_of(["mine"])] == [f"{tmp_path / 'mine.py'}:1"]
    assert nodes.texts(["mine"]) == {str(tmp_path / "mine.py"): "def mine(image):\n    return 2\n"}


def test_a_file_that_is_replaced_just_now_is_not_gone(tmp_path: Path) -> None:
    path = tmp_path / "bright.py"
    write(path, BRIGHT)
    edits = [lambda: write(path, BRIGHT.replace("Part", "The part")), lambda: None]
    nodes = NodeFolder(tmp_path, pause=lambda _: edits.pop(0)())
    path.rename(tmp_path / "bright.py~")
    nodes.refresh()
    assert "bright_fraction" in nodes
    path.unlink()
    assert nodes.refresh() == ["bright_fraction"], "now it is gone"


def test_a_file_that_was_not_changed_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "bright.py"
    write(path, BRIGHT)
    nodes = NodeFolder(tmp_path)
    info = path.stat()
    path.write_bytes(b"\xff" * info.st_size)  # which could not be read
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert nodes.refresh() == []
    assert nodes.faults == {}


def test_nothing_former_is_promised_of_a_file_that_never_could_be_used(tmp_path: Path) -> None:
    path = tmp_path / "bright.py"
    write(path, "def half(")
    nodes = NodeFolder(tmp_path)
    assert nodes.faults[path].remedy == "correct the file"
    write(path, BRIGHT)
    nodes.refresh()
    write(path, "def half(")
    nodes.refresh()
    assert "its former nodes are used" in nodes.faults[path].remedy
