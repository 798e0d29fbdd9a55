"""BEC's scans with BEC's argument names and meaning: `steps` counts points, `snaked` is usual.

Their names begin with `scans.`, as they are typed there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from undula.plans.arguments import MAX_POINTS, Argument
from undula.plans.declared import Call, DeclaredPlan
from undula.plans.families.common import POSITIONS
from undula.plans.form import StepForm

PREFIX = "scans."


def _seconds(name: str, what: str) -> Argument:
    return Argument(name, "float", what, "s", 0.0, low=0, keyword=True)


RELATIVE = Argument(
    "relative", "bool", "word on whether positions count from the present ones", keyword=True
)
EXP_TIME = replace(_seconds("exp_time", "exposure time"), more="0: each detector's own")
FRAMES = Argument(
    "frames_per_trigger", "int", "frames at each trigger", default=1, low=1, keyword=True,
    more="The detectors count exp_time for each of them",
)  # fmt: skip
SETTLING = _seconds("settling_time", "time to settle before the trigger")
AFTER = _seconds("settling_time_after_trigger", "time to settle behind the trigger")
READOUT = replace(_seconds("readout_time", "readout time of the detectors"), more="Kept in the run")
BURST = Argument(
    "burst_at_each_point", "int", "readings at each point", default=1, low=1, high=MAX_POINTS,
    keyword=True,
)  # fmt: skip
SNAKED = Argument("snaked", "bool", "way back on every other line", default=True, keyword=True)
TIMES = (EXP_TIME, FRAMES, SETTLING, AFTER, READOUT, BURST)
MOVED = (RELATIVE, *TIMES)
STEPS = Argument("steps", "int", "number of points", low=1, high=MAX_POINTS)
OPTIM = Argument(
    "optim_trajectory", "choice", "order of the points", default=None,
    choices=("corridor", "shell", "nearest"), keyword=True,
)  # fmt: skip


MONITORED, ON_REQUEST = "monitored", "on_request"
EVERY_SCAN = (
    Argument(
        MONITORED, "names", "devices read at each point beside those that are usual",
        default=None, keyword=True,
    ),
    Argument(
        ON_REQUEST, "names", "devices that are not read, also not before and after",
        default=None, keyword=True,
    ),
    Argument(
        "file_suffix", "text", "end of the file's name", default=None, keyword=True,
        more="Letters, digits, - and _",
    ),
    Argument(
        "file_directory", "text", "folder of the file below the data folder", default=None,
        keyword=True, more="In place of the one that the file template says",
    ),
)  # fmt: skip
"""What BEC's scans take besides."""
ELSEWHERE = {
    "scan_queue": "there is one queue: undula queue add has its places, e.g. front=True",
    "callback": "RE.subscribe(f) calls f(name, document) for what runs from the prompt",
    "async_callback": "RE.subscribe(f) calls f(name, document) for what runs from the prompt",
    "hide_report": 'queue.add("scans.line_scan", ...) returns at once and shows nothing',
}
"""Words of BEC that have no counterpart among the arguments: where to find what they do."""


def timed(call: Call) -> dict[str, Any]:
    """What the arguments of every scan mean for a form: times, and which devices are read."""
    exposed = call["exp_time"] * call.values.get("frames_per_trigger", 1)
    return {
        "also_monitored": tuple(call.values.get(MONITORED) or ()),
        "not_read": tuple(call.values.get(ON_REQUEST) or ()),
        "count_time_s": exposed or None,
        "settle_s": call.values.get("settling_time", 0.0),
        "settle_after_s": call.values.get("settling_time_after_trigger", 0.0),
    }


def _moving(call: Call, path: Any) -> StepForm:
    path = replace(path.repeated(call["burst_at_each_point"]), relative=call.relative)
    return StepForm(call.plan.name, path, num=path.num_points, returns=call.relative, **timed(call))


def _line_scan(call: Call) -> StepForm:
    from undula.plans.trajectory import line

    return _moving(call, line(call.groups, call["steps"]))


def _grid_scan(call: Call) -> StepForm:
    from undula.plans.trajectory import grid

    specs = list(reversed(call.groups))  # the first axis is fast
    return _moving(call, grid(specs, [False, *[call["snaked"]] * (len(specs) - 1)]))


def _list_scan(call: Call) -> StepForm:
    from undula.plans.trajectory import listed

    return _moving(call, listed(call.groups))


def _log_scan(call: Call) -> StepForm:
    from undula.plans.paths.lines import growing

    return _moving(call, growing(call.groups, call["steps"]))


