"""Benchmark of direct moves and readings of a client, while the beamline idles and scans."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps

from bench.report import Row, Spread, percentile
from bench.subjects import INSTANT, Stock, Undula, seconds

MS = 1e3
AXIS = "other_axis"
SCAN_POINTS = 400_000


def moves(undula: Undula, stock: Stock, rounds: int, quick: bool) -> list[Row]:
    """`mv` and wait, and `read`, of an instant axis; peer: `bps.mv`, `bps.rd`."""
    repeats = 30 if quick else 100
    client, axis = undula.client, stock.devices[AXIS]
    client.mv(AXIS, 1.0)
    idle: dict[str, list[list[float]]] = {"mv": [], "read": []}
    peer: dict[str, list[list[float]]] = {"mv": [], "read": []}
    busy: dict[str, list[list[float]]] = {"mv": [], "read": []}
    for _ in range(rounds):
        idle["mv"].append(_many(repeats, lambda i: client.mv(AXIS, i % 2)))
        idle["read"].append(_many(repeats, lambda _: client.read(AXIS)))
        peer["mv"].append(_many(repeats, lambda i: stock.engine(bps.mv(axis, i % 2))))
        peer["read"].append(_many(repeats, lambda _: stock.engine(bps.rd(axis))))
        for name, values in _while_scanning(undula, repeats).items():
            busy[name].append(values)
    return _rows("idle", idle, peer) + _rows("scan runs", busy, None)


def _while_scanning(undula: Undula, repeats: int) -> dict[str, list[float]]:
    client, begin = undula.client, time.monotonic()
    handle = client.submit("scan", INSTANT.axis, 0, 1, SCAN_POINTS, detectors=INSTANT.monitors)
    while client.queue.list().points_done == 0:
        time.sleep(0.005)
    found = {
        "mv": _many(repeats, lambda i: client.mv(AXIS, i % 2)),
        "read": _many(repeats, lambda _: client.read(AXIS)),
    }
    if client.queue.list().running is None:
        raise RuntimeError("the scan was over before the moves; make SCAN_POINTS greater")
    handle.cancel("measured enough")
    handle.wait(60.0, check=False)
    undula.ended(handle, begin, 0.0)
    return found


def _many(repeats: int, call: Callable[[int], Any]) -> list[float]:
    return [seconds(lambda i=i: call(i)) for i in range(repeats)]  # type: ignore[misc]  # mypy: default in a lambda


def _rows(
    case: str, ours: dict[str, list[list[float]]], peer: dict[str, list[list[float]]] | None
) -> list[Row]:
    rows: list[Row] = []
    for name, found in ours.items():
        for title, part in (("median", 0.5), ("p99", 0.99)):
            of_peer = None
            if peer is not None:
                of_peer = Spread.of(percentile(one, part) * MS for one in peer[name])
            values = Spread.of(percentile(one, part) * MS for one in found)
            rows.append(Row("moves", case, f"{name} {title}", "ms", values, of_peer))
    return rows
