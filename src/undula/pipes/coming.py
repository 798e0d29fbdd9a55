"""Room: pipes. Whether a result of a frame can still come over an edge, or why it never will. Pure.

In: a graph, what is known of its edges (ledgers of one moment), a frame's number. Out: words, or ''
while it may come. A node confirms a frame only when what it made of it was handed on: one that is
done with a frame of which nothing is on its way had nothing to say. Called by: `points`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from undula.pipes.graph.model import EdgeSpec, Graph
from undula.pipes.ledger import EdgeLedger


def nothing_comes(
    graph: Graph, types: Mapping[str, Any], ledgers: Mapping[str, EdgeLedger], edge: EdgeSpec,
    number: int,
) -> str:  # fmt: skip
    """Why there will be nothing of frame `number` on this edge; '' while there may be."""
    ledger = ledgers.get(edge.name)
    if ledger is not None and number in ledger.dropped:
        return _left_out(edge)
    if ledger is not None and number in ledger.seen:
        return ""
    whys = [_done_with(graph, types, ledgers, above, number)
            for above in _deciding(graph, types, edge)]  # fmt: skip
    return whys[0] if whys and all(whys) else ""


def _deciding(graph: Graph, types: Mapping[str, Any], edge: EdgeSpec) -> list[EdgeSpec]:
    """The edges whose frames make those of this one."""
    into = [above for above in graph.into(edge.source) if not above.feedback]
    passed = types[graph.nodes[edge.source].kind].passes.get(edge.source_port)
    return [above for above in into if passed is None or above.target_port == passed]


def _done_with(
    graph: Graph, types: Mapping[str, Any], ledgers: Mapping[str, EdgeLedger], edge: EdgeSpec,
    number: int,
) -> str:  # fmt: skip
    """Why the node at the end of this edge makes nothing more of a frame; '' while it may."""
    ledger = ledgers.get(edge.name)
    if ledger is not None and number in ledger.seen:
        if number in ledger.failed:
            return f"{edge.target} failed on it"
        if number in ledger.passed:
            return f"{edge.target} had nothing to say"
        if number in ledger.lost and edge.policy.kind != "lossless":
            return f"it went with {edge.target} when that died"
        return _left_out(edge) if number in ledger.dropped else ""
    return nothing_comes(graph, types, ledgers, edge, number)


def _left_out(edge: EdgeSpec) -> str:
    if edge.policy.kind == "lossless":
        return f"{edge.source} had nothing to say"
    return f"{edge.name} is {edge.policy.text} and left it out"
