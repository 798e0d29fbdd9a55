"""The supervisor: starts the services of a beamline in order, and starts again what ends.

In: the specs kept by `undula up`, the words of services, control requests, the ends of processes.
Out: processes; `services.json`, from which a successor adopts them when this process is killed.
One a beamline, held by a file lock. Standard library and `undula.core` only: about 10 MB.
Called by: `undula up`, a systemd unit. Not here: what the services are (`services`).
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from undula.core import clock, faults, procs
from undula.core.errors import ServiceError, UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths
from undula.processes import supervisor_child as children
from undula.processes import supervisor_model as model
from undula.processes.supervisor_access import refusal_for
from undula.processes.supervisor_door import ControlDoor, NotifyDoor
from undula.processes.supervisor_lock import hold
from undula.processes.supervisor_model import ServiceSpec
from undula.processes.supervisor_service import Service, how_it_ended, identity

POLL_S = 0.02
LOOK_S = 5.0


class Supervisor:
    """All services of one beamline and the loop that keeps them.

    Args:
        fresh: the beamline is being brought up: a service that does not become ready takes
            everything down again. Otherwise what lives is adopted and the rest is started until
            it runs.
    """

    def __init__(self, paths: BeamlinePaths, specs: Sequence[ServiceSpec], *, fresh: bool) -> None:
        self._paths = paths
        self._services = {spec.name: Service(spec) for spec in specs}
        self._fresh = fresh
        self._up = False
        self._stopping = False
        self._failure: dict[str, str] | None = None
        self._since = clock.now()
        self._selector = selectors.DefaultSelector()
        self._notify = NotifyDoor(paths.notify_socket)
        self._selector.register(self._notify.socket, selectors.EVENT_READ, self._hear)
        self._control = ControlDoor(paths.supervisor_socket, self._selector, self._answer)
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._drain)

    def run(self) -> int:
        """Adopt, start, keep, until told to stop. Returns 0, or 1 when a fresh start failed."""
        signal.set_wakeup_fd(self._wake_writer)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._log("supervisor_started", fresh=self._fresh)
        self._adopt()
        while not self._finished():
            self._advance()
            for key, _ in self._selector.select(self._timeout()):
                key.data()
        return self._leave()

    def stop(self) -> None:
        """End all services, the last started first."""
        if not self._stopping:
            self._stopping = True
            self._log("supervisor_stopping")

    # what time brings

    def _advance(self) -> None:
        now = time.monotonic()
        self._control.look(now)
        for service in self._services.values():
            self._advance_one(service, now)
            if service.falls_quiet():
                self._log("heartbeat_missing", "warning", of=service.name, text=service.text)
        if self._stopping:
            self._stop_next()
        elif not self._up and all(
            s.phase == "ready" for s in self._services.values() if s.spec.essential
        ):
            self._up = True
            self._fresh = False
            self._log("beamline_up", duration_s=round(clock.now() - self._since, 3))
            faults.reached("supervisor.ready")

    def _advance_one(self, service: Service, now: float) -> None:
        due = service.moment is not None and now >= service.moment
        match service.phase:
            case "waiting" if not self._stopping:
                needs = (self._services[name] for name in service.spec.needs)
                if all(need.phase == "ready" for need in needs):
                    self._start(service)
            case "starting":
                if service.spec.ready != "notify" and children.answers(service.spec):
                    self._ready(service)
                elif due:
                    self._late(service)
            case "backoff" if due and not self._stopping:
                service.restarts += 1
                self._start(service)
            case "stopping" if due and service.child is not None:
                self._log("service_killed", "warning", of=service.name)
                service.child.kill()
                service.moment = None

    def _timeout(self) -> float:
        asking = any(
            s.phase == "starting" and s.spec.ready != "notify" for s in self._services.values()
        )
        if asking:
            return POLL_S
        now = time.monotonic()
        moments = [s.moment for s in self._services.values()]
        due = [m for m in (*moments, self._control.moment) if m is not None]
        return max(0.0, min([now + LOOK_S, *due]) - now)

    # one service's life

    def _adopt(self) -> None:
        kept = model.read_json(model.state_file(self._paths))
        records = kept.get("services", {}) if kept.get("boot") == procs.boot_id() else {}
        for service in self._services.values():
            record = records.get(service.name, {})
            process = identity(record)
            if process is None or not process.alive:
                process = children.find_orphan(service.spec, self._paths)
            child = None if process is None else children.adopt(process)
            if child is None:
                continue
            service.restarts = record.get("restarts", 0)
            self._watch(service, child)
            self._log("service_adopted", of=service.name, pid=child.process.pid)
            if record.get("ready"):
                service.phase, service.moment = "ready", None
        self._save()

    def _start(self, service: Service) -> None:
        service.attempts += 1
        try:
            child = children.spawn(service.spec, self._paths, fresh=self._fresh)
        except ServiceError as exc:
            self._failed(service, exc.what)
            return
        faults.reached("supervisor.started_service")
        self._watch(service, child)
        self._log("service_started", of=service.name, pid=child.process.pid)
        self._save()

    def _watch(self, service: Service, child: children.Child) -> None:
        service.child = child
        service.phase = "starting"
        service.moment = time.monotonic() + service.spec.ready_timeout_s
        service.heard, service.text, service.quiet = None, "", False
        self._selector.register(
            child.pidfd, selectors.EVENT_READ, lambda: self._ended(service, child)
        )

    def _ready(self, service: Service) -> None:
        service.phase, service.moment, service.reason = "ready", None, ""
        self._log("service_ready", of=service.name)
        self._save()

    def _late(self, service: Service) -> None:
        waited = f"was not ready after {service.spec.ready_timeout_s:g} s"
        if service.child is not None and service.child.adopted:
            self._log("adopted_service_silent", "warning", of=service.name)
            self._ready(service)  # its READY went to a dead supervisor: it may well be at work
            return
        said = f" ({service.text})" if service.text else ""
        self._failed(service, waited + said)
        if service.child is not None and not self._stopping:
            service.again = True
            self._terminate(service)

    def _ended(self, service: Service, child: children.Child) -> None:
        self._selector.unregister(child.pidfd)
        alive_s = child.process.age_s()
        code = child.bury()
        service.child = None
        expected = service.phase == "stopping"
        was_ready = service.phase == "ready"
        level = "info" if expected else "error"
        self._log("service_ended", level, of=service.name, code=code, how=how_it_ended(code))
        service.phase, service.moment = "stopped", None
        if not expected:
            service.reason = how_it_ended(code)
            fresh = self._fresh and service.spec.essential
            if fresh and not was_ready and service.dies_for_good(code):
                self._failed(service, f"{how_it_ended(code)} before it was ready")
        if not self._stopping and (service.again or self._wanted(service, expected)):
            service.phase = "backoff"
            delay = 0.0 if service.again and expected else service.backoff.delay_s(alive_s)
            service.moment = time.monotonic() + delay
        service.again = False
        self._save()

    def _wanted(self, service: Service, expected: bool) -> bool:
        return not expected and service.spec.restart == "always"

    def _failed(self, service: Service, reason: str) -> None:
        service.reason = reason
        self._log("service_failed", "error", of=service.name, reason=reason)
        if self._fresh and not self._stopping and service.spec.essential:
            self._failure = {"service": service.name, "reason": reason}
            self.stop()
        elif service.child is None:
            service.phase = "backoff"
            service.moment = time.monotonic() + service.backoff.delay_s(0.0)

    def _terminate(self, service: Service) -> None:
        if service.child is not None:
            service.phase = "stopping"
            service.moment = time.monotonic() + service.spec.stop_timeout_s
            service.child.terminate()

    def _stop_next(self) -> None:
        """One at a time, the last started first: what it flushed reaches those that still run."""
        living = [s for s in self._services.values() if s.child is not None]
        if living and not any(s.phase == "stopping" for s in living):
            self._terminate(living[-1])

    def _finished(self) -> bool:
        return self._stopping and all(s.child is None for s in self._services.values())

    # words

    def _hear(self) -> None:
        for word in self._notify.words():
            service = self._services.get(str(word.get("service")))
            pid = word.get("pid")
            if service is None or service.child is None or not isinstance(pid, int):
                continue
            if not _belongs(pid, service.child.process.pid):
                continue  # the last word of a predecessor
            if service.hear(str(word.get("kind")), str(word.get("text", ""))):
                self._ready(service)

    def _answer(self, request: dict[str, Any], uid: int) -> dict[str, Any]:
        refusal = refusal_for(self._paths, request, uid)
        if refusal is not None:
            self._log("request_not_allowed", "warning", request=str(request.get("do")), uid=uid)
            return refusal
        match request.get("do"):
            case "ping":
                return {"pid": os.getpid()}
            case "status":
                return self.status(memory=request.get("memory") is not False)
            case "stop":
                self.stop()
                return {"pid": os.getpid(), "stop_timeout_s": self._stop_timeout_s()}
            case "restart":
                return self._restart(str(request.get("name")))
        return {"error": f"unknown request {request.get('do')!r}"}

    def _restart(self, name: str) -> dict[str, Any]:
        service = self._services.get(name)
        if service is None:
            return {"error": f"there is no service {name!r}", "known": list(self._services)}
        if self._stopping:
            return {"error": "the beamline is going down"}
        before = service.child.process.pid if service.child else None
        if service.child is None:
            service.phase, service.moment = "backoff", time.monotonic()
        else:
            service.again = True
            if service.phase != "stopping":
                self._terminate(service)
        return {"name": name, "pid_before": before, "restarts_before": service.restarts}

    def status(self, *, memory: bool = True) -> dict[str, Any]:
        """State of the supervisor and of each service, as `undula status --json` shows it.

        `memory`: with what each needs, which takes the kernel some milliseconds a process to count.
        """
        return {
            "beamline": self._paths.name,
            "state": "stopping" if self._stopping else "up" if self._up else "starting",
            "supervisor": {
                "pid": os.getpid(),
                "uptime_s": round(clock.now() - self._since, 2),
                "pss_bytes": procs.pss_bytes(os.getpid()) if memory else None,
            },
            "services": [service.row(memory=memory) for service in self._services.values()],
        }

    def _stop_timeout_s(self) -> float:
        return sum(s.spec.stop_timeout_s for s in self._services.values() if s.child is not None)

    # what stays

    def _save(self) -> None:
        data = {
            "boot": procs.boot_id(),
            "supervisor": os.getpid(),
            "services": {s.name: s.record() for s in self._services.values()},
        }
        try:
            model.write_json(model.state_file(self._paths), data)
        except OSError as exc:  # a full disk must not end the services; a successor adopts fewer
            self._log("state_not_saved", level="error", error=str(exc))

    def _leave(self) -> int:
        if self._failure is not None:
            model.write_json(model.failure_file(self._paths), self._failure)
        self._control.close()
        self._notify.close()
        for leftover in self._paths.run.glob("*.sock"):
            leftover.unlink(missing_ok=True)
        shutil.rmtree(self._paths.kernel_folder, ignore_errors=True)
        with suppress(OSError):  # somebody keeps something else there
            self._paths.run.rmdir()
        model.state_file(self._paths).unlink(missing_ok=True)
        model.spec_file(self._paths).unlink(missing_ok=True)
        self._log("supervisor_ended", failure=self._failure)
        return 0 if self._failure is None else 1

    def _drain(self) -> None:
        os.read(self._wake_reader, 4096)

    def _log(self, event: str, level: str = "info", **fields: Any) -> None:
        line = {"event": event, "level": level, "service": "supervisor", "time": clock.now()}
        try:
            with (self._paths.logs / "supervisor.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, **fields}) + "\n")
        except OSError as exc:  # a full disk must not end the supervisor
            sys.stderr.write(f"log line lost: {exc}\n")


def _belongs(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the supervisor of a beamline in the foreground. Exit: 0 stopped, 1 failed, 4 refused."""
    parser = argparse.ArgumentParser(prog="python -m undula.processes.supervisor")
    parser.add_argument("--beamline", required=True)
    parser.add_argument("--fresh", action="store_true", help="a failing start takes all down")
    parser.add_argument("--down", action="store_true", help="adopt what lives and stop it")
    options = parser.parse_args(arguments)
    try:
        paths = beamline_paths(options.beamline)
        paths.create()
        with hold(paths):
            supervisor = Supervisor(paths, model.load_specs(paths), fresh=options.fresh)
            if options.down:
                supervisor.stop()
            return supervisor.run()
    except UndulaError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 4 if exc.category == "busy" else 1


if __name__ == "__main__":
    sys.exit(main())
