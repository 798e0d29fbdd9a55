"""`undula pipes set|clear`: nodes of a graph of a running beamline, changed from the command line.

In: GRAPH NODE.PARAMETER VALUE. Out: what was before and is now. The engine checks it.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
import yaml

from undula.cli.output import BeamlineOption, JsonOption, kind, print_json
from undula.core.errors import InputError

GraphName = Annotated[str, typer.Argument(help="Device that has the graph.")]


@kind
def set_parameter(
    graph: GraphName,
    parameter: Annotated[
        str, typer.Argument(help="NODE.PARAMETER; a part of one: roi.rois.beam.x", metavar="NAME")
    ],
    value: Annotated[str, typer.Argument(help="As in a graph file: 5, 1.5, true, [1, 2], none.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Change a parameter of a node while its graph runs; it holds from the next frame on.

    A run that is open says so in its stop document and its file.

    Example: undula pipes set cam low.low 5

    Example: undula pipes set cam roi.rois.beam.x 120
    """
    from undula.client import connect

    node, dot, path = parameter.partition(".")
    if not dot or not path:
        raise InputError(
            f"{parameter!r} names no parameter", remedy="write NODE.PARAMETER, e.g. low.low"
        )
    with connect(beamline) as client:
        known = client.pipes[graph].nodes.get(node, {}).get("parameters", {})
        typed = str(known.get(path, {}).get("type", ""))
        reply = client.pipes[graph].set(node, {path: plain_value(value, typed)})
    if as_json:
        print_json(reply)
        return
    for name, (before, now) in reply["changed"].items():
        print(f"{graph}: {node}.{name} is {now}, was {before}")
    if not reply["runs"]:
        print("the graph does not run: it holds from its start on")


@kind
def clear(
    graph: GraphName,
    node: Annotated[str, typer.Argument(help="Name of the node.")],
    beamline: BeamlineOption = None,
) -> None:
    """Let a node forget all frames so far: a sum, a map, a histogram.

    Example: undula pipes clear cam total
    """
    from undula.client import connect

    with connect(beamline) as client:
        client.pipes[graph].clear(node)
    print(f"{graph}: {node} begins anew")


def plain_value(text: str, typed: str = "") -> Any:
    """A value as it is typed.

    Args:
        typed: of the parameter, as a node tells it: `string` and one of its choices take the word.
    Raises: InputError.

    >>> plain_value("1.5"), plain_value("[1, 2]"), plain_value("mask.h5::/data")
    (1.5, [1, 2], 'mask.h5::/data')
    >>> plain_value("none"), plain_value("none", "bslz4 or none"), plain_value("5", "string")
    (None, 'none', '5')
    """
    if typed == "string":
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise InputError(f"{text!r} is no value", remedy="write it as in a graph file") from exc
    if text in typed.split(" or ") and type(value) not in (int, float):
        return text
    return None if text.lower() == "none" else value
