"""Room: pipes. Where the nodes of a graph run, said by whoever runs it, not by the graph. Pure.

In: a graph, and hosts by node, e.g. from a command or a device file. Out: the graph with them.
Which hosts can be reached is judged by the placement that runs it (`runner.placement`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from undula.core.errors import InputError
from undula.pipes.graph.faults import Faults, nearest
from undula.pipes.graph.load import HOST, Draft
from undula.pipes.graph.model import Graph

THIS = "here"


def placed(graph: Graph, where: Mapping[str, str]) -> Graph:
    """The graph with some nodes on other hosts; `here` is the one that runs it.

    Not yet checked anew. Raises: GraphError with every node that is not there, and what is no host.

    >>> from undula.pipes.graph import GraphBuilder
    >>> graph = GraphBuilder("live").node("det", "simulated").node("low", "threshold").graph()
    >>> placed(graph, {"low": "farm"}).nodes["low"].host
    'farm'
    """
    faults = Faults()
    draft = place_all(Draft.of(graph), where, faults)
    faults.finish(graph.name)
    return draft.graph


def place_all(draft: Draft, where: Mapping[str, str], faults: Faults) -> Draft:
    """As `placed`, of a graph as far as it could be read; what is wrong is added to `faults`."""
    nodes = dict(draft.graph.nodes)
    for name, host in where.items():
        if name in draft.broken:
            continue
        if name not in nodes:
            if draft.whole:
                faults.add(f"place.{name}", "there is no such node", nearest(name, nodes), at=0)
        elif not isinstance(host, str) or not HOST.fullmatch(host):
            remedy = "use letters, digits, . _ and -"
            faults.add(f"place.{name}", f"{host!r} is no name", remedy, at=0)
        else:
            nodes[name] = replace(nodes[name], host="" if host == THIS else host)
    return replace(draft, graph=replace(draft.graph, nodes=nodes))


def read_places(words: Sequence[str]) -> dict[str, str]:
    """Hosts by node from `NODE=HOST` words. Raises: InputError.

    >>> read_places(["low=farm", "total=here"])
    {'low': 'farm', 'total': 'here'}
    """
    found: dict[str, str] = {}
    for word in words:
        node, mark, host = word.partition("=")
        if not mark or not node or not host:
            raise InputError(f"{word!r} places no node", remedy="write NODE=HOST, e.g. low=here")
        found[node.strip()] = host.strip()
    return found
