"""The stopper: stops the hardware when the engine does not, with connections of its own.

In: `touched.json` of the running scan (device to stop commands), the services' state file. Out: one
line of JSON `{"stopped": [...], "failed": {name: text}, "engine_killed": pid}`. The engine is
killed afterwards, so that the supervisor starts a sound one. Called by: `undula stop`; and with
`--left-behind` by an engine that follows a dead one, which only lacks the stop of its moves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from undula.core.errors import UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths
from undula.core.stop_mark import stopped_now, who, write_mark
from undula.processes import supervisor_client
from undula.processes.supervisor_model import read_json

STOP_TIMEOUT_S = 2.0
StopCommand = tuple[str, float]


def commands(paths: BeamlinePaths) -> dict[str, list[StopCommand]]:
    """Stop commands (PV, value) of each device that the running scan has touched."""
    devices = read_json(paths.touched).get("devices", {})
    return {
        str(name): [(str(pv), value) for pv, value in entry.get("stop", [])]
        for name, entry in devices.items()
    }


def stop_left_behind(paths: BeamlinePaths) -> dict[str, Any]:
    """Write all stop commands. Names each device that was not reached.

    A device without a stop command lives in the engine, and its motion ends with it.
    """
    wanted = commands(paths)
    failed = _write({name: pairs for name, pairs in wanted.items() if pairs})
    stopped = sorted(name for name in wanted if name not in failed)
    return {"stopped": stopped, "failed": failed, "engine_killed": None}


def stop_hardware(paths: BeamlinePaths) -> dict[str, Any]:
    """Write all stop commands, then end the engine. Names each device that was not reached."""
    report = stop_left_behind(paths)
    engine = supervisor_client.living(paths).get("engine")
    with suppress(OSError):  # a full disk must not keep the hardware from being stopped
        write_mark(paths.stopped, stopped_now(who()))  # the next engine starts nothing by itself
    killed = engine.pid if engine is not None and engine.kill() else None
    return {**report, "engine_killed": killed}


def _write(wanted: dict[str, list[StopCommand]]) -> dict[str, str]:
    pairs = [pair for list_ in wanted.values() for pair in list_]
    if not pairs:
        return {}
    from undula.devices.epics import stop_client

    results = stop_client.stop_all(pairs, STOP_TIMEOUT_S)
    unreached = {pv: why for pv, why in results.items() if why is not None}
    return {
        name: "; ".join(f"{pv}: {unreached[pv]}" for pv, _ in list_ if pv in unreached)
        for name, list_ in wanted.items()
        if any(pv in unreached for pv, _ in list_)
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Stop the hardware of a beamline. Exit: 0 all stopped, 1 something was not reached."""
    parser = argparse.ArgumentParser(prog="python -m undula.processes.stopper")
    parser.add_argument("--beamline", required=True)
    parser.add_argument("--left-behind", action="store_true", help="leave the engine alone")
    options = parser.parse_args(arguments)
    stop = stop_left_behind if options.left_behind else stop_hardware
    try:
        report = stop(beamline_paths(options.beamline))
    except UndulaError as exc:
        report = {"stopped": [], "failed": {exc.device or "all": str(exc)}, "engine_killed": None}
    sys.stdout.write(json.dumps(report) + "\n")
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
