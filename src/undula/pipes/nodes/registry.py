"""Room: pipes. All shipped nodes by name; each is imported when it is asked for.

In: a name, as a graph writes it. Out: the class. Not here: nodes of a beamline (`user_nodes`),
which stand beside these in the mapping that a graph is checked against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from undula.pipes.nodes.base import Node

SHIPPED: dict[str, str] = {
    "simulated": "simulated:SimulatedDetector",
    "replay": "replay:Replay",
    "zmq_images": "zmq_images:ZmqImages",
    "pva_images": "pva_images:PvaImages",
    "compress": "compression:Compress",
    "decompress": "compression:Decompress",
    "correct": "correct:Correct",
    "odd_pixels": "correct:OddPixels",
    "threshold": "pixels:Threshold",
    "hits": "pixels:Hits",
    "binning": "pixels:Binning",
    "roi": "rois:RoiStatistics",
    "sum": "statistics:Sum",
    "mean_variance": "statistics:MeanVariance",
    "histogram": "statistics:Histogram",
    "rate": "statistics:Rate",
    "centre_of_mass": "spots:CentreOfMass",
    "peaks": "spots:Peaks",
    "spots": "spots:Spots",
    "tracking": "tracking:Tracking",
    "azimuthal": "azimuthal:Azimuthal",
    "radial_profile": "azimuthal:RadialProfile",
    "join": "join:PositionJoin",
    "grid_map": "maps:GridMap",
    "position_map": "maps:PositionMap",
    "preview": "preview:Preview",
    "frame_file": "frame_file:FrameFileWriter",
    "channel": "channel:Channel",
}
"""Name: module in this folder, class. The order is that of the reference page."""


class Shipped(Mapping[str, type[Node]]):
    """The shipped nodes by name.

    >>> Shipped()["roi"].__name__
    'RoiStatistics'
    """

    def __getitem__(self, name: str) -> type[Node]:
        module, _, cls = SHIPPED[name].partition(":")
        found: type[Node] = getattr(import_module(f"undula.pipes.nodes.{module}"), cls)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(SHIPPED)

    def __len__(self) -> int:
        return len(SHIPPED)
