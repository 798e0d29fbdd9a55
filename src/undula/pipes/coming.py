"""Room: pipes. Whether a result of a frame can still come over an edge, or why it never will. Pure.

In: a graph, what is known of its edges, a frame's number. Out: why nothing comes, or None while it
may come. A node confirms a frame only when what it made of it was handed on: one that is done with
a frame of which nothing is on its way had nothing to say. That it is done may be known from the
node before it, when what it handed on is not: `Nothing.after` has those who must have spoken since.
Called by: `points`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from undula.pipes.graph.model import EdgeSpec, Graph
from undula.pipes.ledger import EdgeLedger

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why nothing comes.

    Args:
        why: in words.
        after: nodes that must have said, since this was found, what they counted; if it is found
            again then, it is sure. None of them: it is sure now.
    """

    why: str
    after: frozenset[str] = NOBODY


def nothing_comes(
    graph: Graph, types: Mapping[str, Any], ledgers: Mapping[str, EdgeLedger], edge: EdgeSpec,
    number: int,
) -> Nothing | None:  # fmt: skip
    """Why there will be nothing of frame `number` on this edge; None while there may be."""
    ledger = ledgers.get(edge.name)
    if ledger is not None and number in ledger.dropped:
        return Nothing(_left_out(edge))
    if ledger is not None and number in ledger.seen:
        return None
    found: list[Nothing] = []
    for above in _deciding(graph, types, edge):
        one = _done_with(graph, types, ledgers, above, number)
        if one is None:
            return None
        found.append(one)
    return Nothing(found[0].why, NOBODY.union(*(n.after for n in found))) if found else None


def _deciding(graph: Graph, types: Mapping[str, Any], edge: EdgeSpec) -> list[EdgeSpec]:
    """The edges whose frames make those of this one."""
    into = [above for above in graph.into(edge.source) if not above.feedback]
    passed = types[graph.nodes[edge.source].kind].passes.get(edge.source_port)
    return [above for above in into if passed is None or above.target_port == passed]


def _done_with(
    graph: Graph, types: Mapping[str, Any], ledgers: Mapping[str, EdgeLedger], edge: EdgeSpec,
    number: int,
) -> Nothing | None:  # fmt: skip
    """Why the node at the end of this edge makes nothing more of a frame; None while it may."""
    ledger = ledgers.get(edge.name)
    if ledger is not None and number in ledger.seen:
        if number in ledger.failed:
            return Nothing(f"{edge.target} failed on it")
        if number in ledger.passed:
            return Nothing(f"{edge.target} had nothing to say", frozenset([edge.target]))
        if number in ledger.lost and edge.policy.kind != "lossless":
            return Nothing(f"it went with {edge.target} when that died")
        return Nothing(_left_out(edge)) if number in ledger.dropped else None
    above = nothing_comes(graph, types, ledgers, edge, number)
    if above is None or not above.after:
        return above
    return Nothing(above.why, above.after | {edge.target})  # what died may have left it a frame


def _left_out(edge: EdgeSpec) -> str:
    if edge.policy.kind == "lossless":
        return f"{edge.source} had nothing to say"
    return f"{edge.name} is {edge.policy.text} and left it out"
