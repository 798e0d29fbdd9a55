"""Plans with Bluesky's names and signatures; `num` counts points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import named_twice
from undula.plans.arguments import MAX_POINTS, Argument
from undula.plans.declared import Call, DeclaredPlan
from undula.plans.families.common import (
    AXIS,
    LINE,
    NUM,
    POSITIONS,
    SNAKE_AXES,
    START,
    STOP,
    X_MOTOR,
    Y_MOTOR,
    moving,
    snaking,
)
from undula.plans.form import StepForm


def _scan(call: Call) -> StepForm:
    from undula.plans.trajectory import line

    return moving(call, line(call.groups, call["num"]))


def _list_scan(call: Call) -> StepForm:
    from undula.plans.trajectory import listed

    return moving(call, listed(call.groups))


def _grid_scan(call: Call) -> StepForm:
    from undula.plans.trajectory import grid

    return moving(call, grid(call.groups, snaking(call.axes, call["snake_axes"])))


def _list_grid_scan(call: Call) -> StepForm:
    from undula.plans.paths.grids import list_grid

    return moving(call, list_grid(call.groups, snaking(call.axes, call["snake_axes"])))


def _log_scan(call: Call) -> StepForm:
    from undula.plans.paths.lines import decades

    return moving(call, decades(call["motor"], call["start"], call["stop"], call["num"]))


def _x2x_scan(call: Call) -> StepForm:
    from undula.plans.trajectory import line

    start, stop = call["start"], call["stop"]
    specs = [(call["motor1"], start, stop), (call["motor2"], start / 2, stop / 2)]
    return moving(call, line(specs, call["num"]))


def _scan_nd(call: Call) -> StepForm:
    from undula.plans.paths.lines import one_by_one

    axes = call["axes"]
    if len(set(axes)) != len(axes):
        raise InputError(f"{named_twice(axes)} is named twice", remedy="name each axis once")
    return moving(call, one_by_one(axes, call["points"]))


def _centre(call: Call, x: str = "x_start", y: str = "y_start") -> tuple[float, float]:
    return call.values.get(x, 0.0), call.values.get(y, 0.0)


def _spiral(call: Call) -> StepForm:
    from undula.plans.paths.spirals import spiral

    axes, size = (call["x_motor"], call["y_motor"]), (call["x_range"], call["y_range"])
    more = {name: call[name] for name in ("dr", "nth", "dr_y", "tilt")}
    return moving(call, spiral(axes, _centre(call), size, **more))


def _fermat(call: Call) -> StepForm:
    from undula.plans.paths.spirals import fermat

    axes, size = (call["x_motor"], call["y_motor"]), (call["x_range"], call["y_range"])
    more = {name: call[name] for name in ("dr", "factor", "dr_y", "tilt")}
    return moving(call, fermat(axes, _centre(call), size, **more))


def _square(call: Call) -> StepForm:
    from undula.plans.paths.spirals import square

    axes, size = (call["x_motor"], call["y_motor"]), (call["x_range"], call["y_range"])
    centre = _centre(call, "x_center", "y_center")
    return moving(call, square(axes, centre, size, (call["x_num"], call["y_num"])))


def _round(call: Call) -> StepForm:
    from undula.plans.paths.spirals import rings

    axes = call["x_motor"], call["y_motor"]
    radii = call["inner_radius"], call["outer_radius"]
    return moving(call, rings(axes, _centre(call), radii, call["rings"], call["nth"]))


def _count(call: Call) -> StepForm:
    return StepForm(call.plan.name, num=call["num"], delay_s=call["delay"] or 0.0)


def _range(axis: str) -> Argument:
    return Argument(f"{axis}_range", "float", f"width along the {axis} axis", "axis", above=0)


_DR = Argument("dr", "float", "distance of two rings", "axis", above=0)
_DR_Y = Argument(
    "dr_y", "float", "distance of two rings along y", "axis", None, above=0, keyword=True
)
_TILT = Argument("tilt", "float", "tilt of the box", "rad", 0.0, keyword=True)
_NTH = Argument("nth", "int", "number of points in the first ring", low=1, high=MAX_POINTS)
_FACTOR = Argument("factor", "float", "number that divides the radius", above=0)
_X_START = Argument("x_start", "float", "centre along x", "axis")
_Y_START = Argument("y_start", "float", "centre along y", "axis")
_MOTOR = Argument("motor", "axis", "axis")
_POWER = "power of ten"
_LOG = (
    _MOTOR,
    Argument("start", "float", f"first {_POWER}", more="-1 begins at 0.1"),
    Argument("stop", "float", f"last {_POWER}", more="2 ends at 100"),
    NUM,
)
_ND = (
    Argument("axes", "names", "axes"),
    Argument("points", "table", "points", "axis", more="Of each point one position for each axis"),
)
_X2X = (
    Argument("motor1", "axis", "axis that moves twice as far"),
    Argument("motor2", "axis", "axis that moves half as far"),
    START,
    STOP,
    NUM,
)


def _pair(
    name: str, about: str, example: str, build: Callable[[Call], StepForm], **more: Any
) -> list[DeclaredPlan]:
    """A plan and its relative twin."""
    plan = DeclaredPlan(name, "bluesky", about, example, build, **more)
    twin = replace(
        plan,
        name=f"rel_{name}",
        about=f"As {name}, counted from the present positions; goes back at the end.",
        example=f"rel_{example}",
        relative=True,
        command="",
    )
    return [plan, twin]


def _around(
    name: str, about: str, example: str, build: Callable[[Call], StepForm], *,
    centre: tuple[Argument, ...], rest: tuple[Argument, ...],
) -> list[DeclaredPlan]:  # fmt: skip
    """A plan around a centre; the relative one is around the present positions and names none."""
    middle = (X_MOTOR, Y_MOTOR)
    plan, twin = _pair(name, about, example, build, arguments=(*middle, *centre, *rest))
    words = example.split(", ")
    short = f"rel_{', '.join([*words[:2], *words[4:]])}"
    return [plan, replace(twin, arguments=(*middle, *rest), example=short)]


_SIZE = (_range("x"), _range("y"))
_INNER = (NUM,)

PLANS: tuple[DeclaredPlan, ...] = (
    *_pair(
        "scan",
        "Move axes in equal steps: axis, start, stop (in its unit), as often as wanted, then the\n"
        "number of points.",
        "scan(samx, -1, 1, 21, time=0.1)",
        _scan,
        repeated=LINE,
        arguments=(NUM,),
        command="scan",
    ),
    *_pair(
        "list_scan",
        "Given positions, in the axis's unit; of several axes lists of one length.",
        "list_scan(samx, [0, 0.1, 0.5])",
        _list_scan,
        repeated=(AXIS, POSITIONS),
        command="list-scan",
    ),
    *_pair(
        "grid_scan",
        "A map: axis, start, stop, number of points for each axis, the slowest first.",
        "grid_scan(samy, 0, 2, 5, samx, -1, 1, 9, snake_axes=True)",
        _grid_scan,
        repeated=(*LINE, NUM),
        arguments=(SNAKE_AXES,),
        command="grid",
    ),
    *_pair(
        "list_grid_scan",
        "A map of given positions: axis and list for each axis, the slowest first.",
        "list_grid_scan(samy, [0, 1, 4], samx, [-1, 0, 1], snake_axes=True)",
        _list_grid_scan,
        repeated=(AXIS, POSITIONS),
        arguments=(SNAKE_AXES,),
    ),
    *_pair(
        "log_scan",
        "One axis from 10**start to 10**stop, each point the same factor above the one before.",
        "log_scan(samx, -2, 0, 11)",
        _log_scan,
        arguments=_LOG,
    ),
    *_around(
        "spiral",
        "Rings around a centre, each with as many more points as it is longer, within a box.",
        "spiral(samx, samy, 0, 0, 2, 2, 0.2, 8)",
        _spiral,
        centre=(_X_START, _Y_START),
        rest=(*_SIZE, _DR, _NTH, _DR_Y, _TILT),
    ),
    *_around(
        "spiral_fermat",
        "Fermat's spiral around a centre, within a box: every point stands for the same area.",
        "spiral_fermat(samx, samy, 0, 0, 2, 2, 0.2, 1)",
        _fermat,
        centre=(_X_START, _Y_START),
        rest=(*_SIZE, _DR, _FACTOR, _DR_Y, _TILT),
    ),
    *_around(
        "spiral_square",
        "The nodes of a grid, from its middle outwards.",
        "spiral_square(samx, samy, 0, 0, 2, 2, 5, 5)",
        _square,
        centre=(
            Argument("x_center", "float", "centre along x", "axis"),
            Argument("y_center", "float", "centre along y", "axis"),
        ),
        rest=(
            *_SIZE,
            Argument("x_num", "int", "points along x", low=2, high=MAX_POINTS),
            Argument("y_num", "int", "points along y", low=2, high=MAX_POINTS),
        ),
    ),
    *_around(
        "round_scan",
        "Rings around a centre, evenly spaced from the inner radius to the outer one.",
        "round_scan(samx, samy, 0, 0, 0, 2, 4, 6)",
        _round,
        centre=(_X_START, _Y_START),
        rest=(
            Argument("inner_radius", "float", "inner radius, not taken itself", "axis", low=0),
            Argument("outer_radius", "float", "outer radius", "axis", above=0),
            Argument("rings", "int", "number of rings", low=1, high=MAX_POINTS),
            _NTH,
        ),
    ),
    DeclaredPlan(
        "x2x_scan",
        "bluesky",
        "Two axes in the ratio 2:1, counted from the present positions; goes back at the end.",
        "x2x_scan(samx, samy, -1, 1, 11)",
        _x2x_scan,
        arguments=_X2X,
        relative=True,
    ),
    DeclaredPlan(
        "inner_product_scan",
        "bluesky",
        "As scan, with the number of points first.",
        "inner_product_scan(11, samx, -1, 1, samy, 0, 2)",
        _scan,
        first=_INNER,
        repeated=LINE,
    ),
    DeclaredPlan(
        "relative_inner_product_scan",
        "bluesky",
        "As inner_product_scan, counted from the present positions; goes back at the end.",
        "relative_inner_product_scan(11, samx, -1, 1, samy, 0, 2)",
        _scan,
        first=_INNER,
        repeated=LINE,
        relative=True,
    ),
    DeclaredPlan(
        "scan_nd",
        "bluesky",
        "Points one by one: the axes, then of each point one position for each axis.",
        "scan_nd([samx, samy], [[0, 0], [1, 0.5], [0.2, 1]])",
        _scan_nd,
        arguments=_ND,
    ),
    DeclaredPlan(
        "count",
        "bluesky",
        "Read without moving: num times; None: until it is stopped.",
        "count(10, time=0.1)",
        _count,
        arguments=(
            Argument(
                "num",
                "int",
                "number of points",
                default=1,
                low=1,
                high=MAX_POINTS,
                or_none=True,
                more="None: until it is stopped",
            ),
            Argument("delay", "float", "delay between two readings", "s", 0.0, low=0, or_none=True),
        ),
        command="count",
    ),
)
