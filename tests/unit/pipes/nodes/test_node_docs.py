"""The documentation of nodes is the code's, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undula.pipes.frame import Frame
from undula.pipes.nodes import reference
from undula.pipes.nodes.registry import Shipped
from undula.pipes.nodes.user_nodes import NodeFolder

DOCS = Path(__file__).parents[4] / "docs"


def test_the_reference_page_is_this_code() -> None:
    wrong = "differs: run python -m undula.pipes.nodes.reference --write"
    assert (DOCS / "reference" / "pipe_nodes.md").read_text() == reference.page(), wrong


def test_a_node_is_described_in_plain_values() -> None:
    found = reference.described(Shipped()["roi"])
    assert found["name"] == "roi"
    assert [port["name"] for port in found["outputs"]][:2] == ["sum", "mean"]
    assert "rois" in found["parameters"]["properties"]


def test_a_page_that_differs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs/reference").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert reference.main([]) == 1
    assert "--write" in capsys.readouterr().err
    assert reference.main(["--write"]) == 0
    assert reference.main([]) == 0


def test_the_nodes_of_the_how_to_work_as_it_says(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "write-a-node.md").read_text()
    function, drift, trial = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "function.py").write_text(function)
    (tmp_path / "drift.py").write_text(drift)
    nodes = NodeFolder(tmp_path)
    assert nodes.faults == {}
    node = nodes["brightest"](above=3)
    node.accumulate(Frame(1, np.array([[1, 7]])))
    assert node.result() == {"result": 7}
    scope: dict[str, Any] = {"Drift": nodes["drift"]}
    body, _, last = trial.rstrip().rpartition("\n")
    exec(body, scope)
    call, _, wanted = last.partition("  # ")
    assert repr(eval(call, scope)) == wanted
