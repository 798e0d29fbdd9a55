"""Process: the engine. Devices, scan queue, direct moves and the stop path, in one process.

One engine a beamline, held by a file lock. It first stops what a dead predecessor had moved, before
it connects its own devices, makes safe all that it had touched and ends its runs; then it serves.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from bluesky.run_engine import RunEngine

from undula.bus.broker import connect
from undula.bus.outbox import Outbox
from undula.bus.ports import Connector
from undula.catalogue import SqliteCatalogue
from undula.core import log, notify
from undula.core.access import Access
from undula.core.errors import BusyError, UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths
from undula.core.served import work_for
from undula.core.settings import BeamlineSettings, load_settings, save_settings
from undula.devices.opening import Opening, open_configuration
from undula.devices.registry import Registry
from undula.devices.revisions import Revisions
from undula.devices.settings import Settings
from undula.devices.sim import SIMULATED_FILE
from undula.processes.login_door import LoginDoor
from undula.processes.own_code import faults_of_models_and_nodes
from undula.processes.stopper import commands
from undula.scans.additions import Additions
from undula.scans.alarms import Alarms
from undula.scans.attendant import Attendant
from undula.scans.common_metadata import CommonMetadata
from undula.scans.conditions import Conditions
from undula.scans.configuration import Configuration
from undula.scans.file_layouts import FileLayouts
from undula.scans.leases import Leases
from undula.scans.line import stored_items
from undula.scans.live import LiveValues
from undula.scans.metadata_schema import FILE as METADATA_SCHEMA
from undula.scans.metadata_schema import MetadataCheck
from undula.scans.motors import Motors
from undula.scans.moves import Mover
from undula.scans.notes import RunNotes
from undula.scans.quick_bluesky import quicken, run_engine
from undula.scans.recovery import end_open_runs, end_started_items, make_safe, tell_ended_items
from undula.scans.rights import Guard
from undula.scans.runner import ScanRunner
from undula.scans.safety import Touched
from undula.scans.service import EngineService
from undula.scans.stop import StopServer, stop_all
from undula.scans.stopped import Stops, dropped
from undula.scans.velocities import Velocities

STOPPER_S = 10.0
SWITCH_INTERVAL_S = 0.0005
"""While a block of points runs, requests and moves still get the interpreter in time."""


def _only_one(paths: BeamlinePaths) -> IO[str]:
    lock = (paths.state / "engine.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise BusyError(
            f"another engine holds {lock.name}", remedy="stop it first: undula down"
        ) from exc
    return lock


def _stop_left_behind(paths: BeamlinePaths, within_s: float = STOPPER_S) -> None:
    """Stop what a dead engine had moved: connecting may take long, where a device does not answer.

    By a process of its own, over its own connections: this one needs none of its libraries.
    """
    if not any(commands(paths).values()):
        return
    argv = [sys.executable, "-m", "undula.processes.stopper", "--beamline", paths.name]
    try:
        done = subprocess.run(
            [*argv, "--left-behind"], capture_output=True, timeout=within_s, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:  # they are stopped again when connected
        log.get_logger().error("left_behind_not_stopped", error=str(error))
        return
    report, said = done.stdout.decode().strip(), done.stderr.decode().strip()
    if done.returncode == 0:
        log.get_logger().warning("left_behind_stopped", report=report)
        return
    try:
        failed = dict(json.loads(report)["failed"])
    except (ValueError, TypeError, KeyError):  # it died before it could tell
        failed = {}
    why = said.splitlines()[-1] if said else f"the stopper ended with code {done.returncode}"
    log.get_logger().error("left_behind_not_stopped", failed=failed, report=report, error=why)


def _load_devices(
    paths: BeamlinePaths, settings: BeamlineSettings, engine: RunEngine
) -> tuple[Registry, Opening]:
    source = settings.devices or SIMULATED_FILE
    opening = open_configuration(source, Revisions(paths.configurations))
    devices = Registry(opening.file)
    notify.status(f"connecting {len(devices.names())} devices")
    devices.connect(loop=engine.loop)
    for name in devices.names():
        if devices[name].problem:
            log.get_logger().warning(
                "device_not_connected", device=name, problem=devices[name].problem
            )
    return devices, opening


def _remember(paths: BeamlinePaths, devices: Path) -> None:
    """The device file that was loaded is the one to start with from now on."""
    update = {"devices": None if devices == SIMULATED_FILE else devices}
    save_settings(load_settings(paths.config).model_copy(update=update), paths.config)


def _attach(
    service: EngineService,
    runner: ScanRunner,
    mover: Mover,
    paths: BeamlinePaths,
    opening: Opening,
    *,
    attendant: Attendant,
) -> None:
    configuration = Configuration(
        runner.devices,
        Revisions(paths.configurations),
        opening,
        leases=runner.leases,
        changed=service.says.configuration_changed,
        chosen=lambda path: _remember(paths, path),
    )
    motors = Motors(
        runner.devices,
        runner.leases,
        Settings(paths.device_settings),
        service.says.devices_changed,
        attendant=attendant,
        velocities=mover.velocities,
    )
    service.attach(runner, mover, configuration, motors)
    service.attach_alarms(Alarms(paths.alarms, service.says.alarms_changed))


def _stop_call(
    stops: Stops, runner: ScanRunner, engine: RunEngine
) -> Callable[[str], tuple[list[str], dict[str, str]]]:
    def stop(by: str) -> tuple[list[str], dict[str, str]]:
        reason = f"stopped by {stops.mark(by).words}"  # first, so that nothing more is set
        runner.want_stop(reason)
        result = stop_all(runner.active_objects(), engine.loop)
        runner.interrupt(reason, stops.keep)
        return result

    return stop


def _recover(
    catalogue: SqliteCatalogue,
    connector: Connector,
    outbox: Outbox,
    runner: ScanRunner,
    stops: Stops,
) -> int:
    """End what a dead engine left, and begin with what waits. Returns how many runs were open."""
    runs = end_open_runs(catalogue, connector, outbox)
    ended = end_started_items(catalogue, connector, {run.uid for run in runs})
    tell_ended_items(catalogue, connector)
    connector.answer_abandoned(resolve=lambda request: dropped(request, stops, catalogue))
    waiting = []
    for item, request in stored_items(catalogue):
        mark = stops.covers(item.submitted)
        if mark is None:
            waiting.append((item, request))
        else:
            runner.drop(item.item_id, f"stopped by {mark.words}")
    died = bool(runs) or any(status == "fail" for _, status in ended)
    runner.start(waiting, died, ended, fresh=notify.fresh_start())
    return len(runs)


def _live(devices: Registry, service: EngineService) -> LiveValues:
    devices.on_told(service.news.told)
    return LiveValues(
        devices,
        service.news.values_changed,
        service.news.values_heard,
        service.says.devices_changed,
    )


def _look_at_code(paths: BeamlinePaths, additions: Additions, service: EngineService) -> None:
    """Log what is faulty of a beamline's own code, before somebody uses it."""
    try:
        additions.list()  # logs what it cannot read
        service.says.plans_changed()
        for fault in faults_of_models_and_nodes(paths):
            log.get_logger().warning("own_code_faulty", fault=fault)
    except Exception:  # whatever it is, the engine serves
        log.get_logger().exception("own_code_not_looked_at")


