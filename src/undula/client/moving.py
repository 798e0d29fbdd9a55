"""A move from a client: asked for on a thread of its own, its readbacks followed on the way.

In: devices and targets. Out: the readbacks in the end, and those on the way for who wants them.
Called by: `client.client`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from undula.bus.endpoints import DEVICE_READBACK, ENGINE_MOVE
from undula.client.link import MOVE_TIMEOUT_S, Background, Link
from undula.core.ids import new_id
from undula.messages import Readback

MoveProgress = Callable[[Readback], None]


def start_move(
    link: Link,
    to: dict[str, Any],
    relative: bool = False,
    progress: MoveProgress | None = None,
    **more: Any,
) -> Background:
    """Move on another thread; `result()` waits for the readbacks.

    Args:
        to: device to target, in the unit of the device.
        progress: gets the readbacks on the way, on another thread.
        more: further fields of the request: `jog`, `velocity`.
    """
    request_id = new_id()

    def call() -> dict[str, Any]:
        with _watched(link, to, progress):
            result = link.ask(
                ENGINE_MOVE, MOVE_TIMEOUT_S, request_id=request_id, targets=to, relative=relative,
                **more,
            )  # fmt: skip
        return dict(result["readbacks"])

    return Background(call, request_id)


@contextmanager
def _watched(link: Link, devices: Iterable[str], progress: MoveProgress | None) -> Iterator[None]:
    if progress is None:
        yield
        return
    watch = progress

    def moving(readback: Readback) -> None:
        if readback.moving:
            watch(readback)

    subscriptions = [
        link.connector.subscribe(DEVICE_READBACK, moving, name=name) for name in devices
    ]
    try:
        yield
    finally:
        for subscription in subscriptions:
            subscription.close()
