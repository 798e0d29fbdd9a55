"""Room: pipes. Graphs from YAML, JSON or Python, with every fault of their form.

In: a file, its text, or plain dicts and lists. Out: `Graph`, or one GraphError that lists all
faults, each with its path in the graph and what to do. What nodes and ports there are is judged in
`check`; an edge may leave a port out, which `check` then fills in. A `Draft` is a graph as far as
it can be read: `check` judges that too, so that all faults are told at once (`whole`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undula.core.errors import InputError
from undula.pipes.errors import GraphError
from undula.pipes.graph.faults import Faults, nearest
from undula.pipes.graph.model import DEFAULT_BUDGET_BYTES, EdgeSpec, Graph, NodeSpec
from undula.pipes.graph.text import GraphText, read_text
from undula.pipes.policy import Policy, parse_policy, parse_size

GRAPH_KEYS = ("name", "nodes", "edges")
NODE_KEYS = ("node", "parameters", "process", "on_failure", "budget", "frame", "host", "spill")
EDGE_KEYS = ("from", "to", "policy", "budget", "feedback")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_END = re.compile(r"([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?")
MAX_NODES = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """A graph as far as it can be read.

    Args:
        graph: what is right of it; a node that has a fault of its form is left out.
        edges: as they stand, None for one that cannot be read.
        broken: nodes that are there, and are left out.
        unsaid: nodes whose parameters cannot be read.
        unread: what is written for edges that cannot be read.
        whole: its nodes and its edges are there; else nobody knows what is missing.
    """

    graph: Graph
    edges: tuple[EdgeSpec | None, ...] = ()
    broken: frozenset[str] = frozenset()
    unsaid: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    whole: bool = True

    @classmethod
    def of(cls, graph: Graph) -> Draft:
        """One without a fault of its form."""
        return cls(graph, graph.edges)


def read_file(path: Path) -> GraphText:
    """What a YAML or JSON file says, and where. Raises: GraphError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = "it is not UTF-8 text" if isinstance(exc, UnicodeDecodeError) else exc.strerror
        raise GraphError(
            f"{path} cannot be read: {why}", remedy="give the path of a graph file (YAML or JSON)"
        ) from exc
    return read_text(text, str(path))


def load_graph(path: Path) -> Graph:
    """A graph from a YAML or JSON file, not yet checked against nodes. Raises: GraphError."""
    text = read_file(path)
    faults = text.faults(path.name)
    draft = read_draft(text.content, path.stem, faults)
    faults.finish(draft.graph.name)
    return draft.graph


def read_graph(content: Any, name: str = "graph") -> Graph:
    """A graph from plain dicts and lists. Raises: GraphError listing every fault of its form."""
    faults = Faults()
    draft = read_draft(content, name, faults)
    faults.finish(draft.graph.name)
    return draft.graph


def read_draft(content: Any, name: str, faults: Faults) -> Draft:
    """A graph as far as it can be read; `faults` has what cannot."""
    if not isinstance(content, Mapping):
        faults.add(name, f"a graph is a mapping, not {_kind(content)}", "write nodes: and edges:")
        return Draft(Graph(name, {}, ()), whole=False)
    for key in content:
        if key not in GRAPH_KEYS:
            remedy = nearest(str(key), GRAPH_KEYS)
            faults.add(f"{name}.{key}", "there is no such key", remedy, at=str(key))
    title = content.get("name", name)
    if not isinstance(title, str) or not _NAME.fullmatch(title.replace("-", "_")):
        whose = "" if "name" in content else ", as the file is called,"
        remedy = "use letters, digits, - and _, at most 32"
        faults.add(
            "name", f"{title!r}{whose} is no name", f"add name: {remedy}" if whose else remedy
        )
        title = name
    wrong: set[str] = set()
    unsaid: set[str] = set()
    nodes = _nodes(content.get("nodes"), faults, wrong, unsaid)
    edges, unread = _edges(content.get("edges", []), faults, wrong)
    right = tuple(edge for edge in edges if edge is not None)
    there = isinstance(content.get("nodes"), Mapping) and isinstance(content.get("edges", []), list)
    return Draft(
        Graph(str(title), nodes, right), tuple(edges), frozenset(wrong), frozenset(unsaid),
        tuple(unread), whole=there and bool(nodes or wrong),
    )  # fmt: skip


