"""What a node may give, and how it is told when it gives something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from undula.pipes.errors import PipeError
from undula.pipes.frame import Frame
from undula.pipes.graph import GraphBuilder
from undula.pipes.nodes.user_nodes import nodes_of
from undula.pipes.runner.blame import blamed
from undula.pipes.runner.results import Results


@pytest.mark.parametrize("value", ["'bright'", "['a', 'b']", "{'result': [None]}"])
def test_a_value_that_is_no_number_is_told_by_node_and_port(value: str) -> None:
    text = f"def brightness(image):\n    return {value}\n"
    node = nodes_of(Path("bright.py"), text)["brightness"]()
    graph = GraphBuilder("text").node("part", "brightness").node("out", "channel")
    made = graph.edge("part.result -> out.values").graph()
    results = Results(made.nodes["part"], node, made.out_of("part"))
    frame = Frame(3, np.zeros((2, 2)))
    node.accumulate(frame)
    with pytest.raises(PipeError, match="brightness gave result a value that is no") as raised:
        results.take(frame)
    told = blamed(raised.value, node, 3)
    assert told.startswith("PipeError: [part.result] ")
    assert ".py" not in told, "no file of the house is to be looked at"
    assert told.endswith("array of numbers. at frame 3")
