"""Room: analysis. Fits by a process of their own, which starts with the first and ends when idle.

In: a model line and a curve. Out: `FitResult`. A fit that takes longer than its deadline is killed
with its process, one that dies is tried once more; the caller never waits longer.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from undula.analysis.worker import frame, pack_request, read_frame
from undula.bus.codec import decode
from undula.core.clock import Deadline
from undula.core.errors import WireError
from undula.core.faults import reached
from undula.messages import FitResult

DEADLINE_S = 20.0
START_S = 60.0
"""For the start of the process: importing scipy on a busy host."""
IDLE_S = 60.0
ATTEMPTS = 2
_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


class Fitter:
    """Runs fits one after the other. Thread-safe.

    Args:
        folder: where the beamline keeps models of its own; None: there are none.
        deadline_s: longest time of one fit.
        idle_s: the process ends after so long without a fit.
    """

    def __init__(
        self, folder: Path | None = None, deadline_s: float = DEADLINE_S, idle_s: float = IDLE_S
    ) -> None:
        self._folder = folder
        self._deadline_s = deadline_s
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._fresh = True
        self._timer: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the process beforehand, so that the first fit need not wait for it."""
        with self._lock:
            self._running()
            self._rest()

    def fit(self, model: str, x: Any, y: Any) -> FitResult:
        """Fit; the result has a `problem` when it failed, hung or died.

        Args:
            model: the line, see `expression`.
            x: positions, shape (points,).
            y: values, shape (points,).
        """
        return self._fit(model, x, y)

    def fit_map(self, model: str, x: Any, y: Any, values: Any) -> FitResult:
        """Fit a map; as `fit`.

        Args:
            model: the line, see `expression`; of models that have a form for maps.
            x, y: positions, shape (points,).
            values: shape (points,).
        """
        return self._fit(model, x, y, values)

    def _fit(self, model: str, *measured: Any) -> FitResult:
        payload = pack_request(model, measured, self._folder)
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            problem = ""
            try:
                for _ in range(ATTEMPTS):
                    found = self._ask(payload)
                    if isinstance(found, FitResult):
                        return found
                    problem = found
                    if "longer than" in problem:
                        break
            finally:
                self._rest()
        return FitResult(
            model=model,
            points=len(measured[0]),
            problem=f"{model} could not be fitted: {problem}",
            remedy="choose another model, or correct the beamline's own",
        )

    def _ask(self, payload: bytes) -> FitResult | str:
        """The result, or why there is none; the process is gone then."""
        process = self._running()
        try:
            if self._fresh:
                _receive(process, Deadline(START_S))
                self._fresh = False
            deadline = Deadline(self._deadline_s)
            _send(process, payload, deadline)
            reached("analysis.fit_asked")
            return decode(_receive(process, deadline), FitResult)
        except TimeoutError:
            limit_s = START_S if self._fresh else self._deadline_s
            what = "its process took" if self._fresh else "it took"
            self._end()
            return f"{what} longer than {limit_s:g} s and was ended"
        except (OSError, ValueError, WireError):
            self._end()
            return "its process died"
        except BaseException:  # Ctrl-C: nobody waits for this reply any more
            self._end()
            raise

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._fresh = True
            self._process = subprocess.Popen(
                [sys.executable, "-m", "undula.analysis.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **_ONE_THREAD},
                start_new_session=True,
            )
        return self._process

    def _rest(self) -> None:
        """End the process when nobody asks for a while."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._idle_s, self.close)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was not sent is not wanted any more

    def close(self) -> None:
        """End the process; a later fit starts another."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._end()


def _send(process: subprocess.Popen[bytes], payload: bytes, deadline: Deadline) -> None:
    """Put a frame into the pipe, which nobody may be reading. Raises: TimeoutError, OSError."""
    pipe = process.stdin
    if pipe is None:
        raise OSError("no pipe")
    left = memoryview(frame(payload))
    os.set_blocking(pipe.fileno(), False)
    while left:
        if not select.select([], [pipe], [], deadline.left_s())[1]:
            raise TimeoutError
        left = left[os.write(pipe.fileno(), left[: select.PIPE_BUF]) :]


def _receive(process: subprocess.Popen[bytes], deadline: Deadline) -> bytes:
    """The reply. Raises: TimeoutError; OSError when the process is gone."""
    pipe = process.stdout
    if pipe is None:
        raise OSError("no pipe")
    if not select.select([pipe], [], [], deadline.left_s())[0]:
        raise TimeoutError
    reply = read_frame(pipe)
    if reply is None:
        raise OSError("the pipe has ended")
    return reply