def _kind(value: Any) -> str:
    if value == "":
        return "empty"
    words = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing",
             bool: "true or false", int: "a number", float: "a number"}  # fmt: skip
    return words.get(type(value), type(value).__name__)


def _keys(content: Mapping[Any, Any], known: tuple[str, ...], path: str, faults: Faults) -> bool:
    """Whether there is no other key than the known ones."""
    for key in content:
        if key not in known:
            remedy = nearest(str(key), known)
            if known is NODE_KEYS and remedy.startswith("there"):
                remedy = f"if the node takes it, write it below parameters:; else {remedy}"
            faults.add(f"{path}.{key}", "there is no such key", remedy)
    return set(content) <= set(known)


def _nodes(content: Any, faults: Faults, wrong: set[str], unsaid: set[str]) -> dict[str, NodeSpec]:
    """The nodes that can be read; `wrong` has the names of the others.

    `unsaid` has those whose parameters cannot be read.
    """
    if not isinstance(content, Mapping) or not content:
        faults.add("nodes", f"it is {_kind(content)}", "write at least one node: NAME: {node: ...}")
        return {}
    if len(content) > MAX_NODES:
        faults.add("nodes", f"{len(content)} nodes are too many", f"use {MAX_NODES} at most")
        return {}
    found = {}
    for name, value in content.items():
        path = f"nodes.{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            faults.add(path, "this is no name of a node", "use letters, digits and _, at most 32")
        elif isinstance(value, str) and value:
            found[name] = NodeSpec(name, value)
        elif isinstance(value, Mapping):
            found[name] = _node(name, value, path, faults, unsaid)
        else:
            faults.add(path, f"it is {_kind(value)}", "write {node: KIND, parameters: {...}}")
        if name not in found or not found[name].kind:
            found.pop(name, None)
            wrong.add(str(name))
    return found


def _node(
    name: str, content: Mapping[str, Any], path: str, faults: Faults, unsaid: set[str]
) -> NodeSpec:
    if not _keys(content, NODE_KEYS, path, faults):
        unsaid.add(name)
    kind = content.get("node")
    if not isinstance(kind, str) or not kind:
        faults.add(f"{path}.node", "it says not what this node is", "write node: and its kind")
        kind = ""
    parameters = content.get("parameters", {})
    if not isinstance(parameters, Mapping) or not all(isinstance(k, str) for k in parameters):
        faults.add(f"{path}.parameters", f"it is {_kind(parameters)}", "write NAME: value")
        parameters = {}
        unsaid.add(name)
    process = content.get("process", "")
    if not isinstance(process, str) or (process and not _NAME.fullmatch(process)):
        faults.add(f"{path}.process", f"{process!r} is no name", "use letters, digits and _")
        process = ""
    host = content.get("host", "")
    if not isinstance(host, str) or (host and not HOST.fullmatch(host)):
        faults.add(f"{path}.host", f"{host!r} is no name", "use letters, digits, . _ and -")
        host = ""
    spill = content.get("spill", "")
    if not isinstance(spill, str):
        faults.add(f"{path}.spill", f"it is {_kind(spill)}", "write the path of a folder on a disk")
        spill = ""
    on_failure = content.get("on_failure", "skip")
    if on_failure not in ("skip", "stop"):
        faults.add(f"{path}.on_failure", f"{on_failure!r} is no choice", "write skip or stop")
        on_failure = "skip"
    budget = _size(content.get("budget"), f"{path}.budget", faults)
    frame = _size(content.get("frame"), f"{path}.frame", faults)
    return NodeSpec(
        name, kind, dict(parameters), process, on_failure, budget or DEFAULT_BUDGET_BYTES, frame,
        host, spill,
    )  # fmt: skip


def _size(value: Any, path: str, faults: Faults) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise InputError(f"it is {_kind(value)}", remedy="write bytes, or 512 MB, 2 GB")
        size = parse_size(value)
        if size <= 0:
            raise InputError(f"{value!r} is too small", remedy="write more than 0")
    except InputError as exc:
        faults.add(path, exc.what, exc.remedy)
        return None
    return size


