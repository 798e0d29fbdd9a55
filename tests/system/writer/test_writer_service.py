"""The writer: from journals to closed files, through restarts, kills and a folder that refuses."""

from __future__ import annotations

import grp
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import hw

from undula.bus.codec import decode, encode
from undula.bus.endpoints import RUN_DOCUMENTS, RUNS_CLOSED, RUNS_OPENED
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.catalogue import RunRecord, SqliteCatalogue
from undula.core import log
from undula.core.faults import POINTS
from undula.core.settings import BeamlineSettings
from undula.files import archive_path, open_run, read_archive, verify, write_archive
from undula.files.places import run_uid_of
from undula.messages import RunDocument, RunOpened
from undula.writer import WriterService, rebuild

VICTIM = Path(__file__).with_name("victim.py")
HW = hw()


@pytest.fixture(scope="module")
def journal() -> list[RunDocument]:
    engine = RunEngine({"scan_id": 0}, context_managers=[])
    found: list[RunDocument] = []

    def keep(name: str, doc: dict[str, Any]) -> None:
        document = RunDocument(index=len(found) + 1, name=name, doc=dict(doc))
        found.append(decode(encode(document), RunDocument))

    engine(bp.scan([HW.det], HW.motor, -1, 1, 30), keep)
    return found


class Bench:
    """A broker and a catalogue in memory, and writers on them."""

    def __init__(self, folder: Path, journal: list[RunDocument]) -> None:
        self.broker = MemoryBroker()
        self.connector = MemoryConnector(self.broker)
        self.catalogue = SqliteCatalogue(":memory:")
        self.journal = journal
        self.uid = str(journal[0].doc["uid"])
        self.wanted = folder / "data" / "00001_scan.nxs"
        self.settings = BeamlineSettings(name="t", data=folder)

    def open(self, number: int = 1) -> None:
        self.catalogue.open_run(RunRecord(uid=self.uid, number=number, path=str(self.wanted)))
        opened = RunOpened(
            uid=self.uid, number=number, plan_name="scan", command="scan", path=str(self.wanted),
            time=1.0,
        )  # fmt: skip
        self.connector.append(RUNS_OPENED, opened)

    def give(self, first: int, last: int) -> None:
        """Documents with indices first..last."""
        for document in self.journal[first - 1 : last]:
            key = RUN_DOCUMENTS.key(uid=self.uid)
            self.broker.add_entry(key, encode(document), f"{document.index}-0")

    def writer(self) -> WriterService:
        service = WriterService(MemoryConnector(self.broker), self.catalogue, self.settings)
        service.recover()
        return service

    def until(self, service: WriterService, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60.0
        while not true():
            assert time.monotonic() < deadline, "it did not come true"
            service.step(block_s=0.05)

    def closed(self) -> list[Any]:
        return [message for _, message in self.connector.read(RUNS_CLOSED)]

    def values(self, key: str) -> list[float]:
        return [d.doc["data"][key] for d in self.journal if d.name == "event"]


@pytest.fixture
def bench(tmp_path: Path, journal: list[RunDocument]) -> Bench:
    return Bench(tmp_path, journal)


def test_a_run_ends_in_a_closed_file_an_archive_and_a_row(bench: Bench) -> None:
    service = bench.writer()
    bench.open()
    bench.give(1, len(bench.journal))
    bench.until(service, bench.closed)
    (closed,) = bench.closed()
    assert (closed.exit_status, closed.num_events, closed.rebuilt) == (
        "success", {"primary": 30}, False,
    )  # fmt: skip
    path = Path(closed.path)
    assert open_run(path)["det"].tolist() == bench.values("det")
    assert list(read_archive(archive_path(path))) == bench.journal
    assert oct(path.stat().st_mode)[-3:] == "440"
    row = bench.catalogue.run(1)
    assert (row.exit_status, row.num_points, row.path) == ("success", 30, str(path))
    assert service.open_runs == []
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, path.name + ".docs"]
    assert RUN_DOCUMENTS.key(uid=bench.uid) in bench.broker.expiry


def _another_group() -> tuple[str, bool]:
    """Another group than this user's own, and whether files may be given to it."""
    groups = [group for group in grp.getgrall() if group.gr_gid != os.getegid()]
    allowed = [g for g in groups if os.geteuid() == 0 or g.gr_gid in os.getgroups()]
    return (allowed or groups)[0].gr_name, bool(allowed)


