"""A run's file: values and units as in the documents, the right default plot, nothing lost."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
import silx.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nexusformat.nexus import nxload
from ophyd.sim import SynAxis, SynSignal, hw
from silx.io import nxdata

from undula.files import NexusFile, Snapshots, open_run, snapshot_path
from undula.files.places import can_follow_live, filesystem

HW = hw()


def readings(documents: list[tuple[str, dict[str, Any]]], key: str) -> np.ndarray:
    names = {d["uid"]: d["name"] for n, d in documents if n == "descriptor"}
    rows = {
        d["seq_num"]: d["data"][key]
        for n, d in documents
        if n == "event" and names[d["descriptor"]] == "primary"
    }
    return np.asarray(list(rows.values()))


def silx_default(path: Path) -> tuple[str, np.ndarray, list[Any], list[str]]:
    with silx.io.open(str(path)) as file:
        found = nxdata.get_default(file)
        axes = [a[()] for a in found.axes]
        return found.signal_dataset_name, found.signal[()], axes, list(found.axes_dataset_names)


def test_a_line_scan_opens_on_the_detector_against_the_motor(documents_of, write) -> None:
    documents = documents_of(bp.scan([HW.det], HW.motor, -1, 1, 7))
    path = write(documents)
    name, signal, axes, axis_names = silx_default(path)
    assert (name, axis_names) == ("det", ["motor"])
    np.testing.assert_array_equal(signal, readings(documents, "det"))
    np.testing.assert_array_equal(axes[0], readings(documents, "motor"))
    plot = nxload(str(path)).plottable_data
    assert (plot.nxsignal.nxname, plot.nxaxes[0].nxname) == ("det", "motor")


def test_a_snaked_map_is_drawn_in_two_dimensions(documents_of, write) -> None:
    plan = bp.grid_scan([HW.det4], HW.motor1, -1, 1, 3, HW.motor2, -2, 2, 4, True)
    documents = documents_of(plan)
    path = write(documents)
    name, signal, axes, axis_names = silx_default(path)
    assert (name, axis_names, signal.shape) == ("det4", ["motor1", "motor2"], (3, 4))
    np.testing.assert_allclose(axes[1], np.linspace(-2, 2, 4))
    slow, fast = readings(documents, "motor1"), readings(documents, "motor2")
    for at, value in enumerate(readings(documents, "det4")):
        row = int(np.argmin(abs(axes[0] - slow[at])))
        column = int(np.argmin(abs(axes[1] - fast[at])))
        assert signal[row, column] == value
    assert nxload(str(path)).plottable_data.nxsignal.shape == (3, 4)


def test_a_relative_map_has_the_positions_where_it_really_was(documents_of, write) -> None:
    HW.motor1.set(5.0)
    HW.motor2.set(0.0)
    plan = bp.rel_grid_scan([HW.det4], HW.motor1, -1, 1, 3, HW.motor2, -2, 2, 4)
    _, _, axes, _ = silx_default(write(documents_of(plan)))
    np.testing.assert_allclose(axes[0], [4, 5, 6])


def test_a_count_is_drawn_against_time(documents_of, write) -> None:
    path = write(documents_of(bp.count([HW.det], 3)))
    _, signal, _, axis_names = silx_default(path)
    assert (signal.shape, axis_names) == ((3,), ["elapsed_time"])
    assert nxload(str(path)).plottable_data.nxsignal.shape == (3,)


def test_a_map_cut_short_keeps_its_points_and_nan_elsewhere(documents_of, write) -> None:
    def stop_after(count: int):
        seen = iter(range(count))

        def take_one(detectors, step, pos_cache):
            if next(seen, None) is None:
                raise RuntimeError("the beam is gone")
            yield from bps.one_nd_step(detectors, step, pos_cache)

        return take_one

    plan = bp.grid_scan([HW.det4], HW.motor1, -1, 1, 3, HW.motor2, -2, 2, 4, per_step=stop_after(6))
    path = write(documents_of(plan))
    with h5py.File(path) as file:
        assert np.isnan(file["entry/data/det4"][()]).sum() == 6
        assert file["entry/exit_status"].asstr()[()] == "fail"
        assert "beam is gone" in file["entry/reason"].asstr()[()]
    data = open_run(path)
    assert {len(v) for v in data.to_dict().values()} == {6}


def test_integers_of_a_map_cut_short_have_a_mask(tmp_path: Path) -> None:
    documents = plain_run(points=3, dtype="integer", shape=(2, 2))
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1])
    for name, doc in documents[1:-1]:
        file.write(name, doc)
    path = file.close(documents[-1][1])
    with h5py.File(path) as opened:
        data = opened["entry/data"]
        assert data["det"][()].tolist() == [[1, 2], [3, np.iinfo(np.int64).min]]
        assert data["det_valid"][()].tolist() == [[1, 1], [1, 0]]
        assert data["det"].attrs["units"] == "counts"


def plain_run(
    points: int, dtype: str = "number", shape: tuple[int, int] | None = None, **start: Any
) -> list[tuple[str, dict[str, Any]]]:
    """A run by hand: motors `y` and `x`, detector `det` giving 1, 2, 3 ..., in units."""
    keys = {
        "x": {"dtype": "number", "shape": [], "source": "T:x", "units": "mm"},
        "y": {"dtype": "number", "shape": [], "source": "T:y", "units": "mm"},
        "det": {"dtype": dtype, "shape": [], "source": "T:det", "units": "counts"},
    }
    axes = ["y", "x"] if shape else ["x"]
    head = {
        "uid": "run-1",
        "time": 100.0,
        "scan_id": 17,
        "plan_name": "scan",
        "motors": axes,
        "detectors": ["det"],
        "hints": {"dimensions": [[[a], "primary"] for a in axes], "gridding": "rectilinear"},
        **start,
    }
    if shape:
        head |= {"shape": list(shape), "num_points": shape[0] * shape[1]}
        head |= {"extents": [[0, shape[0] - 1], [0, shape[1] - 1]], "snaking": [False, False]}
    descriptor = {
        "uid": "d1",
        "name": "primary",
        "run_start": "run-1",
        "time": 100.1,
        "data_keys": keys,
        "object_keys": {k: [k] for k in keys},
        "hints": {k: {"fields": [k]} for k in keys},
        "configuration": {},
    }
    width = shape[1] if shape else points
    events = [
        (
            "event",
            {
                "uid": f"e{n}",
                "descriptor": "d1",
                "seq_num": n + 1,
                "time": 101.0 + n,
                "data": {"x": float(n % width), "y": float(n // width), "det": n + 1},
                "timestamps": dict.fromkeys(keys, 100.5 + n),
            },
        )
        for n in range(points)
    ]
    stop = {"uid": "s1", "run_start": "run-1", "time": 110.0, "exit_status": "success"}
    return [("start", head), ("descriptor", descriptor), *events, ("stop", stop)]


def test_what_is_known_at_the_end_is_in_fixed_fields(write) -> None:
    start = {"command": "ascan x 0 1 3 0.1", "user": "ada", "proposal": "p1", "sample": "gold"}
    path = write(plain_run(3, **start))
    with h5py.File(path) as file:
        entry = file["entry"]
        names = ("entry_identifier", "entry_identifier_uuid", "scan_command", "exit_status")
        names += ("end_time", "experiment_identifier")
        texts = {name: entry[name].asstr()[()] for name in names}
        assert texts["entry_identifier"] == "17"
        assert texts["entry_identifier_uuid"] == "run-1"
        assert texts["scan_command"] == "ascan x 0 1 3 0.1"
        assert texts["exit_status"] == "success"
        assert texts["end_time"] == "1970-01-01T00:01:50.000000+00:00"
        assert texts["experiment_identifier"] == "p1"
        assert entry["duration"][()] == 10.0
        assert entry["sample/name"].asstr()[()] == "gold"
        assert entry["user/name"].asstr()[()] == "ada"
        assert entry["instrument/x/value"].attrs["units"] == "mm"
        assert entry["instrument/det/det_timestamp"][()].tolist() == [100.5, 101.5, 102.5]


def test_baseline_readings_stand_before_and_after(documents_of, write) -> None:
    path = write(documents_of(bp.scan([HW.det], HW.motor, -1, 1, 3), baseline=[HW.motor2]))
    baseline = open_run(path).stream("baseline")
    assert len(baseline) == 2
    assert "motor2" in baseline
    assert silx_default(path)[0] == "det"


def test_a_declared_monitor_is_an_nxmonitor(write) -> None:
    path = write(plain_run(2, devices={"det": {"nx_class": "NXmonitor", "description": "I0"}}))
    with h5py.File(path) as file:
        assert file["entry/det"].attrs["NX_class"] == "NXmonitor"
        assert file["entry/det/data"][()].tolist() == [1, 2]


def test_a_value_that_its_type_cannot_hold_widens_the_column(write) -> None:
    documents = plain_run(4, dtype="integer")
    documents[4][1]["data"]["det"] = 2.5
    path = write(documents)
    assert open_run(path)["det"].tolist() == [1.0, 2.0, 2.5, 4.0]
    assert silx_default(path)[1].tolist() == [1.0, 2.0, 2.5, 4.0]


def test_not_a_number_and_old_stamps_are_stored(write) -> None:
    documents = plain_run(3)
    documents[3][1]["data"]["det"] = float("nan")
    documents[3][1]["timestamps"]["det"] = 0.0
    data = open_run(write(documents))
    assert np.isnan(data["det"]).tolist() == [False, True, False]
    assert data.timestamps["det"][1] == 0.0


def test_texts_and_arrays_of_growing_size_are_kept(documents_of, write) -> None:
    long = "x" * 500
    texts = iter(["short", "short", long, "end", "end"])
    word = SynSignal(name="word", func=lambda: next(texts))
    sizes = iter([3, 3, 5, 4, 4, 4])
    spectrum = SynSignal(name="mca", func=lambda: np.arange(next(sizes), dtype=float))
    data = open_run(write(documents_of(bp.count([word, spectrum], 3))))
    assert long in data["word"].tolist()
    assert data["mca"].shape[0] == 3


def test_a_stream_declared_later_goes_into_a_linked_file(documents_of, write) -> None:
    @bpp.run_decorator()
    def plan():
        for value in (1, 2):
            yield from bps.mv(HW.motor, value)
            yield from bps.trigger_and_read([HW.det, HW.motor])
        yield from bps.trigger_and_read([HW.motor1], name="dark")
        yield from bps.trigger_and_read([HW.det, HW.motor])

    path = write(documents_of(plan()))
    assert len(open_run(path, "dark")) == 1
    assert len(open_run(path)) == 3
    beside = path.with_stem(path.stem + "_dark")
    assert len(open_run(beside, "dark")) == 1


def test_a_frame_file_is_linked(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "frames.h5", "w") as frames:
        frames["entry/data/data"] = np.arange(24).reshape(2, 3, 4)
    documents = plain_run(2)
    descriptor = documents[1][1]
    descriptor["data_keys"]["cam"] = {
        "dtype": "array", "shape": [1, 3, 4], "source": "T:cam", "external": "STREAM:",
        "units": "counts",
    }  # fmt: skip
    descriptor["object_keys"]["cam"] = ["cam"]
    resource = {
        "uid": "r1", "data_key": "cam", "mimetype": "application/x-hdf5", "run_start": "run-1",
        "uri": f"file://localhost{tmp_path}/frames.h5",
        "parameters": {"dataset": "/entry/data/data"},
    }  # fmt: skip
    documents.insert(2, ("stream_resource", resource))
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1])
    for name, doc in documents[1:-1]:
        file.write(name, doc)
    path = file.close(documents[-1][1])
    with h5py.File(path) as opened:
        assert opened["entry/instrument/cam/cam"].shape == (2, 3, 4)
        link = opened["entry/instrument/cam"].get("cam", getlink=True)
        assert link.filename == "frames.h5"


def test_a_foreign_file_is_never_overwritten(tmp_path: Path, write) -> None:
    (tmp_path / "00001_scan.nxs").write_text("mine")
    first = write(plain_run(2))
    other = plain_run(2)
    other[0][1]["uid"] = "run-2"
    second = write(other)
    assert (tmp_path / "00001_scan.nxs").read_text() == "mine"
    assert [first.name, second.name] == ["00001_scan_1.nxs", "00001_scan_2.nxs"]


def test_an_unwritable_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    from undula.core.errors import StorageError

    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match=r"taken.*Remedy"):
        NexusFile.create(tmp_path / "taken" / "a.nxs", plain_run(1)[0][1])


def test_a_second_process_follows_the_file(tmp_path: Path) -> None:
    follower = (
        "import sys\n"
        "from undula.files import open_run\n"
        "data = None\n"
        "for line in sys.stdin:\n"
        "    data = data or open_run(sys.argv[1])\n"
        "    print(data['det'].tolist(), len(data), flush=True)\n"
    )
    documents = plain_run(4, expects_streams=["primary"])
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1], live=True)
    file.write(*documents[1])
    with subprocess.Popen(
        [sys.executable, "-c", follower, str(file.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        assert reader.stdin is not None
        assert reader.stdout is not None
        for number, event in enumerate(documents[2:6], start=1):
            file.write(*event)
            file.flush()
            reader.stdin.write("look\n")
            reader.stdin.flush()
            wanted = [float(n) for n in range(1, number + 1)]
            assert reader.stdout.readline().strip() == f"{wanted} {number}"
        file.close(documents[-1][1])
        reader.stdin.write("look\n")
        reader.stdin.close()
        assert reader.stdout.readline().strip() == "[1.0, 2.0, 3.0, 4.0] 4"


READER = """
import sys
from undula.files import open_run
print(open_run(sys.argv[1])["det"].tolist())
parts = {name.partition(".")[0] for name in sys.modules} & {
    "bluesky", "ophyd", "ophyd_async", "redis", "IPython", "pandas", "xarray", "aioca", "tango"}