def _edges(
    content: Any, faults: Faults, wrong: set[str]
) -> tuple[list[EdgeSpec | None], list[str]]:
    """The edges, and what is written for those that cannot be read."""
    if not isinstance(content, list):
        faults.add("edges", f"it is {_kind(content)}", "write a list: - SOURCE -> TARGET")
        return [], []
    found = [_edge(value, f"edges.{n}", faults, wrong) for n, value in enumerate(content)]
    unread = [str(v) for v, edge in zip(content, found, strict=True) if edge is None]
    return found, unread


def _edge(value: Any, path: str, faults: Faults, wrong: set[str]) -> EdgeSpec | None:
    if isinstance(value, str):
        value = _arrow(value, {})
    elif isinstance(value, Mapping) and len(value) == 1 and "->" in str(next(iter(value))):
        ((arrow, policy),) = value.items()
        value = _arrow(str(arrow), {"policy": policy})
    if not isinstance(value, Mapping) or not {"from", "to"} <= set(value):
        faults.add(path, "it says not from where to where", "write SOURCE -> TARGET, or from, to")
        return None
    _keys(value, EDGE_KEYS, path, faults)
    ends = [_END.fullmatch(str(value[key]).strip()) for key in ("from", "to")]
    for key, end in zip(("from", "to"), ends, strict=True):
        if end is None and str(value[key]).strip() not in wrong:
            faults.add(f"{path}.{key}", f"{value[key]!r} is no port", "write NODE or NODE.PORT")
    feedback = value.get("feedback", False)
    if not isinstance(feedback, bool):
        faults.add(f"{path}.feedback", f"it is {_kind(feedback)}", "write true or false")
        feedback = False
    policy = _policy(value, path, faults)
    start, stop = ends
    if start is None or stop is None:
        return None
    return EdgeSpec(start[1], start[2] or "", stop[1], stop[2] or "", policy, feedback)


def _arrow(text: str, others: dict[str, Any]) -> Any:
    """The ends of an edge; in quotes, and in Python, a policy may stand behind them."""
    start, mark, end = text.partition("->")
    end, _, policy = end.partition(": ")
    said = {"policy": policy.strip()} if policy else {}
    return {"from": start.strip(), "to": end.strip()} | said | others if mark else text


def _policy(value: Mapping[str, Any], path: str, faults: Faults) -> Policy:
    text = value.get("policy", "latest" if value.get("feedback") is True else "lossless")
    try:
        if not isinstance(text, str):
            raise InputError(f"it is {_kind(text)}", remedy="write lossless, latest, sample(1/n)")
        return parse_policy(text, value.get("budget"))
    except InputError as exc:
        faults.add(f"{path}.policy", exc.what, exc.remedy)
        return Policy("latest" if value.get("feedback") is True else "lossless")


class GraphBuilder:
    """A graph, written in Python.

    >>> live = GraphBuilder("live")
    >>> live = live.node("det", "simulated", rate_hz=10).node("view", "preview")
    >>> live.edge("det -> view", "latest").graph().edges[0].policy.text
    'latest'
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: dict[str, Any] = {}
        self._edges: list[Any] = []

    def node(
        self, name: str, kind: str, *, process: str = "", on_failure: str = "skip",
        budget: str | int | None = None, host: str = "", spill: str = "",
        **parameters: Any,
    ) -> GraphBuilder:  # fmt: skip
        """One more node, its parameters as keywords. Raises: GraphError for a second `name`."""
        if name in self._nodes:
            raise GraphError(
                f"there are two nodes {name!r}", remedy="name them apart", where=f"nodes.{name}"
            )
        made: dict[str, Any] = {"node": kind, "parameters": parameters, "on_failure": on_failure}
        self._nodes[name] = made
        if process:
            made["process"] = process
        if spill:
            made["spill"] = spill
        if host:
            made["host"] = host
        if budget is not None:
            made["budget"] = budget
        return self

    def edge(
        self, arrow: str, policy: str | None = None, *, budget: str | int | None = None,
        feedback: bool = False,
    ) -> GraphBuilder:  # fmt: skip
        """One more edge, `det.frames -> roi.frames`; ports may be left out where there is one."""
        made: dict[str, Any] = {"feedback": feedback}
        if policy is not None:
            made["policy"] = policy
        if budget is not None:
            made["budget"] = budget
        self._edges.append(_arrow(arrow, made))
        return self

    def graph(self) -> Graph:
        """The graph, not yet checked against nodes. Raises: GraphError."""
        return read_graph({"name": self._name, "nodes": self._nodes, "edges": self._edges})
