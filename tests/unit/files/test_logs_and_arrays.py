"""What devices gave by themselves as NXlog, and arrays that are stored where they belong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky.plans import count
from ophyd import Signal
from ophyd.sim import SynAxis, SynGauss

from undula.files import NexusFile, open_run

Documents = list[tuple[str, dict[str, Any]]]
VALUES = [20.5, 21.0, 25.5]


def _run(documents_of: Callable[..., Documents], **metadata: Any) -> Documents:
    motor = SynAxis(name="motor")
    det = SynGauss("det", motor, "motor", center=0, Imax=1, sigma=1)
    heater, curve = Signal(name="heater", value=20.0), Signal(name="curve", value=np.zeros(4))

    @bpp.stage_decorator([det])
    @bpp.run_decorator(md=metadata)
    def plan() -> Any:
        yield from bps.monitor(heater, name="heater_monitor")
        yield from bps.monitor(curve, name="curve_monitor")
        for number, value in enumerate(VALUES):
            yield from bps.trigger_and_read([det])
            heater.put(value)
            curve.put(np.full(4, float(number + 1)))
        yield from bps.unmonitor(heater)
        yield from bps.unmonitor(curve)

    return documents_of(plan())


def _look(file: Any, start: float, folder: str) -> None:
    log = file[f"entry/{folder}/heater/value_log"]
    assert log.attrs["NX_class"] == "NXlog"
    assert log["value"][()].tolist() == VALUES
    stamps = file["entry/collection/heater_monitor/heater_timestamp"][()]
    assert np.allclose(log["time"][()], stamps - start)
    assert log["time"].attrs["units"] == "s"
    assert log["time"].attrs["start"].endswith("+00:00")
    found = [log[f"{n}_value"][()] for n in ("average", "minimum", "maximum")]
    assert found == [np.mean(VALUES), 20.5, 25.5]
    series = file["entry/instrument/curve/value_series"]
    assert series.attrs["signal"] == "curve"
    assert series["curve"].shape == (3, 4)
    assert series["time"].shape == (3,)
    assert file["entry/collection/primary/seq_num"].shape == (3,)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("told", [True, False], ids=["told beforehand", "declared late"])
def test_monitor_streams_are_logs_with_their_own_times(
    documents_of: Callable[..., Documents], tmp_path: Path, live: bool, told: bool
) -> None:
    streams = ["primary", "heater_monitor", "curve_monitor"]
    expects = {"expects_streams": streams} if told else {"expects_streams": ["primary"]}
    about = {"heater": {"keys": ["heater"], "tags": ["environment"]}}
    documents = _run(documents_of, devices=about, **expects)
    if not told:  # as when a plan begins to follow a device in mid-run
        late = {d["uid"] for n, d in documents if n == "descriptor" and "_mon" in d["name"]}
        followed = [e for e in documents if (e[1].get("descriptor") or e[1]["uid"]) in late]
        rest = [e for e in documents if e not in followed]
        documents = [*rest[:-1], *followed, rest[-1]]
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1], live=live)
    for name, doc in documents[1:-1]:
        file.write(name, doc)
        file.flush()
    start = float(documents[0][1]["time"])
    with h5py.File(file.close(documents[-1][1]), "r") as opened:
        _look(opened, start, "sample")


def test_a_device_followed_again_has_another_log_and_costs_no_point(
    documents_of: Callable[..., Documents], write: Callable[..., Path]
) -> None:
    heater = Signal(name="heater", value=20.0)

    @bpp.run_decorator(md={})
    def plan() -> Any:
        for number, name in enumerate(("a_monitor", "b_monitor", "c_monitor")):
            yield from bps.monitor(heater, name=name)
            heater.put(3.0 + number)
            yield from bps.unmonitor(heater)
            if number == 1:
                yield from bps.trigger_and_read([Signal(name="det", value=1)])

    with h5py.File(write(documents_of(plan())), "r") as file:
        assert file["entry/collection/primary/det"].shape == (1,)
        for number, name in enumerate(("value_log", "value_log_2", "value_log_3")):
            found = file[f"entry/instrument/heater/{name}/value"]
            assert found[-1] == 3.0 + number


def test_a_device_that_is_read_at_the_points_too_has_its_log_beside_its_readings(
    documents_of: Callable[..., Documents], write: Callable[..., Path]
) -> None:
    heater = Signal(name="heater", value=20.0)
    documents = documents_of(bpp.monitor_during_wrapper(count([heater], 2), [heater]))
    with h5py.File(write(documents), "r") as file:
        group = file["entry/instrument/heater"]
        assert group.attrs["NX_class"] == "NXdetector"
        assert group["heater"].shape == (2,)
        assert group["value_log/value"].shape == (0,)  # it did not change by itself
        assert np.isnan(group["value_log/average_value"][()])


def test_large_images_are_compressed_and_read_by_a_fresh_process(
    documents_of: Callable[..., Documents], write: Callable[..., Path]
) -> None:
    image = np.tile(np.arange(256, dtype="<u2"), (256, 1))
    camera, small = Signal(name="camera", value=image), Signal(name="small", value=image[:8, :8])
    documents = documents_of(count([camera, small], 3))
    descriptor = next(d for n, d in documents if n == "descriptor")
    for key in ("camera", "small"):
        descriptor["data_keys"][key]["dtype_numpy"] = "<u2"
    path = write(documents)
    with h5py.File(path, "r") as file:
        data = file["entry/instrument/camera/camera"]
        assert (data.chunks, data.dtype, data.shape) == ((1, 256, 256), "<u2", (3, 256, 256))
        assert data.id.get_create_plist().get_filter(0)[0] == 32008
        assert data.id.get_storage_size() < 0.1 * 3 * image.nbytes
        assert file["entry/instrument/small/small"].id.get_create_plist().get_nfilters() == 0
    assert np.array_equal(open_run(path)["camera"][1], image)
    reader = "import sys, undula.files as f; print(f.open_run(sys.argv[1])['camera'].sum())"
    done = subprocess.run(
        [sys.executable, "-c", reader, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(3 * int(image.sum())), done.stderr
