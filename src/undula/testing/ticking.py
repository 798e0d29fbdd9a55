"""Signals that change at a rate, for benchmarks of live values: one thread changes all of them."""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

from ophyd import Signal


class Ticking(Signal):
    """An ophyd signal that counts up `rate` times a second; 0 stands still."""

    _all: ClassVar[list[Ticking]] = []
    _thread: ClassVar[threading.Thread | None] = None

    def __init__(self, *, name: str, rate: float = 10.0, **kwargs: Any) -> None:
        super().__init__(name=name, value=0.0, **kwargs)
        self.rate = rate
        if rate > 0:
            Ticking._all.append(self)
            if Ticking._thread is None:
                Ticking._thread = threading.Thread(target=_tick, daemon=True, name="ticking")
                Ticking._thread.start()


def _tick() -> None:
    begin, number = time.monotonic(), 0
    pause = threading.Event()
    while True:
        number += 1
        signals = list(Ticking._all)
        for signal in signals:
            signal.put(float(number))
        rate = signals[0].rate if signals else 10.0
        pause.wait(max(0.001, begin + number / rate - time.monotonic()))