def _fermat_scan(call: Call) -> StepForm:
    from undula.plans.paths.order import ordered
    from undula.plans.paths.spirals import fermat_in_box

    first = call["start_motor1"], call["stop_motor1"]
    second = call["start_motor2"], call["stop_motor2"]
    path = fermat_in_box(
        (call["motor1"], call["motor2"]), first, second, call["step"], call["spiral_type"]
    )
    if call["optim_trajectory"]:
        points = ordered(path.points, call["optim_trajectory"], rising=first[1] > first[0])
        path = replace(path, points=points)
    return _moving(call, path)


def _hexagonal_scan(call: Call) -> StepForm:
    from undula.plans.paths.grids import hexagonal

    first = call["start_motor1"], call["stop_motor1"], call["step_motor1"]
    second = call["start_motor2"], call["stop_motor2"], call["step_motor2"]
    return _moving(call, hexagonal((call["motor1"], call["motor2"]), first, second, call["snaked"]))


def _round_scan(call: Call) -> StepForm:
    from undula.plans.paths.spirals import rings

    axes, centre = (call["motor_1"], call["motor_2"]), (call["center_1"], call["center_2"])
    radii = call["inner_radius"], call["outer_radius"]
    return _moving(
        call, rings(axes, centre, radii, call["number_of_rings"], call["pos_in_first_ring"])
    )


def _round_roi_scan(call: Call) -> StepForm:
    from undula.plans.paths.spirals import rings_in_box

    axes, centre = (call["motor_1"], call["motor_2"]), (call["center_1"], call["center_2"])
    first = call["start_motor_1"], call["stop_motor_1"]
    second = call["start_motor_2"], call["stop_motor_2"]
    spacing, num = call["shell_spacing"], call["pos_in_first_ring"]
    path = rings_in_box(axes, first, second, spacing=spacing, in_first=num, centre=centre)
    return _moving(call, path)


def _multi_region_line_scan(call: Call) -> StepForm:
    from undula.plans.paths.lines import regions

    return _moving(call, regions(call["motor"], call["regions"]))


def _multi_region_grid_scan(call: Call) -> StepForm:
    from undula.plans.paths.lines import rectangles

    axes = call["motor1"], call["motor2"]
    return _moving(call, rectangles(axes, call["regions"], call["snaked"]))


def _time_scan(call: Call) -> StepForm:
    wait = max(call["interval"] - call["exp_time"], 0.0)
    return StepForm(call.plan.name, num=call["points"], delay_s=wait, **timed(call))


def _acquire(call: Call) -> StepForm:
    return StepForm(call.plan.name, num=call["burst_at_each_point"], **timed(call))


def _motor(number: str, rule: str = "") -> tuple[Argument, ...]:
    """A motor with its start and stop."""
    word = f"motor{rule}{number}"
    axis = "first axis" if number == "1" else "second axis"
    return (
        Argument(word, "axis", axis),
        Argument(f"start_{word}", "float", f"start of the {axis}", "axis"),
        Argument(f"stop_{word}", "float", f"stop of the {axis}", "axis"),
    )


def _step(number: str) -> Argument:
    return Argument(f"step_motor{number}", "float", f"step of motor {number}", "axis", above=0)


def _plan(
    name: str, about: str, example: str, build: Callable[[Call], StepForm], **more: Any
) -> DeclaredPlan:
    more["arguments"] = (*more["arguments"], *EVERY_SCAN)
    more["elsewhere"] = ELSEWHERE
    return DeclaredPlan(PREFIX + name, "bec", about, f"{PREFIX}{name}({example})", build, **more)


DEVICE = Argument("device", "axis", "axis")
BUNDLE = (
    DEVICE,
    Argument("start", "float", "start", "axis"),
    Argument("stop", "float", "stop", "axis"),
)
BY_NAME = replace(STEPS, keyword=True)
_RINGS = Argument(
    "pos_in_first_ring", "int", "number of points in the first ring", low=1, high=MAX_POINTS
)
_CENTRES = tuple(
    Argument(f"center_{n}", "float", f"centre of motor_{n}", "axis", 0.0, keyword=True)
    for n in (1, 2)
)
_REGIONS = "regions"

_TURN = Argument(
    "spiral_type", "float", "turn beside the golden angle", "pi rad", 0.0, low=0, high=2,
    keyword=True,
)  # fmt: skip
_RINGED = (_RINGS, *MOVED, *_CENTRES)
"""What all round scans take behind their own."""

