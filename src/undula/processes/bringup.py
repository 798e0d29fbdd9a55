"""Bringing a beamline up: hand the services to a supervisor and wait until all are ready.

In: paths and specs. Out: the final status, or `StartError` with the last words of the service that
did not start; then nothing is left running. Called by: `cli`. Imports: `undula.core`, supervisor.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from undula.core.clock import Deadline
from undula.core.errors import ServiceError
from undula.core.paths import BeamlinePaths
from undula.processes import supervisor_client as client
from undula.processes import supervisor_model as model
from undula.processes.supervisor_child import output_file
from undula.processes.supervisor_lock import holder, starting
from undula.processes.supervisor_model import ServiceSpec

LAUNCHES = 4
TAIL_LINES = 15
Report = Callable[[dict[str, Any]], None]


class StartError(ServiceError):
    """A beamline did not come up.

    Args:
        output: last lines that the service concerned wrote.
    """

    def __init__(self, what: str, *, remedy: str, output: list[str]) -> None:
        super().__init__(what, remedy=remedy)
        self.output = output


def bring_up(
    paths: BeamlinePaths, make_specs: Callable[[], Sequence[ServiceSpec]], report: Report
) -> dict[str, Any]:
    """Start all services, or adopt those that a dead supervisor left; return the status.

    Args:
        make_specs: called only when nothing is to be adopted.
        report: called with each status while waiting, about 20 times a second.
    Raises: BusyError when the beamline is up; StartError when a service does not become ready.
    """
    paths.create()
    with starting(paths):
        client.refuse_second_start(paths)
        adopting = client.is_up(paths) and bool(client.living(paths))
        model.failure_file(paths).unlink(missing_ok=True)
        try:
            if not adopting:
                model.save_specs(paths, make_specs())
            return _wait_up(paths, report, fresh=not adopting)
        except BaseException:  # also Ctrl-C: it goes on to the caller
            if not adopting:  # nothing stays behind; what had been adopted runs on
                _clear(paths)
            raise


def _wait_up(paths: BeamlinePaths, report: Report, *, fresh: bool) -> dict[str, Any]:
    options = ("--fresh",) if fresh else ()
    specs = model.load_specs(paths)
    deadline = Deadline(sum(spec.ready_timeout_s + spec.stop_timeout_s for spec in specs) + 5.0)
    process, launches = client.launch(paths, *options), 1
    asked: dict[str, Any] = {"do": "status", "memory": False}
    while not deadline.passed:
        if process.poll() is not None:
            if process.returncode >= 0 or launches >= LAUNCHES:
                raise _failure(paths, process)
            process, launches = client.launch(paths, *options), launches + 1  # it was killed
        try:
            status = client.ask(paths, asked, timeout_s=1.0)
        except ServiceError:
            time.sleep(client.POLL_S)
            continue
        report(status)
        if status.get("state") == "up" and asked.pop("memory", None) is None:
            return status  # the one that was asked with what each service needs
        time.sleep(client.POLL_S)
    raise _failure(paths, process)


def _clear(paths: BeamlinePaths) -> None:
    if holder(paths) is not None or client.living(paths):
        client.take_down(paths)
    model.spec_file(paths).unlink(missing_ok=True)
    model.failure_file(paths).unlink(missing_ok=True)


def _failure(paths: BeamlinePaths, process: subprocess.Popen[bytes]) -> StartError:
    kept = model.read_json(model.failure_file(paths))
    name = str(kept.get("service", "supervisor"))
    code = process.poll()
    ended = "is not done after its deadline" if code is None else f"ended with code {code}"
    output = output_file(paths, name)
    return StartError(
        f"beamline {paths.name} did not come up: {name} {kept.get('reason', ended)}",
        remedy=f"correct what its output says ({output}), then run undula up again",
        output=client.tail(output, TAIL_LINES),
    )
