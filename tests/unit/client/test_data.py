"""The data of a run as xarray and pandas, while it is written and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import hw

from undula.client.data import Data, JoinedTables, Layout
from undula.client.lazy import FileArray
from undula.files import NexusFile
from undula.files.joined import RunPart
from undula.plans.steps import Turn
from undula.plans.turns import TurnReader

HW = hw()
GRID = {
    "shape": [2, 2], "snaking": [False, False], "extents": [[0, 1], [0, 1]],
    "hints": {"dimensions": [[["motor1"], "primary"], [["motor2"], "primary"]]},
}  # fmt: skip
Written = tuple[Data, NexusFile, dict[str, Any]]
Write = Callable[..., Written]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a plan's documents into a file that stays open; `points` cuts it short."""

    def run(plan: Any, points: int | None = None) -> Written:
        documents: list[tuple[str, dict[str, Any]]] = []
        RunEngine({"scan_id": 0}, context_managers=[])(
            plan, lambda name, doc: documents.append((name, dict(doc)))
        )
        (_, start), *rest, (_, stop) = documents
        file = NexusFile.create(tmp_path / f"{start['uid']}.nxs", start)
        for name, doc in rest:
            if points is None or doc.get("seq_num", 0) <= points:
                file.write(name, doc)
        file.flush()
        return Data(file.path), file, stop

    return run


def test_a_scan_has_its_axis_as_coordinate_and_units(write: Write) -> None:
    data, file, stop = write(bp.scan([HW.det], HW.motor, -1, 1, 7))
    for _ in range(2):  # open, then closed
        found = data.to_xarray()
        assert found.det.dims == ("motor",)
        assert found.motor.values == pytest.approx(np.linspace(-1, 1, 7))
        assert float(found.det.sel(motor=0.0)) == pytest.approx(1.0)
        assert found.elapsed_time.attrs["units"] == "s"
        assert found.attrs["plan_name"] == "scan"
        frame = data.to_pandas()
        assert frame.index.name == "seq_num"
        assert frame["det"].idxmax() == 4
        assert frame.attrs["units"]["time"] == "s"
        file.close(stop)


def test_a_snaked_grid_that_is_still_open_has_gaps_where_it_was_not_yet(write: Write) -> None:
    plan = bp.grid_scan([HW.det4], HW.motor1, -1, 1, 3, HW.motor2, -2, 2, 5, snake_axes=True)
    data, _, _ = write(plan, points=8)
    found = data.to_xarray()
    assert found.det4.shape == (3, 5)
    assert found.motor1.values.tolist() == [-1, 0, 1]
    assert found.motor2.values.tolist() == [-2, -1, 0, 1, 2]
    assert np.isnan(found.det4.values[1]).tolist() == [True, True, False, False, False]
    assert np.isnan(found.det4.values[2]).all()
    assert found.motor2_readback.values[0].tolist() == [-2, -1, 0, 1, 2]
    assert found.motor2_readback.values[1, 2:].tolist() == [0, 1, 2]
    assert found.det4.isel(motor1=[0, 1], motor2=slice(2, None)).shape == (2, 3)
    assert float(found.det4.isel(motor1=0, motor2=2)) == data["det4"][2]
    measured = data.measured()
    assert (measured.x.key, measured.y and measured.y.key) == ("motor2", "motor1")
    assert measured.signal.values.tolist() == data["det4"].tolist()


def test_only_what_is_looked_at_is_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _, _ = write(bp.scan([HW.direct_img], HW.motor, -1, 1, 4))
    assert data.to_xarray().img.dims == ("motor", "y", "x")
    whole = data["img"]
    read: list[str] = []
    real = FileArray._read

    def counted(array: FileArray, key: Any) -> Any:
        read.append(array._key)
        return real(array, key)

    monkeypatch.setattr(FileArray, "_read", counted)
    part = data.to_xarray().img.isel(motor=[3, 1], y=slice(0, 5), x=7)
    assert "img" not in read
    assert part.values.tolist() == whole[[3, 1]][:, 0:5, 7].tolist()
    assert read.count("img") == 1


