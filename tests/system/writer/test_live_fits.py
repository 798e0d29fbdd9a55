"""Live fits: from the journal to the bus and into the file, whatever happens to a fit."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import pytest
from bluesky import RunEngine
from ophyd.sim import hw

from undula.analysis.fitter import Fitter
from undula.bus.codec import decode, encode
from undula.bus.endpoints import RUN_DOCUMENTS, RUN_FITS, RUNS_CLOSED, RUNS_OPENED
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.catalogue import RunRecord, SqliteCatalogue
from undula.core.settings import BeamlineSettings
from undula.files import read_processes
from undula.messages import FitResult, RunDocument, RunFits, RunOpened
from undula.writer import WriterService, rebuild
from undula.writer.fits import LiveFits

HW = hw()
POINTS = 41
HANGING = "import time\n\ndef hanging(x, a=1.0):\n    while True:\n        time.sleep(0.01)\n"


def journal_of(**metadata: Any) -> list[RunDocument]:
    return _journal(bp.scan([HW.det], HW.motor, -5, 5, POINTS, md=metadata))


def map_of(**metadata: Any) -> list[RunDocument]:
    axes = (HW.motor1, -3, 3, 9, HW.motor2, -3, 3, 11)
    return _journal(bp.grid_scan([HW.det4], *axes, snake_axes=True, md=metadata))


def _journal(plan: Any) -> list[RunDocument]:
    engine = RunEngine({"scan_id": 0}, context_managers=[])
    found: list[RunDocument] = []

    def keep(name: str, doc: dict[str, Any]) -> None:
        document = RunDocument(index=len(found) + 1, name=name, doc=dict(doc))
        found.append(decode(encode(document), RunDocument))

    engine(plan, keep)
    return found


class Bench:
    """A broker in memory, a writer with its thread of fits, and the process in which they run."""

    def __init__(self, folder: Path, fitter: Fitter, before: Bench | None = None) -> None:
        self.folder = folder
        self.broker = MemoryBroker() if before is None else before.broker
        self.catalogue = SqliteCatalogue(":memory:") if before is None else before.catalogue
        self.connector = MemoryConnector(self.broker)
        self.fitter = fitter
        self.fits = LiveFits(MemoryConnector(self.broker), fitter)
        self.writer = WriterService(
            MemoryConnector(self.broker),
            self.catalogue,
            BeamlineSettings(name="t", data=folder),
            fits=self.fits,
        )
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.fits.run, args=(self.stop,))
        self.thread.start()

    def open(self, journal: list[RunDocument]) -> str:
        uid, path = str(journal[0].doc["uid"]), str(self.folder / "00001_scan.nxs")
        self.catalogue.open_run(RunRecord(uid=uid, number=1, path=path))
        self.connector.append(
            RUNS_OPENED,
            RunOpened(uid=uid, number=1, plan_name="scan", command="scan", path=path, time=1.0),
        )
        return uid

    def give(self, documents: list[RunDocument], uid: str) -> None:
        for document in documents:
            key = RUN_DOCUMENTS.key(uid=uid)
            self.broker.add_entry(key, encode(document), f"{document.index}-0")

    def fits_of(self, uid: str) -> RunFits | None:
        return self.connector.get(RUN_FITS, uid=uid)

    def until(self, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not true():
            assert time.monotonic() < deadline, "it did not come true"
            self.writer.step(block_s=0.02)
            time.sleep(0.01)

    def closed(self) -> list[Any]:
        return [message for _, message in self.connector.read(RUNS_CLOSED)]

    def followed(self, uid: str) -> Any:
        return self.fits._active.get(uid)

    def close(self) -> None:
        self.stop.set()
        self.thread.join()


@pytest.fixture(scope="module")
def fitter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fitter]:
    folder = tmp_path_factory.mktemp("models")
    (folder / "odd.py").write_text(HANGING)
    fitter = Fitter(folder, deadline_s=3.0)
    try:
        yield fitter
    finally:
        fitter.close()


@pytest.fixture
def bench(tmp_path: Path, fitter: Fitter) -> Iterator[Bench]:
    bench = Bench(tmp_path, fitter)
    try:
        yield bench
    finally:
        bench.close()


def test_a_curve_is_fitted_while_it_grows_and_the_fit_lies_in_the_file(bench: Bench) -> None:
    journal = journal_of(fit="gaussian")
    uid = bench.open(journal)
    bench.give(journal[:34], uid)  # up to beyond the peak
    bench.until(lambda: getattr(bench.fits_of(uid), "fits", None))
    early = bench.fits_of(uid)
    assert early is not None
    assert not early.final
    assert early.fits[0].last_seq_num == 32

    bench.give(journal[34:], uid)
    bench.until(bench.closed)

    final = bench.fits_of(uid)
    assert final is not None
    assert (final.final, final.fits[0].points, final.fits[0].problem) == (True, POINTS, "")
    assert final.fits[0].parameter("sigma").value == pytest.approx(1.0, rel=1e-3)
    path = Path(bench.closed()[0].path)
    for _ in range(2):  # as it was written, and made anew from its archive
        with h5py.File(path) as file:
            group = file["entry/fit"]
            assert group.attrs["NX_class"] == "NXprocess"
            assert group["results/model"].asstr()[()] == "gaussian"
            assert group["results/parameters/sigma"][()] == pytest.approx(1.0, rel=1e-3)
            assert group["data"].attrs["signal"] == "fit"
            assert group["data/motor"].shape == group["data/fit"].shape
        path = rebuild(path.with_name(path.name + ".docs"), path)


def test_a_map_is_fitted_while_its_lines_come_and_the_fit_lies_in_the_file(bench: Bench) -> None:
    journal = map_of(fit="gaussian + constant")
    uid = bench.open(journal)
    bench.give(journal[:14], uid)  # 12 points: the first line, and one more
    bench.until(lambda: getattr(bench.fits_of(uid), "fits", None))
    assert "the map has 2 of the 3 lines" in bench.fits_of(uid).fits[0].problem
    bench.give(journal[14:70], uid)
    bench.until(lambda: bench.fits_of(uid).fits[0].parameters)
    assert not bench.fits_of(uid).final

    bench.give(journal[70:], uid)
    bench.until(bench.closed)

    fit = bench.fits_of(uid).fits[0]
    assert (fit.problem, fit.points, fit.axis, fit.axis_y) == ("", 99, "motor2", "motor1")
    for name, wanted in {"center_x": 0, "center_y": 0, "sigma_x": 1, "sigma_y": 1}.items():
        assert fit.parameter(name).value == pytest.approx(wanted, abs=1e-3)
    path = Path(bench.closed()[0].path)
    for _ in range(2):  # as it was written, and made anew from its archive
        with h5py.File(path) as file:
            group = file["entry/fit"]
            assert group["results/parameters/gaussian_fwhm_x"][()] == pytest.approx(2.355, rel=1e-3)
            data = group["data"]
            assert [str(axis) for axis in data.attrs["axes"]] == ["motor1", "motor2"]
            assert (data.attrs["motor1_indices"][0], data.attrs["motor2_indices"][0]) == (0, 1)
            assert data["fit"].shape == (len(data["motor1"]), len(data["motor2"]))
            assert data["fit"][()].max() == pytest.approx(1.0, rel=0.02)
        path = rebuild(path.with_name(path.name + ".docs"), path)


def test_a_run_that_wants_no_fit_gets_none_and_starts_no_process(bench: Bench) -> None:
    before = bench.fitter.pid
    journal = journal_of()
    uid = bench.open(journal)
    bench.give(journal, uid)
    bench.until(bench.closed)
    assert bench.fits_of(uid) is None
    assert bench.fitter.pid == before


def test_the_process_is_killed_in_mid_fit_and_the_run_has_its_fit_all_the_same(
    bench: Bench,
) -> None:
    journal = journal_of(fit="gaussian")
    uid = bench.open(journal)
    bench.give(journal[:2], uid)
    bench.until(lambda: bench.fitter.pid and bench.followed(uid) and bench.followed(uid).wanted)
    pid = bench.fitter.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    bench.give(journal[2:30], uid)
    bench.until(lambda: bench.followed(uid).rows)  # it waits for the process now
    os.kill(pid, signal.SIGKILL)
    bench.give(journal[30:], uid)
    bench.until(bench.closed)
    final = bench.fits_of(uid)
    assert final is not None
    assert final.fits[0].parameter("sigma").value == pytest.approx(1.0, rel=1e-3)


def test_a_writer_that_is_started_anew_catches_up(bench: Bench) -> None:
    journal = journal_of(fit="gaussian")
    uid = bench.open(journal)
    bench.give(journal[:34], uid)
    bench.until(lambda: getattr(bench.fits_of(uid), "fits", None))
    bench.close()  # nothing of it is left but what is on the bus
    bench.give(journal[34:], uid)
    second = Bench(bench.folder, bench.fitter, before=bench)
    try:
        assert second.writer.recover() == 1
        second.until(second.closed)
        final = second.fits_of(uid)
        assert final is not None
        assert (final.final, final.fits[0].points) == (True, POINTS)
        assert [p.name for p in read_processes(Path(second.closed()[0].path))] == ["fit"]
    finally:
        second.close()


def test_a_fit_that_hangs_holds_up_neither_the_file_nor_the_other_fit(bench: Bench) -> None:
    journal = journal_of(fit=["hanging", {"model": "gaussian", "signal": "det"}])
    uid = bench.open(journal)
    bench.give(journal, uid)
    bench.until(bench.closed)
    assert bench.closed()[0].num_events == {"primary": POINTS}
    bench.until(lambda: (bench.fits_of(uid) or RunFits(uid=uid, number=1)).final)
    hanging, gaussian = bench.fits_of(uid).fits
    assert "took longer than 3 s and was ended" in hanging.problem
    assert gaussian.problem == ""


@pytest.mark.parametrize(
    ("fit", "problem"),
    [
        ("gausian", "there is no model 'gausian'"),
        ({"model": "gaussian", "signal": "nothing"}, "nothing was not measured"),
    ],
)
def test_a_fit_that_cannot_be_made_says_why(bench: Bench, fit: Any, problem: str) -> None:
    journal = journal_of(fit=fit)
    uid = bench.open(journal)
    bench.give(journal, uid)
    bench.until(bench.closed)
    final = bench.fits_of(uid)
    assert final is not None
    assert problem in final.fits[0].problem


class SlowMaker:
    """Makes a fit in no time, on a clock that says how long it took."""

    def __init__(self, *durations_s: float) -> None:
        self.now = 0.0
        self.made: list[float] = []
        self._durations = list(durations_s)

    def start(self) -> None:
        """It is always ready."""

    def fit(self, model: str, x: list[float], y: list[float]) -> FitResult:
        self.made.append(self.now)
        self.now += self._durations.pop(0)
        return FitResult(model=model, points=len(x))

    def fit_map(self, model: str, x: list[float], y: list[float], values: Any) -> FitResult:
        raise AssertionError("this is no map")


def test_a_slow_fit_is_made_seldom_but_one_slow_start_delays_nothing_for_long() -> None:
    maker = SlowMaker(14.0, 0.4, 0.01, 0.01)
    broker = MemoryBroker()
    fits = LiveFits(MemoryConnector(broker), maker, clock=lambda: maker.now)
    journal = journal_of(fit="gaussian")
    uid = str(journal[0].doc["uid"])
    fits.follow(uid, 1)
    for document in journal[:-1]:  # a document each 0.1 s
        broker.add_entry(RUN_DOCUMENTS.key(uid=uid), encode(document), f"{document.index}-0")
        fits.step()
        if len(maker.made) == 4:
            break
        maker.now += 0.1
    pauses = [b - a for a, b in itertools.pairwise(maker.made)]
    assert pauses == pytest.approx([14 + 2.0, 0.4 + 1.6, 0.01 + 0.3], abs=0.11)
