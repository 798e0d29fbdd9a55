"""Room: writer. Live fits: follows the journals of runs that want one, with cursors of its own.

In: runs that were opened, their journals. Out: `RunFits` on the bus, at most a few times a second,
and the results for the file at the close. The fits run in the process of `Fitter`; here is one
thread, which sleeps while no run is open. It may lag or lose its process: it reads on from where it
stood, and a scan never waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from undula import __version__
from undula.analysis.measured import FitMaker, measured_of
from undula.analysis.text import unit_of
from undula.analysis.view import RunView
from undula.analysis.wishes import Wish, wishes
from undula.bus.endpoints import RUN_DOCUMENTS, RUN_FITS
from undula.bus.ports import BEGIN, Connector
from undula.core.clock import now
from undula.core.errors import BusError, InputError
from undula.core.log import get_logger
from undula.files import Process
from undula.messages import FitResult, RunFits

PACE_S = 0.3
IDLE_S = 1.0
SHARE = 4.0
"""A fit that takes long is made the more seldom: the pause is so many times its duration."""
LONGEST_PAUSE_S = 2.0
"""The first one waits for its process to start; the next is not to be late for that."""
PATIENCE_S = 30.0
"""The file of a run is closed without the last fit when that takes longer."""
BATCH = 1000
BATCHES_A_LOOK = 20
KEPT_S = 86_400.0
MAX_POINTS = 200_000
"""The writer keeps no more points of a run in memory than this."""
DOCUMENT_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass(slots=True)
class _Followed:
    """One run whose curve is fitted while it grows."""

    uid: str
    number: int
    view: RunView = field(default_factory=RunView)
    wanted: list[Wish] | None = None
    cursor: str = BEGIN
    index: int = 0
    rows: int = 0
    due: float = 0.0
    given_up: dict[Wish, FitResult] = field(default_factory=dict)
    fits: list[FitResult] = field(default_factory=list)


class LiveFits:
    """Fits of the runs that the writer follows. Thread-safe; `run` is the thread.

    Args:
        connector: the bus.
        maker: makes the fits.
        clock: monotonic seconds.
    """

    def __init__(
        self, connector: Connector, maker: FitMaker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connector = connector
        self._maker = maker
        self._clock = clock
        self._lock = threading.Lock()
        self._active: dict[str, _Followed] = {}
        self._results: dict[str, list[FitResult]] = {}
        self._awaited: dict[str, float] = {}
        self._wake = threading.Event()
        self._log = get_logger()

    # -- what the writer asks ---------------------------------------------------------------

    def follow(self, uid: str, number: int) -> None:
        """A run was opened."""
        with self._lock:
            self._active.setdefault(uid, _Followed(uid, number))
        self._wake.set()

    def pending(self, uid: str) -> bool:
        """True while the last fit of a run that has ended is still made, up to `PATIENCE_S`."""
        with self._lock:
            if uid not in self._active:
                return False
            since = self._awaited.setdefault(uid, self._clock())
            return self._clock() - since < PATIENCE_S

    def processes(self, uid: str) -> list[Process]:
        """The fits of a run, for its file."""
        with self._lock:
            run = self._active.get(uid)
            fits = self._results.get(uid) or (list(run.fits) if run is not None else [])
        return [process_of(fit, place) for place, fit in enumerate(fits)]

    def forget(self, uid: str) -> None:
        """The file of a run is closed."""
        with self._lock:
            for known in (self._active, self._results, self._awaited):
                known.pop(uid, None)

    # -- the thread -------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            if not self.step():
                self._wake.wait(IDLE_S)
                self._wake.clear()
                continue
            stop.wait(PACE_S)

    def step(self) -> bool:
        """One round over all runs. True: there are some."""
        with self._lock:
            active = list(self._active.values())
        for run in active:
            try:
                self._look(run)
            except BusError as exc:  # the broker away: it is read on from here
                self._log.warning("fits_wait", what=exc.what, remedy=exc.remedy)
            except OSError as exc:  # no process can be started
                self._log.error("fits_given_up", run_uid=run.uid, error=str(exc))
                self._end(run)
        return bool(active)

    def _look(self, run: _Followed) -> None:
        for _ in range(BATCHES_A_LOOK):
            count = 1 if run.wanted is None else BATCH  # most runs want none: one look tells
            entries = self._connector.read(
                RUN_DOCUMENTS, after=run.cursor, count=count, uid=run.uid
            )
            for cursor, document in entries:
                run.cursor = cursor
                if document.index <= run.index:
                    continue
                run.index = document.index
                self._feed(run, document.name, document.doc)
            if run.wanted == []:
                self._end(run)
                return
            if len(entries) < count:
                break
        ended = bool(run.view.stop)
        fresh = len(run.view.rows) > run.rows
        if ended or (fresh and self._clock() >= run.due):
            self._fit(run, final=ended)

    def _feed(self, run: _Followed, name: str, doc: dict[str, object]) -> None:
        if name in ("event", "event_page") and len(run.view.rows) > MAX_POINTS:
            return
        try:
            run.view.feed(name, doc)
            if name == "start":
                run.wanted = wishes(doc)
                if run.wanted:
                    self._maker.start()
                    begun = RunFits(uid=run.uid, number=run.number)  # who looks knows to wait
                    self._connector.put(RUN_FITS, begun, uid=run.uid)
        except InputError as exc:
            run.wanted = []
            self._log.warning("fit_refused", run_uid=run.uid, what=exc.what, remedy=exc.remedy)
        except DOCUMENT_ERRORS as exc:
            self._log.warning("document_not_fitted", run_uid=run.uid, name=name, error=repr(exc))

    def _fit(self, run: _Followed, *, final: bool) -> None:
        began = self._clock()
        run.rows = len(run.view.rows)
        run.fits = [self._one(run, wish) for wish in run.wanted or []]
        ended = self._clock()
        run.due = ended + min(max(PACE_S, SHARE * (ended - began)), LONGEST_PAUSE_S)
        fits = RunFits(uid=run.uid, number=run.number, fits=run.fits, final=final)
        self._connector.put(RUN_FITS, fits, uid=run.uid)
        if final:
            self._connector.expire(RUN_FITS, KEPT_S, uid=run.uid)
            self._end(run)

    def _one(self, run: _Followed, wish: Wish) -> FitResult:
        if wish in run.given_up:
            return run.given_up[wish]
        try:
            if len(run.view.rows) > MAX_POINTS:
                raise InputError(
                    f"more than {MAX_POINTS} points are not fitted while they are measured",
                    remedy="fit the run afterwards: undula runs fit NUMBER",
                )
            measured = measured_of(run.view, wish.signal)
        except InputError as exc:
            return FitResult(model=wish.model, problem=exc.what, remedy=exc.remedy)
        found = measured.fitted(self._maker, wish.model, max(run.view.seq_nums, default=0))
        if "was ended" in found.problem or "died" in found.problem:
            run.given_up[wish] = found  # what hangs once hangs again: it is not asked any more
        return found

    def _end(self, run: _Followed) -> None:
        with self._lock:
            if self._active.pop(run.uid, None) is not None and run.fits:
                self._results[run.uid] = run.fits


def process_of(fit: FitResult, place: int) -> Process:
    """A fit as an NXprocess of the run's file: parameters, errors, and the curve to be drawn."""
    quality = {
        "r_squared": fit.r_squared,
        "reduced_chi_square": fit.reduced_chi_square,
        "points": fit.points,
        "left_out": fit.left_out,
        "last_seq_num": fit.last_seq_num,
        "problem": fit.problem,
    }
    units = {f"parameters/{p.name}": unit_of(p.name, fit) for p in fit.parameters}
    units |= {f"errors/{p.name}": unit_of(p.name, fit) for p in fit.parameters}
    x, y = (fit.axis or "x", fit.axis_unit), (fit.axis_y or "y", fit.axis_y_unit)
    axes = [(*y, fit.map_y), (*x, fit.map_x)] if fit.of_map else [(*x, fit.curve_x)]
    drawn = fit.map_values or fit.curve_y
    return Process(
        name="fit" if place == 0 else f"fit_{place + 1}",
        program="undula",
        version=__version__,
        time=now(),
        results={
            "model": fit.model,
            "signal": fit.signal,
            "axis": fit.axis,
            **({"axis_y": fit.axis_y} if fit.of_map else {}),
            "parameters": {p.name: p.value for p in fit.parameters},
            "errors": {p.name: p.error for p in fit.parameters if p.error is not None},
            "fixed": ", ".join(p.name for p in fit.parameters if p.fixed),
            **{key: value for key, value in quality.items() if value is not None},
        },
        units=units | {"fit": fit.signal_unit} | {axis: unit for axis, unit, _ in axes},
        data={"fit": drawn} if drawn else {},
        axes={axis: places for axis, _, places in axes} if drawn else {},
    )