def serve(paths: BeamlinePaths, settings: BeamlineSettings) -> None:
    """Run the engine until SIGTERM. Raises: UndulaError when it cannot start."""
    with ExitStack() as closing:  # also when a later part fails
        closing.enter_context(_only_one(paths))
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        quicken()
        _stop_left_behind(paths)
        engine = run_engine(call_returns_result=True)
        devices, opening = _load_devices(paths, settings, engine)
        make_safe(paths.touched, devices, engine.loop)
        connector = connect(paths, settings, role="service", client_name="engine")
        closing.callback(connector.close)
        catalogue = SqliteCatalogue(paths.catalogue, settings.data)
        closing.callback(catalogue.close)
        outbox = Outbox(paths.publisher_socket)
        stops, attendant = Stops(paths.stopped), Attendant()
        access = Access(paths.access, lifetime_s=settings.login_lifetime_s)
        service = EngineService(
            connector, devices, settings, outbox, stops, attendant=attendant, guard=Guard(access)
        )
        touched, leases = Touched(paths.touched, devices), Leases(service.says.leases_changed)
        conditions = Conditions(devices)
        closing.callback(conditions.close)
        additions = Additions(paths.plans, settings, devices)
        runner = ScanRunner(
            devices,
            settings,
            catalogue,
            outbox,
            touched=touched,
            leases=leases,
            engine=engine,
            changed=service.says.queue_changed,
            finished=service.says.item_finished,
            conditions=conditions,
            attendant=attendant,
            hooks_of=additions.for_scan,
        )
        mover = Mover(
            engine.loop,
            devices,
            leases,
            touched,
            service.news.show_readback,
            attendant=attendant,
            velocities=Velocities(paths.velocities),
            watch=runner.moves,
        )
        _attach(service, runner, mover, paths, opening, attendant=attendant)
        runner.layouts = layouts = FileLayouts(paths.state)
        metadata = CommonMetadata(
            paths.metadata,
            settings,
            service.says.metadata_changed,
            MetadataCheck(paths.state / METADATA_SCHEMA),
            layouts,
        )
        service.attach_metadata(metadata)
        service.attach_notes(RunNotes(catalogue, service.says.tell))
        service.attach_additions(additions)
        log.add_sink(service.says.log)
        stopping = StopServer(paths.stop_socket, _stop_call(stops, runner, engine))
        closing.callback(stopping.close)
        closing.callback(LoginDoor(paths.login_socket, access).close)
        closing.callback(outbox.close)
        outbox.start()
        closing.callback(outbox.drained, 5.0)
        closing.callback(service.finish)
        closing.callback(_live(devices, service).close)
        recovered = _recover(catalogue, connector, outbox, runner, stops)
        closing.callback(runner.close, "the services were taken down")
        service.says.plans_changed()
        service.says.configuration_changed()
        service.says.queue_changed()
        signal.signal(signal.SIGTERM, lambda *_: service.close())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        notify.ready(f"{len(devices.names())} devices")
        looking = (paths, additions, service)
        threading.Thread(target=_look_at_code, args=looking, name="own-code", daemon=True).start()
        log.get_logger().info("engine_ready", devices=len(devices.names()), recovered=recovered)
        service.run()


def main(argv: list[str] | None = None) -> int:
    """Entry point: `python -m undula.processes.engine --beamline NAME`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beamline", required=True, help="name of the beamline")
    paths = beamline_paths(parser.parse_args(argv).beamline)
    log.configure("engine", paths.logs)
    work_for(paths)
    try:
        serve(paths, load_settings(paths.config))
    except UndulaError as error:
        log.get_logger().error("engine_failed", error=str(error))
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
