"""Plans with SPEC's and BLISS's names: intervals, so one point more; count time at the end.

Words behind the count time name what is read. Relative ones go back at the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from undula.core.errors import InputError
from undula.core.suggest import named_twice
from undula.plans.arguments import MAX_POINTS, Argument
from undula.plans.declared import Call, DeclaredPlan
from undula.plans.families.common import AXIS, LINE, POSITIONS, START, STOP, moving
from undula.plans.form import StepForm

INTERVALS = Argument(
    "intervals", "int", "number of intervals", low=1, high=MAX_POINTS,
    more="One point more than intervals",
)  # fmt: skip
TIME = Argument(
    "count_time", "float", "count time", "s", low=0, label="TIME", more="0: each detector's own"
)
SLEEP = Argument(
    "sleep_time", "float", "sleep time after each point", "s", 0.0, low=0, keyword=True
)
STAB = Argument("stab_time", "float", "time for the axes to settle", "s", 0.0, low=0, keyword=True)
BACK = (
    Argument("snake", "bool", "way back on every other line", default=False, keyword=True),
    Argument("backnforth", "bool", "same as snake, BLISS's word", default=False, keyword=True),
)
NPOINTS = Argument("npoints", "int", "number of points", low=1, high=MAX_POINTS)
_TIMES = (TIME, SLEEP, STAB)


def _timed(call: Call) -> dict[str, Any]:
    return {
        "count_time_s": call["count_time"],
        "delay_s": call["sleep_time"],
        "settle_s": call.values.get("stab_time", 0.0),
    }


def _ascan(call: Call) -> StepForm:
    from undula.plans.trajectory import line

    return moving(call, line(call.groups, call["intervals"] + 1), **_timed(call))


def _anscan(call: Call) -> StepForm:
    from undula.plans.trajectory import line

    rows = _rows(call, (AXIS, START, STOP))
    return moving(call, line(rows, call["intervals"] + 1), **_timed(call))


def _lookupscan(call: Call) -> StepForm:
    from undula.plans.trajectory import listed

    return moving(call, listed(_rows(call, (AXIS, POSITIONS))), **_timed(call))


def _pointscan(call: Call) -> StepForm:
    from undula.plans.trajectory import listed

    return moving(call, listed([(call["motor"], call["positions"])]), **_timed(call))


def _mesh(call: Call) -> StepForm:
    return _map(call, call.groups)


def _anmesh(call: Call) -> StepForm:
    return _map(call, _rows(call, (AXIS, START, STOP, INTERVALS)))


def _map(call: Call, rows: Any) -> StepForm:
    """A grid of which the first axis is fast."""
    from undula.plans.trajectory import grid

    back = call["snake"] or call["backnforth"]
    specs = [(n, a, b, k + 1) for n, a, b, k in reversed(rows)]
    return moving(call, grid(specs, [False, *[back] * (len(specs) - 1)]), **_timed(call))


def _rows(call: Call, columns: tuple[Argument, ...]) -> list[tuple[Any, ...]]:
    """The rows of `motors`, each value read. Raises: InputError."""
    found = []
    for row in call["motors"]:
        if not isinstance(row, list | tuple) or len(row) != len(columns):
            words = ", ".join(c.name for c in columns)
            raise InputError(f"{row!r} names no axis as it should", remedy=f"write [{words}]")
        axis = columns[0].value(row[0])
        found.append((axis, *(c.value(v, axis) for c, v in zip(columns[1:], row[1:], strict=True))))
    names = [row[0] for row in found]
    if len(set(names)) != len(names):
        raise InputError(f"{named_twice(names)} is named twice", remedy="name each axis once")
    return found


def _ct(call: Call) -> StepForm:
    return StepForm(call.plan.name, num=1, count_time_s=call["count_time"])


def _timescan(call: Call) -> StepForm:
    return StepForm(
        call.plan.name,
        num=call["npoints"],
        count_time_s=call["count_time"],
        delay_s=call["sleep_time"],
    )


def _many(name: str, words: str, rows: str) -> Argument:
    return Argument(name, "table", words, "axis", more=f"Each row {rows}")


_ABOUT = "{}: {}axis, start, stop, intervals (10 intervals are 11 points), seconds a point."
_SEVERAL = {"2": 2, "3": 3, "4": 4, "5": 5}
_MESH = (AXIS, START, STOP, INTERVALS)
_FAST = (
    "fast axis first, then the slower ones: axis, start, stop, intervals for each; seconds a point."
)


AXES = ("samx", "samy", "piezo", "slit_gap", "slit_center")
"""Of the examples: the simulated beamline has them."""


def _line_plans() -> list[DeclaredPlan]:
    plans = [
        DeclaredPlan(
            "ascan", "spec",
            _ABOUT.format("SPEC's form", ""),
            "ascan(samx, 0, 1, 10, 0.1)",
            _ascan, (INTERVALS, *_TIMES), LINE, counters=True, command="ascan",
        ),
        DeclaredPlan(
            "dscan", "spec",
            "SPEC's relative form: as ascan, from the present position; goes back at the end.",
            "dscan(samx, -1, 1, 10, 0.1)",
            _ascan, (INTERVALS, *_TIMES), LINE, counters=True, relative=True, command="dscan",
        ),
    ]  # fmt: skip
    plans.append(replace(plans[1], name="lup", example="lup(samx, -1, 1, 10, 0.1)", command=""))
    for word, number in _SEVERAL.items():
        axes = ", ".join(f"{n}, 0, 1" for n in AXES[:number])
        for letter, relative in (("a", False), ("d", True)):
            name = f"{letter}{word}scan"
            plans.append(
                DeclaredPlan(
                    name, "spec",
                    f"As {letter}scan, with {number} axes together.",
                    f"{name}({axes}, 10, 0.1)",
                    _ascan, (INTERVALS, *_TIMES), LINE, least=number, most=number,
                    counters=True, relative=relative,
                )
            )  # fmt: skip
    return plans


def _list_plans() -> list[DeclaredPlan]:
    motors = _many("motors", "axes with their ends", "[axis, start, stop]")
    nodes = _many("motors", "axes with ends and intervals", "[axis, start, stop, intervals]")
    places = _many("motors", "axes with their positions", "[axis, positions]")
    plans = []
    for letter, relative in (("a", False), ("d", True)):
        plans.append(
            DeclaredPlan(
                f"{letter}nscan", "spec",
                f"As {letter}scan, with any number of axes in one list.",
                f"{letter}nscan([[samx, 0, 1], [samy, 0, 2]], 10, 0.1)",
                _anscan, (motors, INTERVALS, *_TIMES), counters=True, relative=relative,
            )
        )  # fmt: skip
        plans.append(
            DeclaredPlan(
                f"{letter}nmesh", "spec",
                f"As {letter}mesh, with any number of axes in one list, the fastest first.",
                f"{letter}nmesh([[samx, 0, 1, 10], [samy, 0, 2, 5]], 0.1)",
                _anmesh, (nodes, *_TIMES, *BACK), counters=True, relative=relative,
            )
        )  # fmt: skip
    plans.append(
        DeclaredPlan(
            "lookupscan", "spec",
            "BLISS's form for given positions of several axes, then seconds a point.",
            "lookupscan([[samx, [0, 0.1, 0.5]], [samy, [1, 2, 3]]], 0.1)",
            _lookupscan, (places, *_TIMES), counters=True,
        )
    )  # fmt: skip
    plans.append(
        DeclaredPlan(
            "pointscan", "spec",
            "BLISS's form for given positions of one axis, then seconds a point.",
            "pointscan(samx, [0, 0.1, 0.5], 0.1)",
            _pointscan, (Argument("motor", "axis", "axis"), POSITIONS, *_TIMES), counters=True,
        )
    )  # fmt: skip
    return plans


def _mesh_plans() -> list[DeclaredPlan]:
    two, three = "samx, -1, 1, 10, samy, 0, 1, 5", "samx, -1, 1, 4, samy, 0, 1, 2, piezo, 0, 1, 1"
    plans = []
    for name, relative, number, axes, house in (
        ("mesh", False, 2, two, "SPEC's grid"),
        ("dmesh", True, 2, two, "SPEC's relative grid, goes back"),
        ("amesh", False, 2, two, "BLISS's grid"),
        ("a3mesh", False, 3, three, "BLISS's grid of three axes"),
        ("d3mesh", True, 3, three, "BLISS's relative grid of three axes, goes back"),
    ):
        plans.append(
            DeclaredPlan(
                name, "spec", f"{house}: {_FAST}", f"{name}({axes}, 0.1)",
                _mesh, (*_TIMES, *BACK), _MESH, least=number, most=number,
                counters=True, relative=relative, command=name if name == "mesh" else "",
            )
        )  # fmt: skip
    return plans


def _counting_plans() -> list[DeclaredPlan]:
    ct = replace(TIME, default=None)
    forever = replace(NPOINTS, default=None, more="Without it, until it is stopped")
    return [
        DeclaredPlan(
            "ct", "spec", "One reading of so many seconds.", "ct(1)", _ct, (ct,),
            counters=True, command="ct",
        ),
        DeclaredPlan(
            "sct", "spec", "As ct; BLISS's name for one that is kept. Here all are kept.", "sct(1)",
            _ct, (ct,), counters=True,
        ),
        DeclaredPlan(
            "timescan", "spec",
            "Readings in time: seconds a reading, and how many (until stopped when left out).",
            "timescan(0.1, 100)",
            _timescan, (TIME, forever, SLEEP), counters=True, command="timescan",
        ),
        DeclaredPlan(
            "loopscan", "spec",
            "Readings in time: how many, and seconds a reading.",
            "loopscan(10, 0.1)",
            _timescan, (NPOINTS, TIME, SLEEP), counters=True,
        ),
    ]  # fmt: skip


PLANS: tuple[DeclaredPlan, ...] = (
    *_line_plans(),
    *_list_plans(),
    *_mesh_plans(),
    *_counting_plans(),
)
