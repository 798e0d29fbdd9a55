"""What the supervisor knows: what a service is, in which order they start, when one is tried again.

In: a list of `ServiceSpec`, kept as JSON by `undula up`. Out: start order, back-off, the state file
from which a successor adopts. Standard library and `undula.core` only. Not here: processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from undula.core import procs
from undula.core.errors import ConfigError
from undula.core.paths import BeamlinePaths

Readiness = Literal["notify", "accepts", "broker"]
Phase = Literal["waiting", "starting", "ready", "backoff", "stopping", "stopped", "failed"]

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
STEADY_S = 30.0


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service: how to start it, what it needs, when it counts as ready.

    Args:
        name: short name, as in `undula status`.
        argv: program and arguments.
        env: variables added to the supervisor's own.
        needs: services that must be ready before this one is started the first time.
        ready: `notify`: it says so (`undula.core.notify`); `accepts`: its socket at `ready_path`
            takes connections; `broker`: that socket answers PING.
        ready_timeout_s: not ready after so many seconds is a failure.
        stop_timeout_s: SIGKILL so many seconds after SIGTERM.
        restart: whether it is started again when it ends by itself.
        essential: whether the beamline is up only with it. The others may come a little later, and
            their fault takes nothing else down.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    ready: Readiness = "notify"
    ready_path: str = ""
    ready_timeout_s: float = 30.0
    stop_timeout_s: float = 5.0
    restart: Literal["always", "never"] = "always"
    essential: bool = True


def spec_file(paths: BeamlinePaths) -> Path:
    """The services of the beamline; it exists from `undula up` to `undula down`."""
    return paths.state / "services_spec.json"


def state_file(paths: BeamlinePaths) -> Path:
    """Which process is which service, for the supervisor's successor."""
    return paths.state / "services.json"


def failure_file(paths: BeamlinePaths) -> Path:
    """Why the last start failed, for `undula up`."""
    return paths.state / "start_failure.json"


def lock_file(paths: BeamlinePaths) -> Path:
    """Held by the one supervisor of the beamline; its text is the holder's pid."""
    return paths.state / "supervisor.lock"


def start_lock_file(paths: BeamlinePaths) -> Path:
    """Held by the command that brings the beamline up or takes it down."""
    return paths.state / "start.lock"


def write_json(path: Path, data: Any) -> None:
    """Write by rename, readable by the owner and the group only."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")
    temporary.chmod(0o640)
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty when it is absent or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def save_specs(paths: BeamlinePaths, specs: Sequence[ServiceSpec]) -> None:
    """Keep the services for the supervisor and for its successors."""
    start_order(specs)
    services = [asdict(spec) for spec in specs]
    write_json(spec_file(paths), {"boot": procs.boot_id(), "services": services})


def load_specs(paths: BeamlinePaths) -> list[ServiceSpec]:
    """The services kept by `save_specs`, in start order. Raises: ConfigError without any."""
    services = read_json(spec_file(paths)).get("services", [])
    if not services:
        raise ConfigError(
            f"no services are kept in {spec_file(paths)}",
            remedy=f"start the beamline: undula up --beamline {paths.name}",
        )
    specs = [
        ServiceSpec(**{**one, "argv": tuple(one["argv"]), "needs": tuple(one["needs"])})
        for one in services
    ]
    return start_order(specs)


def same_boot(paths: BeamlinePaths) -> bool:
    """Whether the kept services were started since this host booted."""
    return read_json(spec_file(paths)).get("boot") == procs.boot_id()


def start_order(specs: Sequence[ServiceSpec]) -> list[ServiceSpec]:
    """Each service after all that it needs, otherwise as listed.

    Raises: ConfigError for an unknown need, a name used twice, or a circle.

    >>> a, b = ServiceSpec("a", ("true",), needs=("b",)), ServiceSpec("b", ("true",))
    >>> [spec.name for spec in start_order([a, b])]
    ['b', 'a']
    """
    known = {spec.name for spec in specs}
    unknown = sorted({need for spec in specs for need in spec.needs} - known)
    if unknown or len(known) != len(specs):
        raise ConfigError(
            f"services need {unknown or 'names of their own'}",
            remedy="list each service once, with everything that it needs",
        )
    ordered: list[ServiceSpec] = []
    left = list(specs)
    while left:
        placed = {spec.name for spec in ordered}
        ready = next((spec for spec in left if placed.issuperset(spec.needs)), None)
        if ready is None:
            raise ConfigError(
                f"services need each other in a circle: {[spec.name for spec in left]}",
                remedy="remove one of the needs",
            )
        ordered.append(ready)
        left.remove(ready)
    return ordered


class Backoff:
    """How long to wait before a service is started again.

    >>> backoff = Backoff()
    >>> [backoff.delay_s(alive_s=1.0) for _ in range(7)]
    [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    >>> backoff.delay_s(alive_s=30.0)
    0.2
    """

    def __init__(self) -> None:
        self._next = FIRST_DELAY_S

    def delay_s(self, alive_s: float) -> float:
        """Seconds to wait after an end; `alive_s` is how long the service had lived."""
        if alive_s >= STEADY_S:
            self._next = FIRST_DELAY_S
        delay = self._next
        self._next = min(2 * delay, LONGEST_DELAY_S)
        return delay
