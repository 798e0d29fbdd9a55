"""Room: pipes. A graph as SVG: nodes in columns from left to right, edges with policies. Pure.

In: a graph that was checked, and perhaps what to write under each node and edge (rates, errors).
Out: SVG text that any browser shows; names are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from undula.pipes.graph.model import EdgeSpec, Graph, NodeSpec

WIDE, HIGH, GAP_X, GAP_Y, EDGE_OF_PAGE = 150, 54, 110, 34, 24
COLOURS = {"lossless": "#1f6feb", "latest": "#2da44e", "sample": "#9a6700", "spill": "#8250df"}
STYLE = (
    "text{font:13px sans-serif;fill:#1f2328}.small{font-size:11px;fill:#59636e}"
    ".fault{fill:#cf222e}rect{fill:#f6f8fa;stroke:#59636e;rx:6}.bad{stroke:#cf222e;stroke-width:2}"
    "path{fill:none;stroke-width:1.6}"
)


def columns(graph: Graph) -> dict[str, int]:
    """How far from its source each node stands: the longest way, feedback apart."""
    found: dict[str, int] = {}
    for name in graph.order():
        above = [found[e.source] for e in graph.into(name) if not e.feedback and e.source in found]
        found[name] = max(above, default=-1) + 1
    return found


def svg(
    graph: Graph,
    notes: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
) -> str:
    """The picture. `notes` are written at nodes and edges by their names, `faults` in red."""
    notes, faults = notes or {}, faults or {}
    place: dict[str, tuple[int, int]] = {}
    rows: dict[int, int] = {}
    for name, column in columns(graph).items():
        row = rows.setdefault(column, 0)
        rows[column] += 1
        x = EDGE_OF_PAGE + column * (WIDE + GAP_X)
        place[name] = (x, EDGE_OF_PAGE + 16 + row * (HIGH + GAP_Y))
    width = max((x for x, _ in place.values()), default=0) + WIDE + EDGE_OF_PAGE
    back = sum(edge.feedback for edge in graph.edges)
    height = max((y for _, y in place.values()), default=0) + HIGH + EDGE_OF_PAGE + 24 * back
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img"><title>{escape(graph.name)}</title>'
        f"<style>{STYLE}</style>"
    ]
    low = height - EDGE_OF_PAGE - 24 * back
    for edge in graph.edges:
        if edge.feedback:
            low += 24
        parts.append(_edge(edge, place, notes.get(edge.name, ""), low))
    for name, (x, y) in place.items():
        parts.append(_node(graph.nodes[name], (x, y), notes.get(name, ""), faults.get(name, "")))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _node(node: NodeSpec, place: tuple[int, int], note: str, fault: str) -> str:
    (x, y), name = place, node.name
    where = f" in {node.process}" if node.process else ""
    where += f" on {node.host}" if node.host else ""
    lines = [
        f'<text x="{x + WIDE // 2}" y="{y + 20}" text-anchor="middle">{escape(name)}</text>',
        f'<text class="small" x="{x + WIDE // 2}" y="{y + 36}" text-anchor="middle">'
        f"{escape(node.kind + where)}</text>",
    ]
    if note or fault:
        mark = "small fault" if fault else "small"
        lines.append(
            f'<text class="{mark}" x="{x + WIDE // 2}" y="{y + 49}" text-anchor="middle">'
            f"{escape((fault or note)[:40])}</text>"
        )
    bad = ' class="bad"' if fault else ""
    rect = f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}"{bad}/>'
    return f'<g id="{escape(name)}">{rect}{"".join(lines)}</g>'


def _edge(edge: EdgeSpec, place: Mapping[str, tuple[int, int]], note: str, low: int) -> str:
    (x1, y1), (x2, y2) = place[edge.source], place[edge.target]
    x1, y1, y2 = x1 + WIDE, y1 + HIGH // 2, y2 + HIGH // 2
    colour = COLOURS[edge.policy.kind]
    dashes = "" if edge.policy.kind == "lossless" else ' stroke-dasharray="6 3"'
    if edge.feedback:
        way = f"M{x1},{y1} C{x1 + 50},{low} {x2 - 50},{low} {x2},{y2}"
        at = ((x1 + x2) // 2, low - 6)
    else:
        bend = max(30, (x2 - x1) // 2)
        way = f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"
        at = ((x1 + x2) // 2, (y1 + y2) // 2 - 6)
    text = " ".join(part for part in (edge.policy.text, note) if part)
    return (
        f'<g><title>{escape(edge.name)}</title><path d="{way}" stroke="{colour}"{dashes}/>'
        f'<circle cx="{x2}" cy="{y2}" r="3" fill="{colour}"/>'
        f'<text class="small" x="{at[0]}" y="{at[1]}" text-anchor="middle">{escape(text)}</text>'
        "</g>"
    )