def test_rows_that_were_skipped_or_taken_again_go_where_they_belong(write: Write) -> None:
    """Points 1 2 3 of a grid of 4; point 2 was taken again; point 4 was skipped."""
    reader = TurnReader()

    @bpp.run_decorator(md=GRID)
    def plan() -> Any:
        def point(slow: float, fast: float) -> Any:
            yield from bps.mv(HW.motor1, slow, HW.motor2, fast)
            yield from bps.trigger_and_read([HW.motor1, HW.motor2])

        yield from point(0, 0)
        yield from point(0, 99)  # spoiled
        reader.show(Turn("retaken", 2, 3, 2))
        yield from bps.trigger_and_read([reader], name="steering")
        yield from point(0, 1)
        yield from point(1, 0)

    data, file, stop = write(plan())
    file.close(stop)
    found = data.to_xarray().motor2_readback.values
    assert found[0].tolist() == [0, 1]
    assert found[1, 0] == 0
    assert np.isnan(found[1, 1])


def test_of_a_point_of_a_line_that_was_taken_again_the_last_reading_counts(write: Write) -> None:
    """Points 1 2 3 of a line; point 2 was spoiled, and taken again."""
    reader = TurnReader()

    @bpp.run_decorator(md={"motors": ["motor1"], "num_points": 3, "shape": [3]})
    def plan() -> Any:
        def point(place: float) -> Any:
            yield from bps.mv(HW.motor1, place)
            yield from bps.trigger_and_read([HW.motor1])

        yield from point(0)
        yield from point(99)  # spoiled
        reader.show(Turn("retaken", 2, 3, 2))
        yield from bps.trigger_and_read([reader], name="steering")
        yield from point(1)
        yield from point(2)

    data, file, stop = write(plan())
    file.close(stop)
    assert data["motor1"].tolist() == [0, 99, 1, 2]
    assert data.to_xarray()["motor1"].values.tolist() == [0, 1, 2]
    assert data.measured("motor1").signal.values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2), (3, 1, 4)])
def test_the_rows_of_a_snake_are_those_that_bluesky_drives(shape: tuple[int, ...]) -> None:
    axes = [HW.motor1, HW.motor2, HW.motor3][: len(shape)]
    arguments = [x for axis, n in zip(axes, shape, strict=True) for x in (axis, 0, n - 1, n)]
    seen = []

    def keep(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            seen.append(tuple(round(doc["data"][axis.name]) for axis in axes))

    RunEngine(context_managers=[])(bp.grid_scan([], *arguments, snake_axes=True), keep)
    rows = Layout(("a",) * len(shape), shape, (False, *(True,) * (len(shape) - 1))).rows()
    for row, place in enumerate(seen):
        assert rows[place] == row


def test_joined_runs_are_one_grid(write: Write) -> None:
    def part(points: list[tuple[float, float]], **more: Any) -> Any:
        @bpp.run_decorator(md=GRID | more)
        def plan() -> Any:
            for slow, fast in points:
                yield from bps.mv(HW.motor1, slow, HW.motor2, fast)
                yield from bps.trigger_and_read([HW.motor1, HW.motor2])

        return plan()

    first, *_ = write(part([(0, 0), (0, 1)]))
    second, *_ = write(part([(1, 0)], continues={"first_point": 3}))
    alone = second.to_xarray().motor1_readback.values
    assert np.isnan(alone[0]).all()
    assert alone[1, 0] == 1
    joined = JoinedTables([RunPart(1, first), RunPart(2, second, 3)], 4)
    found = joined.to_xarray()
    assert found.motor2_readback.values[0].tolist() == [0, 1]
    assert found.run.values[1, 0] == 2
    assert np.isnan(found.motor2_readback.values[1, 1])
    assert joined.to_pandas()["point"].tolist() == [1, 2, 3]
