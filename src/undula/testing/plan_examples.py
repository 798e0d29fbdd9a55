"""One call of each plan, as small as it can be interrupted in the middle: for the contract suite.

A new plan needs one line here. All axes stand at 0, `energy` at 7000 eV; `slow` takes its
time, `pushing` tells by itself; `peak` is 100 exp(-samx^2) and has no noise; `diode` counts for
`TIME_S`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TIME_S = 0.001


@dataclass(frozen=True, slots=True)
class Example:
    """Arguments of one call.

    Args:
        words: by position; devices as names.
        options: further fields of the request, and arguments by name.
        points: how many it takes; None: as many as it finds.
        still: no axis moves.
        runs: how many runs it makes.
        exact: a repeated call gives the same points; False where they depend on time.
    """

    words: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    points: int | None = None
    still: bool = False
    runs: int = 1
    exact: bool = True


def _line(points: int = 3, **options: Any) -> Example:
    return Example(("samx", 0, 1, 3), options, points)


_PEAK = ["peak"]
_BOTH = [["peak", "diode"]]

_SPIRAL = ("samx", "samy", 0, 0, 1, 1)
_REL_SPIRAL = ("samx", "samy", 1, 1)
_TUNE = ("peak", "samx", 0.2, 1, 0.1, 0.5, 20, True)
_REGIONS: list[list[float]] = [[0, 1, 2], [2, 3, 2]]
_AXES = ("samx", "samy", "samz", "theta", "slit")
_ABS = {"relative": False, "exp_time": TIME_S}
_REL = {"relative": True, "exp_time": TIME_S}


def _together(axes: int) -> Example:
    """SPEC's scans of several axes together."""
    words = [word for axis in _AXES[:axes] for word in (axis, 0, 1)]
    return Example((*words, 2, TIME_S), points=3)


