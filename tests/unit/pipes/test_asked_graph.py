"""What others may ask of a graph that a command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from undula.core.errors import BusyError
from undula.messages import GraphAsked
from undula.pipes.asked_graph import AskedGraph
from undula.pipes.graph import checked, read_graph
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner.runner import Runner

BOX = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
DET = {"node": "simulated", "parameters": {"width": 8, "height": 8, "rate_hz": 0}}
PLAIN: dict[str, Any] = {
    "name": "live",
    "nodes": {
        "det": DET,
        "other": DET,
        "roi": {"node": "roi", "parameters": {"rois": {"beam": BOX}}},
        "sum": "sum",
    },
    "edges": ["det -> roi", "other -> sum"],
}


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[AskedGraph]:
    types = Shipped()
    with closing(Runner(checked(read_graph(PLAIN), types), types)) as runner:
        yield AskedGraph("live", runner, types, tmp_path)


@pytest.mark.parametrize("source", ["det", "other"])
@pytest.mark.parametrize(("name", "value"), [("width", 2000), ("dtype", "uint32")])
def test_nobody_changes_the_form_of_frames_under_a_command_that_runs(
    asked: AskedGraph, source: str, name: str, value: Any
) -> None:
    wish = GraphAsked(
        ask_id="1", action="set", node=source, parameters={name: value}, user="a colleague"
    )
    with pytest.raises(BusyError, match=rf"{source}\.frames would be .*of one form"):
        asked.do(wish)
    shown = asked.do(wish.model_copy(update={"action": "show"}))
    assert shown["nodes"][source]["parameters"][name]["value"] != value
