"""What `--show` and `show(...)` draw before a scan."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from undula.client import Accepted
from undula.session.trajectory import drawn

LIMITS = {"samx": ((-50.0, 50.0), "mm"), "samy": ((-20.0, 20.0), "mm"), "free": (None, "eV")}


def accepted(trajectory: list[dict[str, Any]], **more: Any) -> Accepted:
    return Accepted(item_id="1", command="scan(...)", trajectory=trajectory, **more)


def part(axes: list[str], points: list[list[float]], **more: Any) -> dict[str, Any]:
    return {
        "plan": "scan", "axes": axes, "points": points, "num_points": len(points),
        "conditions": {}, "known": True, **more,
    }  # fmt: skip


def test_one_axis_is_drawn_in_its_limits_with_points_time_and_size() -> None:
    found = accepted(
        [part(["samx"], [[-25.0], [0.0], [25.0]])], num_points=3, estimate_s=4.0, data_bytes=24,
        axes=["samx"], detectors=["diode"],
    )  # fmt: skip
    lines = drawn(found, LIMITS, 80)
    ruler = next(line for line in lines if "├" in line)
    assert ruler.startswith("  samx  -50 ├")
    assert ruler.endswith("┤ 50 mm   scan -25 to 25")
    bar = ruler[ruler.index("├") + 1 : ruler.index("┤")]
    assert abs(bar.count("━") / len(bar) - 0.5) < 0.1
    assert any("samx (mm)" in line for line in lines)
    assert {"  points     3", "  data       24 B", "nothing was moved"} <= set(lines)


def test_two_axes_are_drawn_as_they_lie() -> None:
    points = [[y, x] for y in (0.0, 1.0) for x in (0.0, 1.0, 2.0)]
    lines = drawn(accepted([part(["samy", "samx"], points)]), LIMITS, 80)
    assert any("samy (mm)" in line for line in lines)  # the slow axis goes upwards
    assert any("└" in line and "samx (mm)" in line for line in lines)
    assert sum("├" in line for line in lines) == 2


def test_runs_at_conditions_say_at_which() -> None:
    parts = [part(["samx"], [[0.0], [1.0]], conditions={"temperature": t}) for t in (20.0, 40.0)]
    lines = drawn(accepted(parts), LIMITS, 80)
    assert "run 1: scan at temperature 20" in lines
    assert "run 2: scan at temperature 40" in lines


def test_points_found_on_the_way_are_shown_by_their_bounds() -> None:
    lines = drawn(accepted([part(["free"], [[0.0], [5.0]], known=False)]), LIMITS, 80)
    assert "  its points are found on the way, between these bounds" in lines
    assert "  free  without limits   scan 0 to 5 eV" in lines


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-20, 20)), min_size=1, max_size=30),
    st.integers(60, 200),
)
def test_nothing_is_wider_than_the_terminal(rows: list[tuple[float, float]], width: int) -> None:
    points = [[round(a, 3), round(b, 3)] for a, b in rows]
    lines = drawn(accepted([part(["samx", "samy"], points)]), LIMITS, width)
    assert all(len(line) <= width for line in lines)
