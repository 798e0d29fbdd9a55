"""Graphs that must be refused before anything starts: one corpus for everybody who reads graphs.

Each case is a text (YAML), and for each of its faults the path and some words of what is said. It
grows with every fault that is found.
"""

from __future__ import annotations

GOOD = """
name: live
nodes:
  det: {node: simulated, parameters: {width: 64, height: 48, frames: 20, rate_hz: 0}}
  roi: {node: roi, parameters: {rois: {all: {shape: box, x: 0, y: 0, width: 64, height: 48}}}}
  total: sum
  rate: rate
edges:
  - det -> roi
  - det -> total: lossless
  - {from: det.frames, to: rate.frames, policy: latest}
"""

NODES = """
nodes:
  det: simulated
  roi: {node: roi, parameters: {rois: {all: {shape: box, x: 0, y: 0, width: 4, height: 4}}}}
  low: threshold
  peaks: peaks
"""

SMALL = """
nodes:
  det: {node: simulated, parameters: {width: 100, height: 80, frames: 20}}
"""

WRONG_FORM: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "nothing": ("", (("graph", "a graph is a mapping, not nothing"),)),
    "a list": ("- det", (("graph", "not a list"),)),
    "a word": ("det", (("graph", "not text"),)),
    "no nodes": ("name: live", (("nodes", "write at least one node"),)),
    "empty nodes": ("nodes: {}", (("nodes", "write at least one node"),)),
    "nodes as a list": ("nodes: [det]", (("nodes", "it is a list"),)),
    "unknown key": ("node: {}\nnodes: {det: simulated}", (("graph.node", "did you mean nodes?"),)),
    "bad title": ("name: [1]\nnodes: {det: simulated}", (("name", "is no name"),)),
    "bad node name": (
        "nodes: {'a b': simulated, 3: sum}",
        (("nodes.a b", "no name of a node"), ("nodes.3", "no name of a node")),
    ),
    "node of nothing": ("nodes: {det: null}", (("nodes.det", "it is nothing"),)),
    "node without kind": ("nodes: {det: {process: a}}", (("nodes.det.node", "what this node is"),)),
    "unknown node key": (
        "nodes: {det: {node: simulated, paramters: {}}}",
        (("nodes.det.paramters", "did you mean parameters?"),),
    ),
    "parameters as a list": (
        "nodes: {det: {node: simulated, parameters: [1]}}",
        (("nodes.det.parameters", "it is a list"),),
    ),
    "bad process": (
        "nodes: {det: {node: simulated, process: 'a/b'}}",
        (("nodes.det.process", "is no name"),),
    ),
    "bad host": (
        "nodes: {det: {node: simulated, host: 'a b'}}",
        (("nodes.det.host", "is no name"),),
    ),
    "bad on_failure": (
        "nodes: {det: {node: simulated, on_failure: ignore}}",
        (("nodes.det.on_failure", "write skip or stop"),),
    ),
    "bad sizes": (
        "nodes: {det: {node: simulated, budget: lots, frame: -1}}",
        (("nodes.det.budget", "is no size"), ("nodes.det.frame", "is no size")),
    ),
    "no size at all": (
        "nodes: {det: {node: simulated, budget: 0, frame: true}}",
        (("nodes.det.budget", "too small"), ("nodes.det.frame", "write bytes")),
    ),
    "edges as a mapping": (NODES + "edges: {det: roi}", (("edges", "write a list"),)),
    "edge without arrow": (NODES + "edges: [det roi]", (("edges.0", "from where to where"),)),
    "edge without end": (NODES + "edges: ['det ->']", (("edges.0.to", "is no port"),)),
    "edge with too many dots": (
        NODES + "edges: ['det.frames.x -> roi']",
        (("edges.0.from", "write NODE or NODE.PORT"),),
    ),
    "unknown edge key": (
        NODES + "edges: [{from: det, to: roi, polcy: latest}]",
        (("edges.0.polcy", "did you mean policy?"),),
    ),
    "unknown policy": (
        NODES + "edges: [det -> roi: newest]",
        (("edges.0.policy", "write one of lossless, latest"),),
    ),
    "policy of no kind": (
        NODES + "edges: [det -> roi: 3]",
        (("edges.0.policy", "it is a number"),),
    ),
    "sample of none": (
        NODES + "edges: [det -> roi: sample(1/0)]",
        (("edges.0.policy", "is no policy"),),
    ),
    "bad budget": (
        NODES + "edges: [{from: det, to: roi, budget: 1 bushel}]",
        (("edges.0.policy", "is no size"),),
    ),
    "a folder for what nobody spills": (
        "nodes: {det: {node: simulated, spill: /nvme}, low: threshold}\n"
        "edges: [det -> low: latest]",
        (("nodes.det.spill", "or give an edge the policy spill(SIZE)"),),
    ),
    "a folder that is no path": (
        "nodes: {det: {node: simulated, spill: 7}, low: threshold}\n"
        "edges: [det -> low: spill(1 MB)]",
        (("nodes.det.spill", "write the path of a folder on a disk"),),
    ),
    "feedback of no kind": (
        NODES + "edges: [{from: det, to: roi, feedback: maybe}]",
        (("edges.0.feedback", "write true or false"),),
    ),
    "all at once": (
        "nodes: {det: {node: simulated, on_failure: x}, '?': sum}\nedges: [det, 5]",
        (
            ("nodes.det.on_failure", "no choice"),
            ("nodes.?", "no name of a node"),
            ("edges.0", "from where"),
            ("edges.1", "from where"),
        ),
    ),
}
"""Refused by who reads a graph."""

