"""For how large a grid maps have room, whichever of their processes were started anew."""

from __future__ import annotations

from undula.pipes.graph import checked, read_graph
from undula.pipes.map_room import MapRoom, behind
from undula.pipes.nodes.registry import Shipped

NEVER = {"map": 0, "view": 0}
MAP_ANEW = {"map": 1, "view": 0}


def room_after(*runs: tuple[int, dict[str, int], bool]) -> MapRoom:
    """Behind runs with so many points, restarts when they began, and whether they had frames."""
    room, handed_on = MapRoom(), False
    for points, restarts, frames in runs:
        room.begin(points, restarts, restarts if handed_on else ())
        handed_on = frames
    return room


def test_there_is_room_for_the_first_grid_until_a_process_is_started_anew() -> None:
    assert MapRoom().points({}) == 0
    room = room_after((2500, NEVER, True), (16, NEVER, True))
    assert room.points(NEVER) == 2500
    assert room.points(MAP_ANEW) == 16, "its successor made room by the small grid"


def test_what_a_successor_made_room_for_is_remembered_in_later_runs() -> None:
    room = room_after((2500, NEVER, True), (16, NEVER, True), (9, MAP_ANEW, True))
    assert room.points(MAP_ANEW) == 16, "it may have made it in either run"
    room = room_after((2500, NEVER, True), (16, NEVER, True), (9, MAP_ANEW, True),
                      (4, MAP_ANEW, True))  # fmt: skip
    assert room.points(MAP_ANEW) == 16


def test_a_run_without_a_frame_made_no_room() -> None:
    room = room_after((2500, NEVER, False), (16, NEVER, True), (4, NEVER, True))
    assert room.points(NEVER) == 16


def test_nodes_behind_a_map_are_those_that_hand_its_frames_on() -> None:
    box = {"shape": "box", "x": 0, "y": 0, "width": 4, "height": 4}
    nodes = {
        "det": {"node": "simulated", "parameters": {"width": 8, "height": 8}},
        "roi": {"node": "roi", "parameters": {"rois": {"beam": box}}},
        "map": {"node": "grid_map", "parameters": {"shape": [4, 4]}},
        "view": "preview", "small": "binning", "out": "channel",
    }  # fmt: skip
    edges = ["det -> roi", "roi.sum -> map", "map.map -> small", "small -> out",
             {"map.map -> view": "latest"}]  # fmt: skip
    graph = checked(read_graph({"name": "g", "nodes": nodes, "edges": edges}), Shipped())
    assert behind(graph, ["map"]) == ["map", "small"]
