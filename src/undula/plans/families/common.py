"""Arguments that several families share, and how a form is made of a trajectory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from undula.core.errors import InputError
from undula.plans.arguments import MAX_POINTS, Argument
from undula.plans.declared import Call
from undula.plans.form import StepForm

if TYPE_CHECKING:
    from undula.plans.trajectory import Trajectory

AXIS = Argument("axis", "axis", "axis")
START = Argument("start", "float", "start", "axis")
STOP = Argument("stop", "float", "stop", "axis")
LINE = (AXIS, START, STOP)
NUM = Argument("num", "int", "number of points", low=1, high=MAX_POINTS)
POSITIONS = Argument("positions", "list", "positions", "axis", label="POSITIONS")
SNAKE_AXES = Argument(
    "snake_axes", "plan", "axes that run back on every other line", default=False, keyword=True,
    more="True for all but the slowest, or a list of axes",
)  # fmt: skip
X_MOTOR = Argument("x_motor", "axis", "first axis")
Y_MOTOR = Argument("y_motor", "axis", "second axis")


def moving(call: Call, path: Trajectory, **more: Any) -> StepForm:
    """The form of a plan that visits `path`; a relative one returns at its end."""
    path = replace(path, relative=call.relative)
    return StepForm(call.plan.name, path, num=path.num_points, returns=call.relative, **more)


def snaking(names: list[str], snake: Any) -> list[bool]:
    """Which axes run back on every other pass. Raises: InputError.

    >>> snaking(["y", "x"], True), snaking(["y", "x"], ["x"])
    ([False, True], [False, True])
    """
    if snake is None or isinstance(snake, bool):
        return [False, *[bool(snake)] * (len(names) - 1)]
    if isinstance(snake, str):
        snake = [snake]
    if not isinstance(snake, list | tuple):
        raise InputError(f"snake_axes is {snake!r}", remedy="write true or false, or name the axes")
    surplus = set(map(str, snake)) - set(names)
    if surplus:
        raise InputError(
            f"snake_axes names {', '.join(sorted(surplus))}",
            remedy=f"write true or false, or name axes of: {', '.join(names[1:])}",
        )
    return [n in snake for n in names]