WRONG_GRAPHS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "unknown node kind": (
        "nodes: {det: simulatd, total: sum}\nedges: [det -> total]",
        (("nodes.det.node", "did you mean simulated?"),),
    ),
    "unknown parameter": (
        "nodes: {det: {node: simulated, parameters: {rate: 3}}, total: sum}\nedges: [det -> total]",
        (("nodes.det.parameters.rate", "did you mean rate_hz?"),),
    ),
    "parameter out of its bounds": (
        "nodes: {det: {node: simulated, parameters: {rate_hz: -1, width: 0}}, total: sum}\n"
        "edges: [det -> total]",
        (
            ("nodes.det.parameters.rate_hz", "-1 is less than 0. Remedy: give 0 or more"),
            ("nodes.det.parameters.width", "0 is less than 1"),
        ),
    ),
    "parameter of a wrong type": (
        "nodes: {det: {node: simulated, parameters: {rate_hz: often}}, total: sum}\n"
        "edges: [det -> total]",
        (("nodes.det.parameters.rate_hz", "'often' is not a number"),),
    ),
    "infinite parameter": (
        "nodes: {det: {node: simulated, parameters: {rate_hz: .inf}}, total: sum}\n"
        "edges: [det -> total]",
        (("nodes.det.parameters.rate_hz", "finite number"),),
    ),
    "missing input": (
        NODES + "edges: [det -> roi]",
        (
            ("nodes.low", "add an edge: SOURCE -> low.frames"),
            ("nodes.peaks", "nothing comes to its input frames"),
        ),
    ),
    "unknown nodes in an edge": (
        "nodes: {det: simulated, total: sum}\nedges: [det -> totl, dat -> total]",
        (("edges.0.to", "did you mean total?"), ("edges.1.from", "did you mean det?")),
    ),
    "unknown ports": (
        "nodes: {det: simulated, low: threshold}\n"
        "edges: [det.frame -> low.frames, det -> low.image]",
        (("edges.0.from", "did you mean frames?"), ("edges.1.to", "has no input 'image'")),
    ),
    "a port to be chosen": (
        NODES + "edges: [det -> roi, det -> low, roi -> peaks]",
        (("edges.2.from", "write one of roi.sum"),),
    ),
    "into a source": (
        NODES + "edges: [det -> roi, det -> low, low.frames -> det, roi.sum -> peaks]",
        (("edges.2.to", "det has no input"),),
    ),
    "images where curves are wanted": (
        NODES + "edges: [det -> roi, det -> low, low.frames -> peaks]",
        (("edges.2", "low.frames gives images, peaks.frames takes rows of numbers"),),
    ),
    "numbers where images are wanted": (
        NODES + "edges: [det -> roi, roi.sum -> low, roi.sum -> peaks]",
        (("edges.1", "gives rows of numbers, low.frames takes images"),),
    ),
    "integers where floats are wanted": (
        "nodes: {det: simulated, track: tracking}\nedges: [det -> track]",
        (("edges.0", "gives unsigned integers, track.spots takes floats"),),
    ),
    "twice the same edge": (
        "nodes: {det: simulated, total: sum}\nedges: [det -> total, det.frames -> total: latest]",
        (("edges.1", "is there twice"),),
    ),
    "a cycle": (
        "nodes: {det: simulated, a: binning, b: threshold}\n"
        "edges: [det -> a, a -> b, b.frames -> a]",
        (("edges", "there is a cycle: a -> b -> a"),),
    ),
    "a node that hears itself": (
        "nodes: {det: simulated, a: binning}\nedges: [det -> a, a -> a]",
        (("edges", "there is a cycle: a -> a"),),
    ),
    "feedback that is lossless": (
        "nodes: {det: simulated, a: binning, b: threshold}\nedges: [det -> a, a -> b, "
        "{from: b.frames, to: a, feedback: true, policy: lossless}]",
        (("edges.2.policy", "could hold itself up"),),
    ),
    "feedback that goes back to nothing": (
        "nodes: {det: simulated, total: sum}\nedges: [{from: det, to: total, feedback: true}]",
        (("edges.0.feedback", "goes back to nothing"),),
    ),
    "no source": (
        "nodes: {a: binning, b: threshold}\n"
        "edges: [a -> b, {from: b.frames, to: a, feedback: true}]",
        (("nodes", "no node makes frames"),),
    ),
    "a source for nobody": (
        "nodes: {det: simulated, other: simulated, total: sum}\nedges: [det -> total]",
        (("nodes.other", "its frames go nowhere"),),
    ),
    "a region outside the frame": (
        SMALL + "  roi: {node: roi, parameters: {rois: {\n"
        "    good: {shape: box, x: 90, y: 70, width: 50, height: 50},\n"
        "    far: {shape: box, x: 100, y: 0, width: 5, height: 5},\n"
        "    none: {shape: circle, x: 10.5, y: 10.5, radius: 0.1}}}}\n"
        "edges: [det -> roi]",
        (
            ("nodes.roi.parameters.rois.far", "within x 0 to 99 and y 0 to 79"),
            ("nodes.roi.parameters.rois.none", "has no pixel of frames of (80, 100)"),
        ),
    ),
    "blocks that do not divide the frame": (
        SMALL + "  less: {node: binning, parameters: {rows: 3, columns: 101}}\n"
        "edges: [det -> less]",
        (
            ("nodes.less.parameters.rows", "2 are left. Remedy: choose e.g. 2, or crop: true"),
            ("nodes.less.parameters.columns", "no block of 101 columns"),
        ),
    ),
    "a region outside what binning leaves": (
        SMALL + "  less: {node: binning, parameters: {rows: 4, columns: 4}}\n"
        "  roi: {node: roi, parameters: {rois: {a: {shape: circle, x: 30, y: 0, radius: 4}}}}\n"
        "edges: [det -> less, less -> roi]",
        (("nodes.roi.parameters.rois.a", "frames of (20, 25)"),),
    ),
    "frames of two sizes in one sum": (
        SMALL + "  less: binning\n  total: sum\nedges: [det -> less, det -> total, less -> total]",
        (("edges.2", "gives frames of (40, 50), and others that come to total.frames are of (80"),),
    ),
    "parameters that do not fit each other": (
        SMALL
        + "  levels: {node: histogram, parameters: {low: 5, high: 5}}\nedges: [det -> levels]",
        (("nodes.levels.parameters.high", "has no width"),),
    ),
    "a dark and a geometry that are not there": (
        SMALL + "  good: {node: correct, parameters: {dark: /no/such/dark.h5}}\n"
        "  rings: {node: azimuthal, parameters: {poni: /no/such.poni}}\n"
        "edges: [det -> good, good -> rings]",
        (
            ("nodes.good.parameters.dark", "/no/such/dark.h5 holds no image"),
            ("nodes.rings.parameters.poni", "/no/such.poni cannot be read"),
        ),
    ),
    "rings beyond the corner": (
        SMALL + "  rings: {node: radial_profile, parameters: {inner: 70}}\nedges: [det -> rings]",
        (("nodes.rings.parameters.inner", "end 63.3 px from the centre"),),
    ),
    "a map of images": (
        SMALL + "  map: {node: grid_map, parameters: {shape: [4, 5]}}\nedges: [det -> map]",
        (("nodes.map.parameters.shape", "is of shape (80, 100)"),),
    ),
    "a map with fewer points than there are frames": (
        SMALL + "  middle: centre_of_mass\n  map: {node: grid_map, parameters: {shape: [4, 4]}}\n"
        "edges: [det -> middle, middle.x -> map]",
        (("nodes.map.parameters.shape", "20 frames come, and a map of (4, 4) has 16 points"),),
    ),
    "a map with more axes than positions": (
        "nodes:\n  det: {node: zmq_images, parameters: {shape: [8, 9]}}\n"
        "  axes: {node: zmq_images, parameters: {shape: [1]}}\n  middle: centre_of_mass\n"
        "  join: join\n  map: {node: position_map, parameters: {axes: "
        "[{start: 0, stop: 1, num: 3}, {start: 0, stop: 1, num: 3}]}}\n"
        "edges: [det -> join.frames, axes -> join.positions, join.frames -> middle, "
        "middle.x -> map.values, join.positions -> map.positions]",
        (("nodes.map.parameters.axes", "it has 2 axes, and 1 positions come"),),
    ),
    "spectra where images are wanted": (
        "nodes: {det: {node: zmq_images, parameters: {shape: [2048]}}, total: sum}\n"
        "edges: [det -> total]",
        (("edges.0", "det.frames gives frames of (2048,), total.frames takes images"),),
    ),
    "a window without a value": (
        SMALL + "  low: {node: threshold, parameters: {low: 9, high: 5}}\nedges: [det -> low]",
        (("nodes.low.parameters.low", "nothing stays: low 9 is above high 5"),),
    ),
    "no region": (
        SMALL + "  roi: {node: roi, parameters: {rois: {}}}\nedges: [det -> roi]",
        (("nodes.roi.parameters.rois", "there is no region: nothing would come out"),),
    ),
    "a circle that is written as a box": (
        SMALL + "  roi: {node: roi, parameters: {rois: {\n"
        "    a: {shape: circle, x: 9, y: 9, width: 5, height: 5}}}}\nedges: [det -> roi]",
        (("nodes.roi.parameters.rois.a", "it lacks radius, and there is no width, height in it"),),
    ),
    "a shape that is none": (
        SMALL + "  roi: {node: roi, parameters: {rois: {\n"
        "    a: {shape: bx, x: 9, y: 9, width: 5, height: 5},\n"
        "    b: {x: 9, y: 9}}}}\nedges: [det -> roi]",
        (
            (
                "nodes.roi.parameters.rois.a",
                "'bx' is none of box, circle, polygon. Remedy: did you",
            ),
            ("nodes.roi.parameters.rois.b", "it lacks width, height. Remedy: write it e.g. rois"),
        ),
    ),
    "corners that are no pairs": (
        SMALL + "  roi: {node: roi, parameters: {rois: {\n"
        "    a: {shape: polygon, points: [1, 1, 9, 1, 9, 9, 5, 12, 1, 9, 1]}}}}\n"
        "edges: [det -> roi]",
        (
            (
                "nodes.roi.parameters.rois.a.points",
                "each of its items is wrong, e.g. 0: 1 is not a list",
            ),
        ),
    ),
    "frames that are much smaller than was thought": (
        "nodes:\n  det: {node: simulated, parameters: {width: 10, height: 8}}\n"
        "  roi: {node: roi, parameters: {rois: {\n"
        + "".join(
            f"    r{n}: {{shape: box, x: {20 * n + 20}, y: 50, width: 9, height: 9}},\n"
            for n in range(11)
        )
        + "  }}}\nedges: [det -> roi]",
        (("nodes.roi.parameters.rois", "none of its 11 regions has a pixel of frames of (8, 10)"),),
    ),
    "blocks that are too large, and a region behind them": (
        SMALL + "  less: {node: binning, parameters: {rows: 100}}\n"
        "  roi: {node: roi, parameters: {rois: {a: {shape: circle, x: 90, y: 70, radius: 1}}}}\n"
        "edges: [det -> less, less -> roi]",
        (("nodes.less.parameters.rows", "no block of 100 rows"),),
    ),
    "no edge at all": (
        NODES,
        (("edges", "there is none: frames go nowhere"),),
    ),
    "numbers of pixels where spots are wanted": (
        "nodes: {det: simulated, low: threshold, track: tracking}\n"
        "edges: [det -> low, low.count -> track]",
        (("edges.1", "low.count gives numbers, track.spots takes"),),
    ),
    "compressed frames of a source where pixels are looked at": (
        "nodes:\n  det: {node: zmq_images, parameters: {packed: true}}\n  file: frame_file\n"
        "  total: sum\nedges: [det -> file, det -> total]",
        (
            (
                "edges.1",
                "gives compressed frames, which total.frames cannot read",
            ),
        ),
    ),
}
"""Refused by who knows the shipped nodes."""

