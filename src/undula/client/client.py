"""The client: everything a person or program does with a running beamline, from Python.

In: calls. Out: requests to the engine, and what the bus, the history and the files answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from undula.bus.endpoints import (
    ENGINE_DEVICE_SET,
    ENGINE_READ,
    ENGINE_SCAN,
)
from undula.bus.ports import Connector
from undula.client.alarms import AlarmView
from undula.client.arguments import Named, command_line, names, plain, plain_call, targets
from undula.client.config import ConfigView
from undula.client.devices import Devices, Reading
from undula.client.fits import fit_metadata
from undula.client.link import Background, Link
from undula.client.metadata import Metadata, group_now
from undula.client.motors import Motors
from undula.client.moving import MoveProgress, start_move
from undula.client.pipes import Pipes
from undula.client.plans import PlansView
from undula.client.queue import QueueView
from undula.client.runs import Runs
from undula.client.scans import Accepted, Cursors, ScanHandle
from undula.client.stop import StopReport, stop_motion
from undula.core.errors import ConfigError, InputError, ServiceError
from undula.core.ids import new_id
from undula.core.kept_token import KeptToken, token_file
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.core.secret import Secret
from undula.core.settings import load_settings
from undula.messages import Place, PlanSource, QueueOptions

SCAN_TIMEOUT_S = 60.0
"""Checking a scan reads limits live and computes every point: seconds until the reply."""


def connect(beamline: str | None = None, *, logged_in: bool = True) -> Client:
    """A client of a running beamline.

    Args:
        beamline: its name; None: `$UNDULA_BEAMLINE`, else `default`.
        logged_in: use the token that `undula login` keeps; services, which ask for others, do not.

    Raises: ServiceError when it does not run; BusError when its broker cannot be reached.
    """
    from undula.bus import broker

    paths = beamline_paths(beamline or default_beamline())
    try:
        settings = load_settings(paths.config)
    except ConfigError as exc:
        if paths.config.exists():
            raise
        raise ServiceError(
            f"beamline {paths.name!r} is not running",
            remedy="start it: undula up (or see it all at once: undula demo)",
        ) from exc
    connector = broker.connect(paths, settings, role="client", client_name="client")
    return Client(connector, paths, token=KeptToken(token_file(paths)) if logged_in else None)


class Client:
    """A running beamline. Made by `connect`; may be used as a context manager."""

    def __init__(
        self,
        connector: Connector,
        paths: BeamlinePaths | None = None,
        user: str | None = None,
        token: Callable[[], Secret] | None = None,
    ) -> None:
        self.link = Link(connector, user, token)
        self.paths = paths
        self.devices = Devices(self)
        self.queue = QueueView(self.link, self.submit)
        self.config = ConfigView(self.link)
        self.motors = Motors(self.link, self.start_move, self.stop)
        self.prompt_metadata: dict[str, Any] = {}
        """What every scan asked for here says in its start document."""
        self.alarms = AlarmView(self.link)
        self.metadata = Metadata(self.link)
        self.plans = PlansView(self.link)
        self.pipes = Pipes(self)
        self.runs = Runs(paths.catalogue if paths else None, self.link, self.submit_fields)

    # -- scans ------------------------------------------------------------------------------

    def submit(
        self,
        plan: str,
        *args: Any,
        time: float | None = None,
        detectors: Iterable[Any] | str | None = None,
        metadata: dict[str, Any] | None = None,
        shutter: str | None = None,
        darks: int = 0,
        command: str = "",
        source: PlanSource | None = None,
        queue: QueueOptions | None = None,
        fit: Any = None,
        sample: str | None = None,
        front: bool = False,
        **kwargs: Any,
    ) -> ScanHandle:
        """Check a plan and queue it; returns at once when it is accepted.

        Args:
            plan: its name.
            args: device proxies or names, numbers, lists.
            time: count time per point, seconds.
            detectors: devices to read; None: those with readout priority `monitored`.
            metadata: goes into the start document.
            shutter: `per_scan`, `per_point`, `closed`, or `none` to leave shutters alone; None: as
                the device file says.
            darks: points taken before, with the shutters closed.
            command: the line for the record; by default the call as typed in the shell.
            source: a plan that a person wrote, with its call; `plan` is then its name.
            queue: where it waits, how often it runs, on which sample; see `queue.add`.
            fit: a model to be fitted while it runs, `"gaussian + linear"`, or
                `{"model": ..., "signal": ...}`, or a list; `"none"`: not even the usual one.
            sample: mounted by the sample changer before it runs.
            front: it is the next one to run.
            kwargs: further arguments of the plan; `name="knife edge"` is the title of its runs.

        Raises: InputError, LimitError, BusyError ... when the engine refuses it: nothing moved.
        """
        cursors = Cursors.now(self.link.connector)
        options = {"time": time, "detectors": detectors, "metadata": metadata, "command": command}
        options |= {"shutter": shutter, "darks": darks, "source": source, "fit": fit}
        words = {"sample": sample, "front": front}
        options["queue"] = self._queue_options(plan, source, words, kwargs, queue)
        options["name"] = self._name_of(plan, source, kwargs)
        return ScanHandle(self, self._scan(False, plan, args, kwargs, options), cursors)

    def submit_fields(self, fields: dict[str, Any]) -> ScanHandle:
        """Ask for a scan by the fields of its `ScanRequest`; else as `submit`."""
        cursors, request_id = Cursors.now(self.link.connector), new_id()
        result = self.link.ask(ENGINE_SCAN, SCAN_TIMEOUT_S, request_id=request_id, **fields)
        accepted = {"item_id": request_id, "command": fields["command"], **result}
        return ScanHandle(self, Accepted.of(accepted), cursors)

    def check(
        self,
        plan: str,
        *args: Any,
        time: float | None = None,
        detectors: Iterable[Any] | str | None = None,
        metadata: dict[str, Any] | None = None,
        shutter: str | None = None,
        darks: int = 0,
        command: str = "",
        source: PlanSource | None = None,
        fit: Any = None,
        sample: str | None = None,
        front: bool = False,
        **kwargs: Any,
    ) -> Accepted:
        """Check a plan and queue nothing: points (the first 1000), estimate, file, warnings."""
        options = {"time": time, "detectors": detectors, "shutter": shutter, "darks": darks}
        options |= {"command": command, "source": source, "fit": fit, "metadata": metadata}
        words = {"sample": sample, "front": front}
        options["queue"] = self._queue_options(plan, source, words, kwargs, None)
        options["name"] = self._name_of(plan, source, kwargs)
        return self._scan(True, plan, args, kwargs, options)

    def _name_of(self, plan: str, source: PlanSource | None, kwargs: dict[str, Any]) -> str:
        """What a scan is called, taken out of its arguments; "" where the plan takes `name`."""
        if not isinstance(kwargs.get("name"), str) or source is not None:
            return ""
        if "name" in self._own_words(plan):
            return ""
        return str(kwargs.pop("name"))

    def _own_words(self, plan: str) -> Collection[str]:
        """Arguments of a plan of the beamline, by its bare or its whole name; none of others."""
        known = None if plan in _shipped() else self.plans.list().known().get(plan)
        return {parameter.name for parameter in known.parameters} if known else ()

    def _queue_options(
        self,
        plan: str,
        source: PlanSource | None,
        words: dict[str, Any],
        kwargs: dict[str, Any],
        queue: QueueOptions | None,
    ) -> QueueOptions:
        """How it waits. A word that a plan of the beamline has itself goes to the plan."""
        given = {word: value for word, value in words.items() if value}
        if given and source is None:
            own = self._own_words(plan)
            kwargs.update({word: given.pop(word) for word in list(given) if word in own})
        options = queue or QueueOptions()
        if "sample" in given:
            options = options.model_copy(update={"sample": str(given["sample"])})
        if "front" in given:
            options = options.model_copy(update={"place": Place(at="front")})
        return options

    def _scan(
        self,
        dry_run: bool,
        plan: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
    ) -> Accepted:
        time, given = options["time"], _listed(options["detectors"])
        if isinstance(time, int | float) and not time >= 0:
            raise InputError(
                f"the count time is {time:g} s",
                remedy="give a time, or 0 for what is usual for each detector",
            )
        request_id = new_id()
        sent_args, sent_kwargs = plain_call(plan, args, kwargs)
        line = options.get("command") or command_line(
            plan,
            args,
            {
                **kwargs,
                "time": time,
                "detectors": given,
                "shutter": options.get("shutter"),
                "darks": options.get("darks") or None,
                "fit": options.get("fit"),
                "name": options.get("name") or None,
            },
        )
        result = self.link.ask(
            ENGINE_SCAN,
            SCAN_TIMEOUT_S,
            request_id=request_id,
            plan=plan,
            args=sent_args,
            kwargs=sent_kwargs,
            count_time_s=time,
            detectors=names(given),
            metadata={
                **group_now(),
                **self.prompt_metadata,
                **plain(options.get("metadata") or {}, "metadata"),
                **({"title": options["name"]} if options.get("name") else {}),
                **fit_metadata(
                    plain(options.get("fit")), self.paths.models if self.paths else None
                ),
            },
            shutter=options.get("shutter"),
            darks=options.get("darks", 0),
            command=line,
            source=options.get("source"),
            dry_run=dry_run,
            queue=options.get("queue") or QueueOptions(),
        )
        return Accepted.of({"item_id": request_id, "command": line, **result})

    def run_plan(self, name: str, *args: Any, wait: bool = True, **options: Any) -> ScanHandle:
        """Any plan by name: `run_plan("grid_scan", "samx", -1, 1, 5, "samy", 0, 2, 5)`.

        Options: `time`, `detectors`, `metadata`, `command` as in `submit`, and the plan's own.
        With `wait` it returns when the scan has ended and raises UndulaError when it failed.
        """
        handle = self.submit(name, *args, **options)
        return handle.wait() if wait else handle

    def scan(self, *args: Any, **options: Any) -> ScanHandle:
        """`scan(samx, -1, 1, 21, time=0.1)`: equal steps, the last number counts points."""
        return self.run_plan("scan", *args, **options)

    def rel_scan(self, *args: Any, **options: Any) -> ScanHandle:
        """`rel_scan(samx, -1, 1, 21)`: as `scan`, around the present position; goes back."""
        return self.run_plan("rel_scan", *args, **options)

    def list_scan(self, *args: Any, **options: Any) -> ScanHandle:
        """`list_scan(samx, [0, 0.1, 0.5])`: given positions."""
        return self.run_plan("list_scan", *args, **options)

    def grid_scan(self, *args: Any, **options: Any) -> ScanHandle:
        """`grid_scan(samy, 0, 2, 5, samx, -1, 1, 21, snake_axes=True)`: slowest axis first."""
        return self.run_plan("grid_scan", *args, **options)

    def count(self, *args: Any, **options: Any) -> ScanHandle:
        """`count(num=10, time=0.1)`: readings without motion."""
        return self.run_plan("count", *args, **options)

    def ascan(self, *args: Any, **options: Any) -> ScanHandle:
        """`ascan(samx, 0, 1, 10, 0.1)`: SPEC's form, 10 intervals are 11 points; count time."""
        return self.run_plan("ascan", *args, **options)

    def dscan(self, *args: Any, **options: Any) -> ScanHandle:
        """`dscan(samx, -1, 1, 10, 0.1)`: SPEC's relative form; goes back."""
        return self.run_plan("dscan", *args, **options)

    def mesh(self, *args: Any, **options: Any) -> ScanHandle:
        """`mesh(samx, -1, 1, 10, samy, 0, 1, 5, 0.1)`: SPEC's grid, intervals, first is fast."""
        return self.run_plan("mesh", *args, **options)

    def ct(self, *args: Any, **options: Any) -> ScanHandle:
        """`ct(1.0)`: one reading of so many seconds."""
        return self.run_plan("ct", *args, **options)

    def timescan(self, *args: Any, **options: Any) -> ScanHandle:
        """`timescan(0.1)`: readings until it is stopped."""
        return self.run_plan("timescan", *args, **options)

    # -- moves and readings -----------------------------------------------------------------

    def mv(
        self, *args: Any, progress: MoveProgress | None = None, **axes: Any
    ) -> dict[str, dict[str, Any]]:
        """Move and wait: `mv(samx, 3)`, `mv("samx", 3, "samy", 4)`, `mv(samx=3)`.

        `progress` gets the readbacks on the way, at most 10 a second, on another thread.
        Returns the readbacks: device to `{"value", "unit"}`.
        Raises: LimitError, BusyError, DeviceError, InputError; nothing moved when it is refused.
        """
        return self.start_move(targets(args, axes), False, progress).result()  # type: ignore[no-any-return]  # Background carries any result

    def mvr(
        self, *args: Any, progress: MoveProgress | None = None, **axes: Any
    ) -> dict[str, dict[str, Any]]:
        """Move by a distance from the readback, and wait; as `mv`."""
        return self.start_move(targets(args, axes), True, progress).result()  # type: ignore[no-any-return]  # Background carries any result

    def start_move(
        self,
        to: dict[str, Any],
        relative: bool = False,
        progress: MoveProgress | None = None,
        **more: Any,
    ) -> Background:
        """Move on another thread; `result()` waits for the readbacks.

        `more` are further fields of the request: `jog`, `velocity`; see `Motors.start_jog`.
        """
        return start_move(self.link, to, relative, progress, **more)

    def read(self, *devices: Any) -> dict[str, Reading]:
        """Read now: device to data key to `{"value", "timestamp" (UTC epoch s), "unit"}`."""
        return self.read_flagged(*devices)[0]

    def read_flagged(self, *devices: Any) -> tuple[dict[str, Reading], list[str]]:
        """As `read`, with what is odd about the readings, e.g. `samx: not a number`."""
        result = self.link.ask(ENGINE_READ, 60.0, devices=names(devices))
        return result["readings"], list(result.get("flags", []))

    def read_configuration(self, device: Any) -> tuple[Reading, dict[str, dict[str, Any]]]:
        """A device's settings now, and their descriptions: data key to value, to data key."""
        name = str(plain(device))
        result = self.link.ask(ENGINE_READ, 60.0, devices=[name], configuration=True)
        return result["readings"][name], result["descriptions"][name]

    def enable(self, device: Any, enabled: bool) -> None:
        """Enable (and connect) or disable a device."""
        self.link.ask(ENGINE_DEVICE_SET, 60.0, device=plain(device), enabled=enabled)

    def stop(self) -> StopReport:
        """Stop motion, whatever is queued or busy. Raises: ServiceError when not confirmed."""
        if self.paths is None:
            raise ServiceError("this client has no stop path", remedy="use undula stop")
        return stop_motion(self.paths)

    @property
    def data_folder(self) -> Path | None:
        """Where the beamline's files go; None when the client has no settings."""
        return None if self.paths is None else load_settings(self.paths.config).data

    def close(self) -> None:
        """Close the connection; nothing stops at the beamline."""
        self.link.connector.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self.paths.name if self.paths else f"pid {os.getpid()}"
        return f"<client of beamline {name}>"


def _shipped() -> Collection[str]:
    from undula.plans import FORMS

    return FORMS


def _listed(detectors: Iterable[Any] | str | None) -> list[Any] | None:
    """Devices as they were given, always a list."""
    if detectors is None:
        return None
    return [detectors] if isinstance(detectors, str | Named) else list(detectors)