DECLARED: dict[str, Example] = {
    "scan": _line(),
    "rel_scan": _line(),
    "list_scan": Example(("samx", [0, 0.4, 1]), points=3),
    "rel_list_scan": Example(("samx", [0, 0.4, 1]), points=3),
    "grid_scan": Example(("samy", 0, 1, 2, "samx", 0, 1, 2), {"snake_axes": True}, 4),
    "rel_grid_scan": Example(("samy", 0, 1, 2, "samx", 0, 1, 2), points=4),
    "list_grid_scan": Example(("samy", [0, 1], "samx", [0, 1]), points=4),
    "rel_list_grid_scan": Example(("samy", [0, 1], "samx", [0, 1]), points=4),
    "log_scan": Example(("samx", -1, 0, 3), points=3),
    "rel_log_scan": Example(("samx", -1, 0, 3), points=3),
    "spiral": Example((*_SPIRAL, 0.2, 3)),
    "rel_spiral": Example((*_REL_SPIRAL, 0.2, 3)),
    "spiral_fermat": Example((*_SPIRAL, 0.3, 1)),
    "rel_spiral_fermat": Example((*_REL_SPIRAL, 0.3, 1)),
    "spiral_square": Example((*_SPIRAL, 2, 2), points=4),
    "rel_spiral_square": Example((*_REL_SPIRAL, 2, 2), points=4),
    "x2x_scan": Example(("samx", "samy", 0, 1, 3), points=3),
    "inner_product_scan": Example((3, "samx", 0, 1), points=3),
    "relative_inner_product_scan": Example((3, "samx", 0, 1), points=3),
    "scan_nd": Example((["samx", "samy"], [[0, 0], [1, 0.5], [0.2, 1]]), points=3),
    "count": Example((3,), points=3, still=True),
    "xanes_scan": Example(("energy", [-10, 0, 20], [5, 10]), {"edge": 7112}, 5),
    "exafs_scan": Example(
        ("energy", 7112), {"k_stop": 4.0, "ends": [-20, 0, 20], "steps": [20, 20], "k_step": 1.0}
    ),
    "adaptive_scan": Example(_TUNE),
    "rel_adaptive_scan": Example(_TUNE),
    "monitor_scan": Example(("pushing", 3), points=3, still=True, exact=False),
    "sweep_scan": Example(("slow", 0, 0.1, 0.005), exact=False),
    "rel_sweep_scan": Example(("slow", 0, 0.1, 0.005), exact=False),
    "round_scan": Example(("samx", "samy", 0, 0, 0, 1, 1, 3)),
    "rel_round_scan": Example(("samx", "samy", 0, 1, 1, 3)),
    "sequence": Example((["scan", "samx", 0, 1, 2], ["count", 2]), points=4, runs=2),
    "for_each": Example(("samy", [0, 1], "scan", "samx", 0, 1, 2), points=4, runs=2),
    "ascan": _together(1),
    "dscan": _together(1),
    "lup": _together(1),
    "a2scan": _together(2),
    "d2scan": _together(2),
    "a3scan": _together(3),
    "d3scan": _together(3),
    "a4scan": _together(4),
    "d4scan": _together(4),
    "a5scan": _together(5),
    "d5scan": _together(5),
    "anscan": Example(([["samx", 0, 1], ["samy", 0, 1]], 2, TIME_S), points=3),
    "dnscan": Example(([["samx", 0, 1], ["samy", 0, 1]], 2, TIME_S), points=3),
    "anmesh": Example(([["samx", 0, 1, 1], ["samy", 0, 1, 1]], TIME_S), points=4),
    "dnmesh": Example(([["samx", 0, 1, 1], ["samy", 0, 1, 1]], TIME_S), points=4),
    "lookupscan": Example(([["samx", [0, 0.4, 1]], ["samy", [1, 2, 3]]], TIME_S), points=3),
    "pointscan": Example(("samx", [0, 0.4, 1], TIME_S), points=3),
    "mesh": Example(("samx", 0, 1, 1, "samy", 0, 1, 1, TIME_S), points=4),
    "dmesh": Example(("samx", 0, 1, 1, "samy", 0, 1, 1, TIME_S), points=4),
    "amesh": Example(("samx", 0, 1, 1, "samy", 0, 1, 1, TIME_S), points=4),
    "a3mesh": Example(("samx", 0, 1, 1, "samy", 0, 1, 1, "samz", 0, 1, 1, TIME_S), points=8),
    "d3mesh": Example(("samx", 0, 1, 1, "samy", 0, 1, 1, "samz", 0, 1, 1, TIME_S), points=8),
    "ct": Example((TIME_S,), points=1, still=True),
    "sct": Example((TIME_S,), points=1, still=True),
    "timescan": Example((TIME_S, 3), points=3, still=True),
    "loopscan": Example((3, TIME_S), points=3, still=True),
    "scans.line_scan": Example(("samx", 0, 1), {"steps": 3, **_ABS}, 3),
    "scans.grid_scan": Example(("samx", 0, 1, 2, "samy", 0, 1, 2), _ABS, 4),
    "scans.list_scan": Example(("samx", [0, 0.4, 1]), _REL, 3),
    "scans.log_scan": Example(("samx", 0, 1), {"steps": 3, **_ABS}, 3),
    "scans.time_scan": Example((3, 0.001), {"exp_time": TIME_S}, 3, still=True),
    "scans.acquire": Example((), {"exp_time": TIME_S}, 1, still=True),
    "scans.fermat_scan": Example(("samx", -1, 1, "samy", -1, 1, 1), _REL),
    "scans.round_scan": Example(("samx", "samy", 0, 1, 1, 3), _REL),
    "scans.round_roi_scan": Example(("samx", -1, 1, "samy", -1, 1, 1, 3), _ABS),
    "scans.hexagonal_scan": Example(("samx", -1, 1, 1, "samy", -1, 1, 1), _REL),
    "scans.multi_region_line_scan": Example(("samx",), {"regions": _REGIONS, **_REL}, 4),
    "scans.multi_region_grid_scan": Example(
        ("samx", "samy"), {"regions": [[[0, 1, 2], [0, 1, 2]]], **_REL}, 4
    ),
    "scans.line_sweep_scan": Example(("slow", 0, 0.1), {"min_update": 0.005, **_ABS}, exact=False),
    "scans.cont_line_scan": Example(("slow", 0, 0.4, 3), {"atol": 0.15, **_ABS}, exact=False),
}
"""Plans of `undula.plans.FORMS`."""

BLUESKY: dict[str, Example] = {
    "relative_log_scan": Example((*_BOTH, "samx", -1, 0, 3), points=3),
    "outer_product_scan": Example((*_BOTH, "samy", 0, 1, 2, "samx", 0, 1, 2, False), points=4),
    "relative_outer_product_scan": Example(
        (*_BOTH, "samy", 0, 1, 2, "samx", 0, 1, 2, False), points=4
    ),
    "relative_list_scan": Example((*_BOTH, "samx", [0, 0.4, 1]), points=3),
    "relative_scan": Example((*_BOTH, "samx", 0, 1, 3), points=3),
    "relative_spiral": Example((*_BOTH, *_REL_SPIRAL, 0.2, 3)),
    "relative_spiral_fermat": Example((*_BOTH, *_REL_SPIRAL, 0.3, 1)),
    "relative_adaptive_scan": Example((_PEAK, *_TUNE)),
    "tune_centroid": Example((_PEAK, "peak", "samx", -1, 1, 0.4, 3)),
}
"""Further plans of `bluesky.plans`: their points are not known beforehand."""

UNNAMEABLE = {
    "fly": "needs a flyer",
    "ramp_plan": "takes a plan as argument",
    "tweak": "asks at a terminal for each step",
}
"""Plans of `bluesky.plans` that cannot be asked for by name, and why."""

EXAMPLES = {**DECLARED, **BLUESKY}
