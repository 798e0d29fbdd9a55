"""The scan layer in one process for tests: real devices, RunEngine, queue's worker, catalogue.

Without broker, writer and service loop; documents are kept in memory, acknowledged at once.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from undula.analysis.rows import event_rows
from undula.bus.codec import decode
from undula.catalogue import SqliteCatalogue
from undula.core import log
from undula.core.clock import Deadline
from undula.core.settings import BeamlineSettings
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.messages import ItemFinished, RunDocument, ScanRequest
from undula.scans.additions import Additions
from undula.scans.attendant import Attendant
from undula.scans.checked_scan import CheckedScan
from undula.scans.conditions import Conditions
from undula.scans.describe_plans import Describe, answer
from undula.scans.file_layouts import FileLayouts
from undula.scans.leases import Leases
from undula.scans.ports import MemoryDocuments
from undula.scans.queue_desk import QueueDesk
from undula.scans.quick_bluesky import run_engine
from undula.scans.runner import ScanRunner
from undula.scans.safety import Touched
from undula.scans.stopped import Stops

PATIENCE_S = 30.0


class ScanHouse:
    """Scans are asked for with `ask`, and `ended` gives how each ended, in order.

    Args:
        folder: a temporary one; plan files, hooks and defaults go into its folder `plans`.
        devices: device file (YAML) as text.
        describe: reads plan files; by default in this process, which is quicker.
        leases: who has which device; by default nobody has any.
        settings: further fields of `BeamlineSettings`.
    """

    def __init__(
        self,
        folder: Path,
        devices: str,
        *,
        packages: Sequence[EntryPoint] = (),
        describe: Describe = answer,
        leases: Leases | None = None,
        **settings: Any,
    ) -> None:
        log.configure("house", None)
        (folder / "devices.yaml").write_text(devices)
        self.plans = folder / "plans"
        self.plans.mkdir(exist_ok=True)
        self.engine = run_engine(call_returns_result=True)
        self.devices = Registry(load_device_file(folder / "devices.yaml"))
        self.devices.connect(loop=self.engine.loop)
        self.catalogue = SqliteCatalogue(folder / "catalogue")
        self.settings = BeamlineSettings.model_validate(
            {"name": "b", "data": folder / "data", "min_free_bytes": 0, **settings}
        )
        self.ended: queue.Queue[ItemFinished] = queue.Queue()
        self._changed = threading.Condition()
        self.documents_out = MemoryDocuments()
        self._stops = Stops(folder / "stopped")
        self._attendant = Attendant()
        self._ids = map("r{}".format, itertools.count(1))
        self.additions = Additions(
            self.plans, self.settings, self.devices, lambda: list(packages), describe
        )
        self._attendant.reads_more = self.additions.reads_more
        self.runner = ScanRunner(
            self.devices,
            self.settings,
            self.catalogue,
            self.documents_out,
            touched=Touched(folder / "touched", self.devices),
            leases=Leases() if leases is None else leases,
            engine=self.engine,
            changed=self.notify,
            finished=self._finished,
            conditions=Conditions(self.devices),
            attendant=self._attendant,
            hooks_of=self.additions.for_scan,
        )
        self.layouts = FileLayouts(folder)
        self.desk = QueueDesk(
            self.runner,
            self._attendant,
            self.settings,
            completed=lambda scan: self.additions.completed(scan)[0],
            warned=lambda scan: self.layouts.warnings(scan.metadata),
            changed=lambda: None,
            in_places=self.additions.in_places,
        )
        self.runner.start([])

    def close(self) -> None:
        """Abort what runs and end the thread."""
        self.runner.close("the test is over")
        self.catalogue.close()

    def request(self, plan: str, *args: Any, **fields: Any) -> ScanRequest:
        """A request; `fields` are those of `ScanRequest`, others are arguments of the plan."""
        own = {k: fields.pop(k) for k in list(fields) if k in ScanRequest.model_fields}
        own.setdefault("request_id", next(self._ids))
        return ScanRequest.model_validate(
            {"deadline": 2e9, "plan": plan, "args": list(args), "kwargs": fields, **own}
        )

    def check(self, plan: str, *args: Any, **fields: Any) -> CheckedScan:
        """As the service checks a request. Raises: UndulaError."""
        request, _ = self.additions.completed(self.request(plan, *args, **fields))
        return self._attendant.check_scan(request, self.devices, self.settings)

    def ask(self, plan: str, *args: Any, **fields: Any) -> str:
        """Check and queue a scan. Returns: the id of its item."""
        scan = self.check(plan, *args, **fields)
        self.desk.submit(scan.request, scan, self._stops.permit(scan.request.sent))
        return scan.request.request_id

    def run(self, plan: str, *args: Any, **fields: Any) -> ItemFinished:
        """Ask for a scan, and wait until it has ended."""
        self.ask(plan, *args, **fields)
        return self.wait()

    def wait(self) -> ItemFinished:
        """How the next item ends."""
        return self.ended.get(timeout=PATIENCE_S)

    def notify(self) -> None:
        """Let whoever waits in `until` look."""
        with self._changed:
            self._changed.notify_all()

    def _finished(self, item: ItemFinished) -> None:
        self.ended.put(item)
        self.notify()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it holds; looked at when the queue changes, and now and then."""
        deadline = Deadline(PATIENCE_S)
        with self._changed:
            while not condition():
                if deadline.passed:
                    raise AssertionError(f"{what}; the queue is {self.runner.status()}")
                self._changed.wait(0.02)

    def points(self, uid: str) -> list[dict[str, Any]]:
        """Data of all events of `primary`, in their order, each with its `seq_num`."""
        primary: set[str] = set()
        rows: list[dict[str, Any]] = []
        for name, doc in self.journal(uid):
            if name == "descriptor" and doc["name"] == "primary":
                primary.add(doc["uid"])
            elif name in ("event", "event_page") and doc["descriptor"] in primary:
                rows += event_rows(name, doc)
        return rows

    def journal(self, uid: str) -> list[tuple[str, dict[str, Any]]]:
        """All documents of a run, as name and document."""
        packed = self.documents_out.journals[f"runs/{uid}/documents"]
        entries = [decode(payload, RunDocument) for payload in packed]
        return [(entry.name, entry.doc) for entry in entries]

    def close_run(self, uid: str) -> None:
        """Enter into the catalogue how a run ended, as the writer does."""
        stop = self.journal(uid)[-1][1]
        self.catalogue.close_run(
            uid,
            exit_status=stop["exit_status"],
            reason=stop.get("reason", ""),
            end_time=stop["time"],
            path="",
            num_events=dict(stop.get("num_events") or {}),
            archive_path="",
        )

    def start(self, uid: str) -> dict[str, Any]:
        """The start document of a run."""
        return self.journal(uid)[0][1]
