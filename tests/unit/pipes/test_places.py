"""Where nodes run, and the folder of a graph's sockets, which is gone when nobody has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from undula.core.errors import InputError
from undula.pipes.errors import GraphError
from undula.pipes.graph import GraphBuilder, checked, read_graph, whole_graph
from undula.pipes.graph.place import placed, read_places
from undula.pipes.graph_of_device import usable_graph
from undula.pipes.nodes.registry import Shipped
from undula.pipes.nodes.user_nodes import NodeFolder
from undula.pipes.runner.placement import Site, placeable
from undula.pipes.runner.places import PREFIX, OwnFolder, sweep

TYPES = Shipped()
HOLDER = """
import os
from undula.pipes.runner.places import OwnFolder
folder = OwnFolder()
(folder.path / "det.frames").touch()
print(folder.path, flush=True)
input()
"""


def test_the_folder_of_a_killed_runner_is_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        path = Path(holder.stdout.readline().decode().strip())
        assert path.parent == tmp_path
        assert sweep(tmp_path) == [], "its owner lives"
        assert (path / "det.frames").exists()
        holder.kill()
    own = OwnFolder()
    assert list(tmp_path.glob(f"{PREFIX}*")) == [own.path]
    own.close()
    assert list(tmp_path.iterdir()) == []


def graph() -> GraphBuilder:
    made = GraphBuilder("live").node("det", "simulated", spill="/nvme")
    return made.node("low", "threshold", host="farm").edge("det -> low", "spill(1 MB)")


def test_a_host_is_told_once_and_what_only_follows_from_another_is_not() -> None:
    made = GraphBuilder("live").node("det", "simulated").node("low", "threshold")
    made = made.node("far", "threshold", host="farm").node("total", "sum", host="farm")
    made = made.edge("det -> low").edge("det -> far").edge("far.frames -> total")
    whole = checked(made.graph(), TYPES)

    def told(sites: dict[str, Site]) -> list[str]:
        with pytest.raises(GraphError) as found:
            placeable(whole, sites)
        return [f"{fault.path}: {fault.what}" for fault in found.value.faults]

    away = told({"": Site()})
    assert [line.partition(" can")[0] for line in away] == [
        "nodes.far.host: nothing here", "nodes.total.host: nothing here"
    ]  # fmt: skip
    assert sorted(told({"": Site(), "farm": Site()})) == [
        "nodes.det.host: host 'here' has no keys for links to others",
        "nodes.far.host: host 'farm' has no keys for links to others",
    ]


def test_what_a_command_says_of_places_is_not_looked_for_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "live.yaml"
    file.write_text("nodes: {det: simulated, total: sum}\nedges: [det -> total]")
    with pytest.raises(GraphError) as found:
        whole_graph(file, TYPES, place={"dat": "here"})
    assert found.value.details == ["[place.dat] there is no such node. Remedy: did you mean det?"]


def test_nodes_are_placed_over_what_the_graph_says() -> None:
    made = placed(graph().graph(), read_places(["det=farm", "low=here"]))
    assert {name: node.host for name, node in made.nodes.items()} == {"det": "farm", "low": ""}
    assert read_graph(checked(made, TYPES).plain()).nodes["det"].spill == "/nvme"


def test_every_place_that_is_none_is_refused_with_its_remedy() -> None:
    with pytest.raises(GraphError) as caught:
        placed(graph().graph(), {"lwo": "farm", "det": "a b"})
    assert "[place.lwo] there is no such node. Remedy: did you mean low?" in str(caught.value)
    assert "[place.det] 'a b' is no name" in str(caught.value)
    with pytest.raises(InputError, match="places no node"):
        read_places(["low"])


def test_a_detector_whose_graph_needs_another_host_is_refused_when_it_is_described() -> None:
    plain = checked(graph().graph(), TYPES).plain()
    with pytest.raises(GraphError, match="nothing here can start a process on 'farm'"):
        usable_graph("cam", plain, NodeFolder())
    assert usable_graph("cam", plain, NodeFolder(), {"low": "here"}).source == "det"