AT_ONCE = """\
name: all of it
nodes:
  det: {node: simulatd, parameters: {widht: 3}}
  cam: {node: simulated, parameters: {rate_hz: -1}, on_failure: maybe}
  roi: {node: roi, paramters: {rois: {}}}
  low: {node: threshold, parameters: {low: 9, high: 5}}
  lost: {parameters: {rois: {}}}
  total: sum
  total: sum
edges:
  - det -> low
  - cam -> roi
  - cam -> low: newest
  - lost -> total
  - low.frame -> total
  - low total
"""
"""Faults of every kind: of the text, the form, nodes, parameters, edges."""
FAULTS_AT_ONCE: tuple[tuple[int, str, str], ...] = (
    (1, "name", "'all of it' is no name"),
    (3, "nodes.det.node", "there is no node 'simulatd'. Remedy: did you mean simulated?"),
    (4, "nodes.cam.on_failure", "'maybe' is no choice"),
    (4, "nodes.cam.parameters.rate_hz", "-1 is less than 0"),
    (5, "nodes.roi.paramters", "there is no such key. Remedy: did you mean parameters?"),
    (6, "nodes.low.parameters.low", "nothing stays"),
    (7, "nodes.lost.node", "it says not what this node is"),
    (9, "nodes.total", "it stands in lines 8 and 9"),
    (13, "edges.2.policy", "'newest' is no policy"),
    (15, "edges.4.from", "low has no output 'frame'. Remedy: did you mean frames?"),
    (16, "edges.5", "it says not from where to where"),
)
"""Of AT_ONCE: line, path, words; what only follows from one of them is not among them."""
