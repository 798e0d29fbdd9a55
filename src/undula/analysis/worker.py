"""Room: analysis. The process in which fits run: `python -m undula.analysis.worker`.

In: requests on stdin. Out: `READY`, then one `FitResult` for each on stdout. Frames of 4 bytes
length (big endian) and msgpack. It ends when its parent goes: a fit that hangs outlives nobody.
People's models run here, and only here; what they print goes to stderr.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import ormsgpack

from undula.core.faults import reached

MEMORY_BYTES = 4 << 30
"""Address space that a fit may take: a model that eats memory ends alone."""
READY = b"ready"
"""What it says first."""
_LENGTH_BYTES = 4


def frame(payload: bytes) -> bytes:
    """What goes into a pipe."""
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


def read_frame(file: IO[bytes]) -> bytes | None:
    """Take one frame; None at the end."""
    head = file.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    size = int.from_bytes(head, "big")
    payload = file.read(size)
    return payload if len(payload) == size else None


def pack_request(model: str, measured: Sequence[Any], folder: Path | None) -> bytes:
    """A request: x and y of a curve, or x, y and values of a map, float64, shape (points,)."""
    import numpy as np

    return ormsgpack.packb(
        {
            "model": model,
            "measured": [np.asarray(v, dtype=np.float64).tobytes() for v in measured],
            "folder": None if folder is None else str(folder),
        }
    )


def answer(payload: bytes) -> bytes:
    """Carry out one request."""
    import numpy as np

    from undula.analysis.fitting import fit_curve
    from undula.analysis.map_fitting import fit_map
    from undula.bus.codec import encode
    from undula.messages import FitResult

    asked = ormsgpack.unpackb(payload)
    reached("analysis.fit_begun")
    folder = Path(asked["folder"]) if asked["folder"] else None
    measured = [np.frombuffer(packed, dtype=np.float64) for packed in asked["measured"]]
    try:
        if len(measured) == 2:
            return encode(fit_curve(asked["model"], measured[0], measured[1], folder))
        x, y, values = measured
        return encode(fit_map(asked["model"], x, y, values, folder))
    except Exception as exc:  # lmfit and people's models may raise anything
        problem = f"the fit failed: {type(exc).__name__}: {exc}"
        remedy = "choose another model, or bound its parameters"
        return encode(FitResult(model=asked["model"], problem=problem, remedy=remedy))


def _take(source: IO[bytes], requests: queue.SimpleQueue[bytes]) -> None:
    """Read ahead, so that the end of the parent is seen during a fit that hangs."""
    while (payload := read_frame(source)) is not None:
        requests.put(payload)
    os._exit(0)


def _import_lmfit() -> None:
    """Beforehand, and without pandas, which lmfit takes along for curves that are none of ours."""
    absent = "pandas" not in sys.modules
    if absent:
        sys.modules["pandas"] = None  # type: ignore[assignment]  # how an import is made to fail
    try:
        import numpy as np

        from undula.analysis.fitting import fit_curve
        from undula.bus.codec import encode

        line = np.arange(4.0)
        encode(fit_curve("linear", line, line, None))  # what is imported at the first one only
    finally:
        if absent:  # a person's model may want it
            del sys.modules["pandas"]


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the prompt is for the prompt
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_take, args=(sys.stdin.buffer, requests), daemon=True).start()
    _import_lmfit()
    out.write(frame(READY))  # from now on a fit takes its own time only
    out.flush()
    while True:
        out.write(frame(answer(requests.get())))
        out.flush()


if __name__ == "__main__":
    main()
