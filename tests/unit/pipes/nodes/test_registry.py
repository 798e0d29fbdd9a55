"""Every shipped node is there by its name, and says what it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from undula.core.errors import InputError
from undula.pipes.nodes.registry import Shipped

SHIPPED = Shipped()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_node_says_what_it_takes_gives_and_covers(name: str) -> None:
    node = SHIPPED[name]
    assert node.name == name
    assert node.help().rstrip().endswith(".")
    assert node.missing
    assert node.masked
    assert node.covers in ("frame", "window", "start")
    ports = [*node.inputs, *node.outputs]
    assert len({port.name for port in node.inputs}) == len(node.inputs)
    assert len({port.name for port in node.outputs}) == len(node.outputs)
    assert all(port.help for port in ports)
    for key, field in node.model().model_json_schema()["properties"].items():
        assert field["description"], key


@pytest.mark.parametrize("name", SHIPPED)
def test_an_unknown_parameter_is_refused_before_anything_is_made(name: str) -> None:
    with pytest.raises(InputError, match="there is no such parameter"):
        SHIPPED[name].checked(nonsense=1)


def test_names_of_nodes_bring_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from undula.pipes.nodes.registry import Shipped\n"
        "[Shipped()[name] for name in Shipped()]\n"
        "print([n for n in ('scipy', 'pyFAI', 'hdf5plugin') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
