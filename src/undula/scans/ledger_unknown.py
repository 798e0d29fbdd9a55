"""The ledger of a run whose engine died before it could add up what became of the frames. Pure.

In: the documents of its journal. Out: for each device with a graph the frames that the points name,
as far as they are known: what a point has in a file has passed on the way to that file; what became
of it elsewhere in the graph died with the engine, and is `unknown`. Called by: `recovery`. How a
ledger looks otherwise is in `undula.pipes.run_ledger`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from undula.messages import RunDocument

WRITER = "frame_file"
FATES = ("seen", "passed", "dropped", "lost", "failed", "on_the_way")


def unknown_ledgers(journal: Iterable[RunDocument]) -> dict[str, dict[str, Any]]:
    """By device, as a stop document has them; {} when no point read a device with a graph."""
    graphs: dict[str, Mapping[str, Any]] = {}
    of: dict[str, list[str]] = {}
    points: Counter[str] = Counter()
    for document in journal:
        doc = document.doc
        if document.name == "descriptor":
            found = _graphs(doc)
            graphs |= found
            of[doc["uid"]] = list(found)
        elif document.name in ("event", "event_page"):
            many = len(doc["seq_num"]) if document.name == "event_page" else 1
            points.update(dict.fromkeys(of.get(doc["descriptor"], ()), many))
    return {name: _ledger(name, graphs[name], many) for name, many in points.items()}


def _graphs(descriptor: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Configuration of the devices in it that have a graph, by their names."""
    told = {name: one.get("data", {}) for name, one in descriptor.get("configuration", {}).items()}
    return {name: data for name, data in told.items() if f"{name}_graph_edges" in data}


def _ledger(name: str, told: Mapping[str, Any], points: int) -> dict[str, Any]:
    edges = [str(text).rpartition(": ") for text in told[f"{name}_graph_edges"]]
    ends = [edge.partition(" -> ")[2].partition(".")[0] for edge, _, _ in edges]
    kept = [points if told.get(f"{name}_{end}") == WRITER else 0 for end in ends]
    many = f"{points} frame{'s' * (points != 1)}"
    return {
        "triggers": points,
        "complete": False,
        "missing": 0,
        "text": f"the engine died: of {many} that points name it is not known how they passed",
        "edge": [edge for edge, _, _ in edges],
        "policy": [policy for _, _, policy in edges],
        **{fate: kept if fate in ("seen", "passed") else [0] * len(edges) for fate in FATES},
        "unknown": [points - known for known in kept],
    }
