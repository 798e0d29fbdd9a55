"""Graphs: which nodes there are, what flows between them, and under which policy."""

from undula.pipes.graph.check import checked
from undula.pipes.graph.draw import svg
from undula.pipes.graph.load import GraphBuilder, load_graph, read_graph
from undula.pipes.graph.model import EdgeSpec, Graph, NodeSpec
from undula.pipes.graph.whole import whole_graph

__all__ = [
    "EdgeSpec",
    "Graph",
    "GraphBuilder",
    "NodeSpec",
    "checked",
    "load_graph",
    "read_graph",
    "svg",
    "whole_graph",
]