def test_file_and_archive_get_the_group_and_mode_of_the_settings(bench: Bench) -> None:
    told: list[str] = []
    log.configure("writer", None)
    log.add_sink(lambda event: told.append(str(event["event"])))
    group, allowed = _another_group()
    bench.settings = bench.settings.model_copy(update={"file_group": group, "file_mode": 0o444})
    service = bench.writer()
    bench.open()
    bench.give(1, len(bench.journal))
    bench.until(service, bench.closed)
    path = Path(bench.closed()[0].path)
    assert ("file_not_protected" in told) is not allowed  # a user without that right is told so
    for written in (path, archive_path(path)):
        assert (grp.getgrgid(written.stat().st_gid).gr_name == group) is allowed
        assert oct(written.stat().st_mode)[-3:] == "444"


def test_a_group_that_is_not_there_costs_no_file(bench: Bench) -> None:
    told: list[str] = []
    log.configure("writer", None)
    log.add_sink(lambda event: told.append(str(event["event"])))
    bench.settings = bench.settings.model_copy(update={"file_group": "no-such-group"})
    service = bench.writer()
    bench.open()
    bench.give(1, len(bench.journal))
    bench.until(service, bench.closed)
    assert bench.closed()[0].exit_status == "success"
    assert "file_not_protected" in told


def test_the_file_is_followed_while_the_run_goes_on(bench: Bench) -> None:
    service = bench.writer()
    bench.open()
    bench.give(1, 12)
    bench.until(service, lambda: bench.wanted.exists() and len(open_run(bench.wanted)) == 10)
    bench.give(13, 20)
    bench.until(service, lambda: len(open_run(bench.wanted)) == 18)
    assert bench.wanted.with_suffix(".live.nxs").exists()
    assert bench.closed() == []


def test_a_new_writer_rebuilds_an_open_run_and_goes_on(bench: Bench) -> None:
    first = bench.writer()
    bench.open()
    bench.give(1, 12)
    bench.until(first, lambda: bench.wanted.exists() and len(open_run(bench.wanted)) == 10)
    told = threading.Event()
    told.set()
    first.run(told)
    second = bench.writer()
    bench.give(13, 20)
    bench.until(second, lambda: len(open_run(bench.wanted)) == 18)
    bench.give(21, len(bench.journal))
    bench.until(second, bench.closed)
    (closed,) = bench.closed()
    assert closed.rebuilt
    assert closed.path == str(bench.wanted)
    assert open_run(bench.wanted)["det"].tolist() == bench.values("det")
    assert bench.writer().open_runs == []


def test_a_writer_that_is_told_to_stop_leaves_a_readable_file(bench: Bench) -> None:
    service = bench.writer()
    bench.open()
    bench.give(1, 12)
    stop = threading.Event()
    stop.set()
    bench.until(service, bench.wanted.exists)
    service.run(stop)
    assert len(open_run(bench.wanted)) == 10
    with h5py.File(bench.wanted, "r") as file:
        assert file["entry/exit_status"].asstr()[()] == "open"


def test_a_foreign_file_is_left_alone_and_the_row_knows_the_other_name(bench: Bench) -> None:
    bench.wanted.parent.mkdir()
    bench.wanted.write_text("mine")
    service = bench.writer()
    bench.open()
    bench.give(1, len(bench.journal))
    bench.until(service, bench.closed)
    assert bench.wanted.read_text() == "mine"
    assert bench.catalogue.run(1).path.endswith("00001_scan_1.nxs")


def test_a_folder_that_refuses_costs_no_point(bench: Bench) -> None:
    blocked = bench.wanted.parent
    blocked.write_text("a file where the folder should be")
    service = bench.writer()
    bench.open()
    bench.give(1, 20)
    bench.until(service, lambda: service.open_runs and service.open_runs[0].problem)
    assert str(blocked) in service.open_runs[0].problem
    assert "Remedy" in service.status()
    assert bench.closed() == []
    blocked.unlink()
    bench.give(21, len(bench.journal))
    bench.until(service, bench.closed)
    assert open_run(bench.wanted)["det"].tolist() == bench.values("det")


