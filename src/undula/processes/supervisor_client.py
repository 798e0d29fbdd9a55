"""How others reach the supervisor: one question, one answer; start it when it is gone.

In: the beamline's paths. Out: its answers as dicts. Called by: `cli`, `processes.stopper`.
Standard library and `undula.core` only.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from undula.core import procs
from undula.core.clock import Deadline
from undula.core.errors import BusyError, ServiceError, TimeoutUndulaError
from undula.core.paths import BeamlinePaths
from undula.core.procs import ProcessId
from undula.core.secret import Secret
from undula.processes import supervisor_model as model
from undula.processes.supervisor_access import proof, raise_refusal
from undula.processes.supervisor_child import output_file
from undula.processes.supervisor_lock import holder

POLL_S = 0.03
STARTED_S = 5.0


def ask(paths: BeamlinePaths, request: dict[str, Any], timeout_s: float = 3.0) -> dict[str, Any]:
    """Put one question to the running supervisor.

    Raises: ServiceError when it does not run or does not answer in time; AccessError.
    """
    line = Secret(json.dumps(request | proof(paths, request)))
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            sock.connect(str(paths.supervisor_socket))
            sock.sendall(line.reveal().encode() + b"\n")
            with sock.makefile("rb") as stream:
                answer = json.loads(stream.readline() or b"{}")
    except (OSError, ValueError) as exc:
        raise ServiceError(
            f"the supervisor of beamline {paths.name} does not answer ({exc})",
            remedy=f"start the beamline: undula up --beamline {paths.name}",
        ) from exc
    if not isinstance(answer, dict) or not answer:
        raise ServiceError(
            f"the supervisor of beamline {paths.name} gave no answer",
            remedy="ask again; see undula logs --service supervisor",
        )
    raise_refusal(answer)
    return answer


def is_up(paths: BeamlinePaths) -> bool:
    """Whether the beamline was brought up since this host booted and not taken down again."""
    return model.spec_file(paths).exists() and model.same_boot(paths)


def living(paths: BeamlinePaths) -> dict[str, ProcessId]:
    """Services that run now, by the state file; also true without a supervisor."""
    kept = model.read_json(model.state_file(paths))
    if kept.get("boot") != procs.boot_id():
        return {}
    found: dict[str, ProcessId] = {}
    for name, record in kept.get("services", {}).items():
        if record.get("pid") and record.get("ticks"):
            process = ProcessId(record["pid"], record["ticks"])
            if process.alive:
                found[name] = process
    return found


def launch(paths: BeamlinePaths, *options: str) -> subprocess.Popen[bytes]:
    """Start a supervisor that outlives us; its output goes to `logs/supervisor.out`."""
    argv = [sys.executable, "-m", "undula.processes.supervisor", "--beamline", paths.name, *options]
    with output_file(paths, "supervisor").open("wb") as out:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ensure(paths: BeamlinePaths) -> bool:
    """See that a beamline that is up has a supervisor; True when a new one had to adopt it.

    Raises: ServiceError when the beamline is not up.
    """
    if not is_up(paths):
        raise ServiceError(
            f"beamline {paths.name} is not up",
            remedy=f"start it: undula up --beamline {paths.name}",
        )
    if holder(paths) is not None:
        return False
    process = launch(paths)
    deadline = Deadline(STARTED_S)
    while not deadline.passed:
        try:
            ask(paths, {"do": "ping"}, timeout_s=1.0)
        except ServiceError:
            if process.poll() is not None and holder(paths) is None:
                break
            time.sleep(POLL_S)
        else:
            return True
    raise ServiceError(
        f"the supervisor of beamline {paths.name} did not start",
        remedy=f"read {output_file(paths, 'supervisor')}",
    )


def take_down(paths: BeamlinePaths) -> bool:
    """Stop all services and the supervisor; False when nothing ran.

    A supervisor that does not answer is killed, and a new one stops what it left.
    Raises: TimeoutUndulaError naming what still runs.
    """
    pid = holder(paths)
    supervisor = None if pid is None else ProcessId.of(pid)
    if supervisor is None:
        if not model.spec_file(paths).exists():
            return False
        _adopt_and_stop(paths)
        return True
    try:
        answer = ask(paths, {"do": "stop"})
        wait_s = float(answer.get("stop_timeout_s", 0.0)) + 5.0
    except ServiceError:
        supervisor.kill()
        _wait_end(supervisor, 2.0)
        _adopt_and_stop(paths)
        return True
    if not _wait_end(supervisor, wait_s):
        names = ", ".join(living(paths)) or "none"
        raise TimeoutUndulaError(
            f"beamline {paths.name} is still going down after {wait_s:g} s, running: {names}",
            remedy="wait, then try again; see undula logs --service supervisor",
        )
    return True


def _adopt_and_stop(paths: BeamlinePaths) -> None:
    if not model.same_boot(paths):
        model.spec_file(paths).unlink(missing_ok=True)
        return
    process = launch(paths, "--down")
    if process.wait() != 0:
        raise ServiceError(
            f"beamline {paths.name} could not be taken down: "
            + " / ".join(tail(output_file(paths, "supervisor"), 3)),
            remedy=f"read {output_file(paths, 'supervisor')}",
        )


def _wait_end(process: ProcessId, timeout_s: float) -> bool:
    deadline = Deadline(timeout_s)
    while process.alive:
        if deadline.passed:
            return False
        time.sleep(POLL_S)
    return True


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file; none when it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 64_000))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def refuse_second_start(paths: BeamlinePaths) -> None:
    """Raises: BusyError naming the pid when the beamline has a supervisor."""
    pid = holder(paths)
    if pid is not None:
        raise BusyError(
            f"beamline {paths.name} is already up, supervisor pid {pid}",
            remedy=f"use it (undula status), or take it down first: "
            f"undula down --beamline {paths.name}",
        )