PLANS: tuple[DeclaredPlan, ...] = (
    _plan(
        "line_scan",
        "Axes in equal steps, all together; steps counts points.",
        "samx, -5, 5, steps=11, exp_time=0.1, relative=False",
        _line_scan,
        repeated=BUNDLE,
        arguments=(BY_NAME, *MOVED),
    ),
    _plan(
        "grid_scan",
        "A map: axis, start, stop, number of points for each axis, the fastest first.",
        "samx, -5, 5, 11, samy, 0, 2, 5, exp_time=0.1, relative=False",
        _grid_scan,
        repeated=(*BUNDLE, STEPS),
        least=2,
        arguments=(*MOVED, SNAKED),
    ),
    _plan(
        "list_scan",
        "Given positions; of several axes lists of one length.",
        "samx, [0, 1, 2], samy, [4, 3, 2], exp_time=0.1, relative=True",
        _list_scan,
        repeated=(DEVICE, POSITIONS),
        arguments=MOVED,
    ),
    _plan(
        "log_scan",
        "Axes from start to stop in steps that grow evenly on a logarithmic scale.",
        "samx, 0, 9, steps=10, relative=False",
        _log_scan,
        repeated=BUNDLE,
        arguments=(BY_NAME, *MOVED),
    ),
    _plan(
        "time_scan",
        "Readings in time: how many, and the time between the starts of two.",
        "10, 1.5, exp_time=0.1",
        _time_scan,
        arguments=(
            Argument("points", "int", "number of points", low=1, high=MAX_POINTS),
            Argument("interval", "float", "interval between two readings", "s", low=0),
            replace(EXP_TIME, keyword=False),
            replace(SETTLING, keyword=False),
        ),
    ),
    _plan(
        "acquire",
        "Read without moving.",
        "exp_time=0.1",
        _acquire,
        arguments=TIMES,
    ),
    _plan(
        "fermat_scan",
        "Fermat's spiral in a box, one point for each square of side step.",
        "samx, -5, 5, samy, -5, 5, 0.5, relative=True",
        _fermat_scan,
        arguments=(
            *_motor("1"),
            *_motor("2"),
            Argument("step", "float", "mean distance of two points", "axis", above=0),
            *MOVED,
            OPTIM,
            _TURN,
        ),
    ),
    _plan(
        "round_scan",
        "Rings around a centre, from the inner radius to the outer one.",
        "samx, samy, 0, 25, 5, 3, relative=True",
        _round_scan,
        arguments=(
            Argument("motor_1", "axis", "first axis"),
            Argument("motor_2", "axis", "second axis"),
            Argument("inner_radius", "float", "inner radius", "axis", low=0),
            Argument("outer_radius", "float", "outer radius", "axis", low=0),
            Argument("number_of_rings", "int", "number of rings", low=1, high=MAX_POINTS),
            *_RINGED,
        ),
    ),
    _plan(
        "round_roi_scan",
        "Rings around a centre, as far as they lie in a box.",
        "samx, -10, 10, samy, -10, 10, 2, 3, relative=False",
        _round_roi_scan,
        arguments=(
            *_motor("1", "_"),
            *_motor("2", "_"),
            Argument("shell_spacing", "float", "distance of two rings", "axis", above=0),
            *_RINGED,
        ),
    ),
    _plan(
        "hexagonal_scan",
        "Rows of points, every other one shifted by half a step.",
        "samx, -5, 5, 1, samy, -4, 4, 1, relative=True",
        _hexagonal_scan,
        arguments=(*_motor("1"), _step("1"), *_motor("2"), _step("2"), *MOVED, SNAKED),
    ),
    _plan(
        "multi_region_line_scan",
        "One axis over several regions, each with its own number of points.",
        "samx, regions=[[-5, -2, 4], [1, 5, 3]], relative=True",
        _multi_region_line_scan,
        arguments=(
            Argument("motor", "axis", "axis"),
            Argument(
                _REGIONS,
                "table",
                "regions",
                "axis",
                keyword=True,
                more="Each [start, stop, points]",
            ),
            *MOVED,
        ),
    ),
    _plan(
        "multi_region_grid_scan",
        "Several small maps one after the other, the first axis fast.",
        "samx, samy, regions=[[[-5, -1, 5], [-4, 0, 5]], [[1, 5, 3], [-4, 0, 5]]], relative=True",
        _multi_region_grid_scan,
        arguments=(
            Argument("motor1", "axis", "first axis"),
            Argument("motor2", "axis", "second axis"),
            Argument(
                _REGIONS,
                "table",
                "regions",
                "axis",
                keyword=True,
                more="Each [[start, stop, points], [start, stop, points]]",
            ),
            *MOVED,
            SNAKED,
        ),
    ),
)