def test_a_full_disk_costs_no_point(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    service = bench.writer()
    bench.open()
    bench.give(1, 12)
    bench.until(service, lambda: bench.wanted.exists() and len(open_run(bench.wanted)) == 10)
    with monkeypatch.context() as full:
        full.setattr("undula.files.places.RESERVE_BYTES", 1 << 60)
        bench.give(13, len(bench.journal))
        bench.until(service, lambda: service.open_runs[0].problem)
        assert "free space" in service.status()
        assert bench.closed() == []
    bench.until(service, bench.closed)
    assert open_run(bench.wanted)["det"].tolist() == bench.values("det")


def test_documents_given_twice_or_malformed_do_no_harm(bench: Bench) -> None:
    service = bench.writer()
    bench.open()
    bench.give(1, 10)
    key = RUN_DOCUMENTS.key(uid=bench.uid)
    bench.broker.add_entry(key, b"\xff nonsense", "10-1")
    for document in bench.journal[4:10]:
        bench.broker.add_entry(key, encode(document), f"10-{document.index}")
    strange = RunDocument(index=11, name="event", doc={"seq_num": "what"})
    bench.broker.add_entry(key, encode(strange), "11-0")
    for document in bench.journal[10:]:
        moved = document.model_copy(update={"index": document.index + 1})
        bench.broker.add_entry(key, encode(moved), f"{moved.index}-0")
    bench.until(service, bench.closed)
    assert open_run(bench.wanted)["det"].tolist() == bench.values("det")


def test_a_run_that_was_refused_before_the_first_point_has_a_file_too(
    tmp_path: Path, journal: list[RunDocument]
) -> None:
    stop = journal[-1].model_copy(
        update={"index": 2, "doc": {**journal[-1].doc, "exit_status": "abort", "reason": "limits"}}
    )
    bench = Bench(tmp_path, [journal[0], stop])
    service = bench.writer()
    bench.open()
    bench.give(1, 2)
    bench.until(service, bench.closed)
    with h5py.File(bench.wanted) as file:
        assert file["entry/reason"].asstr()[()] == "limits"


def run_victim(folder: Path, first: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "UNDULA_TEST": "1", "UNDULA_FAULT": fault}
    arguments = [str(folder / n) for n in ("j.docs", "c.sqlite", "data/00001_scan.nxs")]
    return subprocess.run(
        [sys.executable, str(VICTIM), *arguments, first],
        check=False, capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip


FAULTS = [*(p for p in sorted(POINTS) if p.startswith("writer.")), "writer.document_read:17",
          "writer.flushed:2"]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_kill_at_any_point_costs_nothing(
    fault: str, tmp_path: Path, journal: list[RunDocument]
) -> None:
    write_archive(tmp_path / "j", journal)
    catalogue = SqliteCatalogue(tmp_path / "c.sqlite")
    catalogue.open_run(RunRecord(uid=str(journal[0].doc["uid"]), number=1))
    killed = run_victim(tmp_path, "2", fault)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    wanted = tmp_path / "data" / "00001_scan.nxs"
    if wanted.exists():  # whatever has its name already can be read
        assert run_uid_of(wanted) == journal[0].doc["uid"]
    ended = run_victim(tmp_path, "all")
    assert ended.stdout.strip() == str(wanted), ended.stderr
    fresh = open_run(rebuild(archive_path(wanted), tmp_path / "fresh.nxs")).to_dict()
    kept = open_run(wanted).to_dict()
    assert kept.keys() == fresh.keys()
    for key, values in fresh.items():
        np.testing.assert_array_equal(kept[key], values)
    assert len(kept["det"]) == 30
    assert verify(archive_path(wanted)) == len(journal)
    assert catalogue.run(1).exit_status == "success"
    left = {p.name for p in wanted.parent.iterdir()}
    assert left == {wanted.name, wanted.name + ".docs"}


def test_rebuilding_from_the_archive_gives_the_same_file(
    tmp_path: Path, journal: list[RunDocument]
) -> None:
    write_archive(tmp_path / "a.nxs", journal)
    path = rebuild(tmp_path / "a.nxs.docs", tmp_path / "a.nxs")
    assert path.name == "a.nxs"
    assert rebuild(tmp_path / "a.nxs.docs", path) == path
    cut = rebuild(journal[:10], tmp_path / "cut.nxs")
    with h5py.File(cut) as file:
        assert file["entry/exit_status"].asstr()[()] == "fail"
    assert len(open_run(cut)) == 8
    assert SqliteCatalogue(":memory:").rebuild_from_files(tmp_path) == 1


def test_a_run_whose_journal_has_a_gap_does_not_end_as_success(bench: Bench) -> None:
    service = bench.writer()
    bench.open()
    bench.give(1, 9)
    bench.give(11, len(bench.journal))
    bench.until(service, bench.closed)
    (closed,) = bench.closed()
    assert closed.exit_status == "fail"
    assert "no document 10, 11 follows" in closed.reason
    assert bench.catalogue.run(1).exit_status == "fail"


def test_a_run_that_the_engine_gave_up_is_closed_as_it_is(bench: Bench) -> None:
    service = bench.writer()
    bench.open()
    bench.give(1, 12)
    bench.until(service, lambda: bench.wanted.exists() and len(open_run(bench.wanted)) == 10)
    bench.catalogue.close_run(
        bench.uid, exit_status="fail", reason="the broker refused document 13", end_time=2.0,
        path=str(bench.wanted), num_events={}, archive_path="",
    )  # fmt: skip
    bench.until(service, bench.closed)
    (closed,) = bench.closed()
    assert (closed.exit_status, closed.reason) == ("fail", "the broker refused document 13")
    assert len(open_run(bench.wanted)) == 10
    assert service.open_runs == []