print(sorted(parts | {n for n in sys.modules if n.startswith(("undula.scans", "undula.devices"))}))
"""


def test_reading_a_run_loads_nothing_of_the_control_system(write) -> None:
    words = [sys.executable, "-c", READER, str(write(plain_run(2)))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[1.0, 2.0]", "[]"]


def test_a_snapshot_opens_where_swmr_is_unknown(tmp_path: Path) -> None:
    documents = plain_run(3)
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1], live=True)
    for name, doc in documents[1:4]:
        file.write(name, doc)
    file.flush()
    snapshots = Snapshots()
    assert snapshots.update(file.open_files)
    assert not snapshots.update(file.open_files)  # not twice within a second
    live = snapshot_path(file.path)
    assert nxload(str(live)).plottable_data.nxsignal.nxvalue.tolist() == [1.0, 2.0]
    snapshots.remove()
    assert not live.exists()
    file.abandon()


def test_network_file_systems_are_known_from_the_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("dev / ext4 rw 0 0\nsrv:/d /data nfs4 rw 0 0\nx /data/fast xfs rw 0 0\n")
    assert filesystem(Path("/data/p1"), mounts) == "nfs4"
    assert not can_follow_live(Path("/data/p1"), mounts)
    assert can_follow_live(Path("/data/fast/p1"), mounts)
    assert can_follow_live(Path("/datafile"), mounts)


def test_without_swmr_the_file_is_complete_at_the_close(tmp_path: Path) -> None:
    documents = plain_run(3)
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1], live=False)
    for name, doc in documents[1:-1]:
        file.write(name, doc)
        file.flush()
    assert not file.live
    assert open_run(file.close(documents[-1][1]))["det"].tolist() == [1, 2, 3]


def test_readings_come_as_a_table_with_units(write) -> None:
    out = io.StringIO()
    assert open_run(write(plain_run(2))).to_csv(out) == 2
    assert out.getvalue().splitlines()[0].split(",")[:2] == ["det (counts)", "x (mm)"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("points"), st.integers(1, 4)),
            st.tuples(st.just("page"), st.integers(1, 5)),
            st.tuples(st.just("rewind"), st.integers(1, 3)),
            st.tuples(st.just("flush"), st.just(0)),
        ),
        max_size=12,
    )
)
def test_any_order_of_events_pages_and_pauses_gives_the_last_reading_of_each_point(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    documents = plain_run(0)
    file = NexusFile.create(tmp_path_factory.mktemp("f") / "a.nxs", documents[0][1], live=True)
    file.write(*documents[1])
    wanted: dict[int, float] = {}
    seq, value = 1, 0.0

    def reading(number: int, result: float) -> dict[str, Any]:
        data = {"x": float(number), "y": 0.0, "det": result}
        return {"descriptor": "d1", "uid": f"{number}-{result}", "seq_num": number, "time": 101.0,
                "data": data, "timestamps": dict.fromkeys(data, result)}  # fmt: skip

    for kind, count in steps:
        if kind == "rewind":
            seq = max(1, seq - count)
            continue
        if kind == "flush":
            file.flush()
            continue
        taken = []
        for _ in range(count):
            value += 1.0
            wanted[seq] = value
            taken.append(reading(seq, value))
            seq += 1
        if kind == "points":
            for event in taken:
                file.write("event", event)
        else:
            keys = taken[0]["data"]
            page = {
                "descriptor": "d1",
                "uid": [e["uid"] for e in taken],
                "seq_num": [e["seq_num"] for e in taken],
                "time": [e["time"] for e in taken],
                "data": {k: [e["data"][k] for e in taken] for k in keys},
                "timestamps": {k: [e["timestamps"][k] for e in taken] for k in keys},
            }
            file.write("event_page", page)
    path = file.close(documents[-1][1])
    data = open_run(path)
    assert data["seq_num"].tolist() == list(wanted)
    assert data["det"].tolist() == list(wanted.values())
    assert data["x"].tolist() == [float(s) for s in wanted]
    assert data.timestamps["det"].tolist() == list(wanted.values())


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)),
    snaking=st.tuples(st.booleans(), st.booleans()),
)
def test_cells_follow_the_way_bluesky_snakes(
    shape: tuple[int, int, int], snaking: tuple[bool, bool]
) -> None:
    from bluesky.plan_patterns import outer_product

    from undula.files.documents import Grid

    axes = [SynAxis(name=n) for n in "abc"]
    args: list[Any] = []
    for at, (axis, length) in enumerate(zip(axes, shape, strict=True)):
        args += [axis, 0, length - 1, length, *([snaking[at - 1]] if at else [])]
    points = [tuple(int(p[a]) for a in axes) for p in outer_product(args)]
    grid = Grid(shape, (False, *snaking), (None,) * 3, relative=False)
    cells = zip(*grid.indices(np.arange(len(points))), strict=True)
    assert [tuple(int(i) for i in c) for c in cells] == points
