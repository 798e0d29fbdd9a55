"""A small engine for tests: answers requests by the contract, runs plans on `ophyd.sim` devices.

In: requests on a `MemoryConnector`. Out: replies, documents of a real RunEngine, queue events. It
checks nothing and forgets everything at its end.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import Any

import bluesky.plans as bp
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted, TransitionError
from ophyd.sim import SynAxis, SynGauss

from undula.bus.codec import encode
from undula.bus.endpoints import (
    DEVICE_READBACK,
    DEVICE_TABLE,
    ENGINE_DEVICES,
    ENGINE_METADATA,
    ENGINE_MOVE,
    ENGINE_PLANS,
    ENGINE_QUEUE,
    ENGINE_READ,
    ENGINE_SCAN,
    QUEUE_FINISHED,
    QUEUE_STATUS,
    RUN_DOCUMENTS,
    RUNS_CLOSED,
    RUNS_OPENED,
    Endpoint,
)
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.core.clock import Deadline, now
from undula.core.errors import InputError, LimitError, UndulaError
from undula.messages import (
    DeviceInfo,
    DeviceTable,
    ErrorReport,
    ItemFinished,
    MetadataRequest,
    MoveRequest,
    PlanList,
    PlansRequest,
    QueueItem,
    QueueRequest,
    QueueStatus,
    Readback,
    ReadRequest,
    Reply,
    Request,
    RunDocument,
    RunFileClosed,
    RunOpened,
    ScanRequest,
)

ENDPOINTS: tuple[Endpoint[Any], ...] = (
    ENGINE_SCAN,
    ENGINE_MOVE,
    ENGINE_READ,
    ENGINE_DEVICES,
    ENGINE_METADATA,
    ENGINE_QUEUE,
    ENGINE_PLANS,
)
LIMIT_MM = 10.0


class ToyEngine:
    """Axis `samx` and detector `diode` (a peak of 100 at 0.5, sigma 0.3), one queue."""

    def __init__(self, broker: MemoryBroker, point_s: float = 0.0) -> None:
        self.bus = MemoryConnector(broker)
        self.samx = SynAxis(name="samx")
        self.diode = SynGauss("diode", self.samx, "samx", center=0.5, Imax=100, sigma=0.3)
        self.diode.exposure_time = point_s
        self.devices: dict[str, Any] = {"samx": self.samx, "diode": self.diode}
        self.run_engine = RunEngine({}, context_managers=[])
        self._work: queue.Queue[ScanRequest | None] = queue.Queue()
        self._waiting: list[QueueItem] = []
        self._lock = threading.RLock()
        self._status = QueueStatus(state="idle")
        self._numbers = 0
        self.metadata: dict[str, Any] = {}
        self.plans = PlanList(plans=[])
        """Plans of plan files, as it tells them; it runs those of Bluesky alone."""
        self.asked: list[ScanRequest] = []
        self._ended = threading.Event()
        self._resumed = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, daemon=True),
            threading.Thread(target=self._run_all, daemon=True),
        ]
        self.bus.put(DEVICE_TABLE, DeviceTable(devices=self._infos(), source="toy"))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads."""
        self._ended.set()
        self._work.put(None)
        for thread in self._threads:
            thread.join(5)

    def _infos(self) -> list[DeviceInfo]:
        common: dict[str, Any] = {
            "enabled": True,
            "connected": True,
            "device_class": "ophyd.sim.Toy",
        }
        return [
            DeviceInfo(name="samx", path="M.samx", kind="positioner", unit="mm",
                       readout_priority="baseline", limits=(-LIMIT_MM, LIMIT_MM), **common),
            DeviceInfo(name="diode", path="D.diode", kind="detector", unit="counts",
                       readout_priority="monitored", **common),
        ]  # fmt: skip

    def _serve(self) -> None:
        while not self._ended.is_set():
            for _, request in self.bus.take_requests(ENDPOINTS, block_s=0.05):
                self.bus.reply(request, self._answer(request))

    def _answer(self, request: Request) -> Reply:
        try:
            return Reply(request_id=request.request_id, result=self._result(request))
        except UndulaError as exc:
            return Reply(request_id=request.request_id, error=ErrorReport.of(exc))

    def _result(self, request: Request) -> dict[str, Any]:
        if isinstance(request, ScanRequest):
            return self._scan(request)
        if isinstance(request, MoveRequest):
            return self._move(request)
        if isinstance(request, ReadRequest):
            return self._read(request)
        if isinstance(request, QueueRequest):
            return self._steer(request)
        if isinstance(request, MetadataRequest):
            return self._describe_runs(request)
        return self._listed(isinstance(request, PlansRequest))

    def _listed(self, plans: bool) -> dict[str, Any]:
        if plans:
            return self.plans.model_dump()
        return {"devices": [info.model_dump() for info in self._infos()], "source": "toy"}

    def _describe_runs(self, request: MetadataRequest) -> dict[str, Any]:
        kept = {k: v for k, v in self.metadata.items() if k not in request.remove}
        self.metadata = kept | request.values
        place = "/".join(str(self.metadata.get(k, "-")) for k in ("proposal", "sample", "dataset"))
        return {"values": self.metadata, "next_file": f"toy/{place}/NNNNN_scan.nxs"}

    def _device(self, name: str) -> Any:
        if name not in self.devices:
            raise InputError(f"there is no device {name!r}", remedy="see undula devices")
        return self.devices[name]

    def _scan(self, request: ScanRequest) -> dict[str, Any]:
        self.asked.append(request)
        if request.plan != "dscan" and not hasattr(bp, request.plan):
            raise InputError(f"there is no plan {request.plan!r}", remedy="see bluesky.plans")
        axes = [a for a in request.args if isinstance(a, str)]
        for name in (*axes, *(request.detectors or [])):
            self._device(name)
        num = next((a for a in reversed(request.args) if isinstance(a, int)), None)
        if not request.dry_run:
            item = QueueItem(
                item_id=request.request_id, command=request.command, plan=request.plan,
                user=request.user, submitted=now(), num_points=num,
            )  # fmt: skip
            self._waiting.append(item)
            self._work.put(request)
        return {
            "item_id": request.request_id, "command": request.command, "num_points": num,
            "estimate_s": 0.1, "warnings": [], "axes": axes,
            "detectors": request.detectors or ["diode"], "path": "toy/{number}.nxs",
            "points": [[float(i)] for i in range(num or 0)] if request.dry_run else None,
        }  # fmt: skip

    def _move(self, request: MoveRequest) -> dict[str, Any]:
        for name, target in request.targets.items():
            axis = self._device(name)
            goal = float(target) + (axis.position if request.relative else 0.0)
            if abs(goal) > LIMIT_MM:
                raise LimitError(f"{goal:g} mm is outside", remedy="stay inside", device=name)
            reading = Readback(
                name=name, values={name: goal}, timestamps={name: now()}, units={name: "mm"},
                time=now(), moving=True,
            )  # fmt: skip
            self.bus.put(DEVICE_READBACK, reading, name=name)
            axis.set(goal).wait()
        readbacks = {n: {"value": self._device(n).position, "unit": "mm"} for n in request.targets}
        return {"readbacks": readbacks, "duration_s": 0.0}

    def _read(self, request: ReadRequest) -> dict[str, Any]:
        readings = {
            name: {k: {**v, "unit": "mm"} for k, v in self._device(name).read().items()}
            for name in request.devices
        }
        return {"readings": readings, "flags": []}

    def _steer(self, request: QueueRequest) -> dict[str, Any]:
        if request.action == "pause":
            self._publish(state="pausing")
            self.run_engine.request_pause(defer=False)
        elif request.action == "resume":
            self._resumed.set()
        elif request.action == "abort":
            self._abort = request.reason
            self._await_start()
            with contextlib.suppress(TransitionError):  # it has ended in between
                self.run_engine.abort(request.reason)
            self._resumed.set()
        elif request.action == "remove":
            self._waiting = [i for i in self._waiting if i.item_id != request.item_id]
        self._publish()
        return {"status": self._status.model_dump()}

    def _await_start(self) -> None:
        """An item that was taken from the queue may not have reached the RunEngine yet."""
        deadline = Deadline(5.0)
        while self.run_engine.state == "idle" and self._status.running and not deadline.passed:
            time.sleep(0.005)

    def _publish(self, **changes: Any) -> None:
        with self._lock:
            changes["waiting"] = list(self._waiting)
            self._status = self._status.model_copy(update=changes)
            self.bus.put(QUEUE_STATUS, self._status)

    def _run_all(self) -> None:
        while (request := self._work.get()) is not None:
            self._run(request)

    def _run(self, request: ScanRequest) -> None:
        found = [item for item in self._waiting if item.item_id == request.request_id]
        if not found:
            self._finish(request, "removed", [], [])
            return
        with self._lock:  # nobody is to see it neither waiting nor running
            self._waiting.remove(found[0])
            self._publish(state="running", running=found[0])
        self._abort: str | None = None
        self._resumed.clear()
        uids: list[str] = []
        numbers: list[int] = []
        exits: list[str] = []
        index = 0

        def emit(name: str, doc: dict[str, Any]) -> None:
            nonlocal index
            index += 1
            if name == "start":
                index = 1
                self._numbers += 1
                uids.append(doc["uid"])
                numbers.append(self._numbers)
                self._publish(state="running", running=found[0], run_number=self._numbers)
                self.bus.append(RUNS_OPENED, RunOpened(
                    uid=doc["uid"], number=self._numbers, plan_name=request.plan,
                    command=request.command, path=f"toy/{self._numbers}.nxs",
                    item_id=request.request_id, time=now(),
                ))  # fmt: skip
            entry = encode(RunDocument(index=index, name=name, doc=doc))
            self.bus.broker.add_entry(RUN_DOCUMENTS.key(uid=uids[-1]), entry, f"{index}-0")
            if name == "stop":
                exits.append(doc["exit_status"])
                self.bus.append(RUNS_CLOSED, RunFileClosed(
                    uid=uids[-1], number=self._numbers, path=f"toy/{self._numbers}.nxs",
                    exit_status=doc["exit_status"],
                ))  # fmt: skip

        self._drive(request, emit)
        self._finish(request, exits[-1] if exits else "fail", uids, numbers)

    def _drive(self, request: ScanRequest, emit: Any) -> None:
        args = [self.devices.get(a, a) if isinstance(a, str) else a for a in request.args]
        detectors = [self.devices[name] for name in request.detectors or ["diode"]]
        if request.plan == "dscan":
            axis, start, stop, intervals = args[:4]
            plan = bp.rel_scan(
                detectors, axis, start, stop, intervals + 1,
                md={**self.metadata, **request.metadata},
            )  # fmt: skip
            self._through(plan, emit)
            return
        plan = getattr(bp, request.plan)(
            detectors, *args, md={**self.metadata, **request.metadata}, **request.kwargs
        )
        self._through(plan, emit)

    def _through(self, plan: Any, emit: Any) -> None:
        resume = False
        while True:
            try:
                _ = self.run_engine.resume() if resume else self.run_engine(plan, emit)
                return
            except RunEngineInterrupted:
                self._publish(state="paused")
                self._resumed.wait(30)
                self._resumed.clear()
                if self.run_engine.state != "paused":
                    return
                resume = True
            except Exception:  # the plan failed: the stop document says so
                return

    def _finish(
        self, request: ScanRequest, exit_status: Any, uids: list[str], numbers: list[int]
    ) -> None:
        self._publish(state="idle", running=None, run_number=None)
        self.bus.append(QUEUE_FINISHED, ItemFinished(
            item_id=request.request_id, exit_status=exit_status, run_uids=uids,
            run_numbers=numbers, reason=self._abort or "", time=time.time(),
        ))  # fmt: skip

    _abort: str | None = None
