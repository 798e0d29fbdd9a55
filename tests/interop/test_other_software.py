"""Software that others wrote: viewers on our files, EPICS IOCs, other Pythons."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bluesky.plans as bp
import numpy as np
import pytest
from nexusformat.nexus import nxload
from silx.io import nxdata
from silx.io import open as silx_open

from undula.client import Client
from undula.core.errors import UndulaError
from undula.devices.demo_ioc import MINI_BEAMLINE_FILE, mini_beamline
from undula.testing.beamline import local_beamline

pytestmark = pytest.mark.interop
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_beamline() as beamline, beamline.connect() as client:
        yield client


def test_nexusformat_and_silx_draw_a_line_scan(client: Client) -> None:
    run = client.scan("samx", -1, 1, 21, detectors=["diode"]).run
    entry = nxload(str(run.path))
    data = entry.plottable_data
    assert data.nxsignal.nxname == "diode"
    assert [axis.nxname for axis in data.nxaxes] == ["samx"]
    assert data.nxaxes[0].attrs["units"] == "mm"
    assert np.array_equal(data.nxsignal.nxdata, run.data["diode"])
    with silx_open(str(run.path)) as file:
        drawn = nxdata.get_default(file)
        assert drawn.signal_name.startswith("diode")
        assert np.array_equal(drawn.signal[()], run.data["diode"])


def test_nexusformat_and_silx_draw_a_map(client: Client) -> None:
    run = client.grid_scan("samy", 0, 1, 3, "samx", 0, 2, 4, detectors=["diode"]).run
    data = nxload(str(run.path)).plottable_data
    assert data.nxsignal.shape == (3, 4)
    assert [axis.nxname for axis in data.nxaxes] == ["samy", "samx"]
    with silx_open(str(run.path)) as file:
        drawn = nxdata.get_default(file)
        assert drawn.signal.shape == (3, 4)
        assert drawn.is_image


def test_the_peak_of_another_ones_ioc_is_in_the_file() -> None:
    with mini_beamline() as ioc, pytest.MonkeyPatch.context() as patch:
        for name, value in ioc.env.items():
            patch.setenv(name, value)
        with local_beamline(MINI_BEAMLINE_FILE) as beamline, beamline.connect() as client:
            client.mv(ph_velocity=40.0)
            run = client.scan("ph_mtr", -12, 12, 13, time=0.6, detectors=["ph_det"]).run
            counts = run.data["ph_det"]
            assert abs(run.data["ph_mtr"][int(np.argmax(counts))]) <= 4
            assert counts.max() > 5 * counts.min()


ARGUMENTS: dict[str, tuple[list[object], dict[str, object]]] = {
    "adaptive_scan": ([["diode"], "diode", "samx", 0, 1, 0.1, 0.5, 100, True], {}),
    "count": ([["diode"]], {}),
    "grid_scan": ([["diode"], "samy", 0, 1, 2, "samx", 0, 1, 2], {}),
    "inner_product_scan": ([["diode"], 3, "samx", 0, 1], {}),
    "list_grid_scan": ([["diode"], "samy", [0, 1], "samx", [0, 1]], {}),
    "list_scan": ([["diode"], "samx", [0, 1, 2]], {}),
    "log_scan": ([["diode"], "samx", 0, 1, 3], {}),
    "relative_inner_product_scan": ([["diode"], 3, "samx", 0, 1], {}),
    "rel_adaptive_scan": ([["diode"], "diode", "samx", 0, 1, 0.1, 0.5, 100, True], {}),
    "rel_grid_scan": ([["diode"], "samy", 0, 1, 2, "samx", 0, 1, 2], {}),
    "rel_list_grid_scan": ([["diode"], "samy", [0, 1], "samx", [0, 1]], {}),
    "rel_list_scan": ([["diode"], "samx", [0, 1, 2]], {}),
    "rel_log_scan": ([["diode"], "samx", 0, 1, 3], {}),
    "rel_scan": ([["diode"], "samx", 0, 1, 3], {}),
    "rel_spiral": ([["diode"], "samx", "samy", 1, 1, 0.5, 4], {}),
    "rel_spiral_fermat": ([["diode"], "samx", "samy", 1, 1, 0.5, 1.0], {}),
    "rel_spiral_square": ([["diode"], "samx", "samy"], {
        "x_range": 1, "y_range": 1, "x_num": 2, "y_num": 2}),
    "scan": ([["diode"], "samx", 0, 1, 3], {}),
    "scan_nd": ([["samx", "samy"], [[0, 0], [1, 0.5]]], {}),
    "spiral": ([["diode"], "samx", "samy", 0, 0, 1, 1, 0.5, 4], {}),
    "spiral_fermat": ([["diode"], "samx", "samy", 0, 0, 1, 1, 0.5, 1.0], {}),
    "spiral_square": ([["diode"], "samx", "samy"], {
        "x_center": 0, "y_center": 0, "x_range": 1, "y_range": 1, "x_num": 2, "y_num": 2}),
    "tune_centroid": ([["diode"], "diode", "samx", -1, 1, 0.1], {"num": 3}),
    "x2x_scan": ([["diode"], "samx", "samy", 0, 1, 3], {}),
}  # fmt: skip
NOT_HERE = {
    "fly": "needs a flyer, which comes with fly control",
    "ramp_plan": "takes a plan as argument, which cannot be named",
    "tweak": "asks at a terminal for each step",
    "rel_scan_nd": "takes a cycler object as argument, which cannot be named",
}


def _plans() -> list[str]:
    import inspect

    return sorted(
        name
        for name, value in vars(bp).items()
        if inspect.isgeneratorfunction(value)
        and value.__module__ == bp.__name__
        and value.__name__ == name  # other names of a plan are left out
        and not name.startswith("_")
    )


def test_every_plan_of_bluesky_runs_by_name_or_says_why_not(client: Client) -> None:
    lines, failed = [], []
    client.mv(samx=0, samy=0)
    for name in _plans():
        if name not in ARGUMENTS:
            lines.append(f"| `{name}` | no | {NOT_HERE.get(name) or 'not tried'} |")
            continue
        args, kwargs = ARGUMENTS[name]
        try:
            scan = client.run_plan(name, *args, **kwargs)
            lines.append(f"| `{name}` | yes | {scan.run.status} |")
        except UndulaError as error:
            failed.append(f"{name}: {error}")
            lines.append(f"| `{name}` | no | {error.what} |")
    print("\n".join(lines))
    page = (ROOT / "docs/reference/plans.md").read_text(encoding="utf-8")
    assert failed == []
    assert [line for line in lines if line not in page] == [], "the table in the docs is not true"
    assert not [line for line in lines if "not tried" in line]


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_pythons_pass_the_quick_tests(version: str, tmp_path: Path) -> None:
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # also when HOME is another folder
    found = sorted(home.glob(f".pyenv/versions/{version}*/bin/python"))
    python = str(found[-1]) if found else shutil.which(f"python{version}")
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", python, str(tmp_path / "v")], check=True)
    own = str(tmp_path / "v" / "bin" / "python")
    pip = [uv, "pip", "install", "-q", "--python", own]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements.lock")], check=True)
    subprocess.run([*pip, "--no-deps", str(ROOT)], check=True)
    tests = ["tests/unit/plans", "tests/unit/devices", "tests/unit/scans", "tests/contract"]
    done = subprocess.run(
        [own, "-m", "pytest", *tests],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    demo = subprocess.run(
        [str(tmp_path / "v" / "bin" / "undula"), "demo"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert demo.returncode == 0, demo.stderr[-2000:]
