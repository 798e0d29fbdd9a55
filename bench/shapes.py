"""Benchmark of scans of other shapes: ten monitors, and a grid over two axes.

In: both subjects. Out: microseconds per point of a scan of 1000 points, its fixed cost included,
against the same plan on a stock RunEngine with nothing attached.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import bluesky.plans as bp

from bench.report import Row, Spread
from bench.subjects import INSTANT, SYNC, Case, Stock, Undula

US = 1e6
MANY = 10
ROWS, COLUMNS = 25, 40


@dataclass(frozen=True, slots=True)
class Shape:
    """One scan, as each of the two is asked for it; both return the seconds it took."""

    title: str
    points: int
    ours: Callable[[Undula], float]
    peer: Callable[[Stock], float]


def _many_monitors(case: Case, points: int) -> Shape:
    monitors = [f"{case.prefix}_m{i}" for i in range(1, MANY + 1)]

    def ours(undula: Undula) -> float:
        begin = time.monotonic()
        handle = undula.client.scan(case.axis, 0, 1, points, detectors=monitors)
        return undula.ended(handle, begin, time.monotonic() - begin).all_s

    def peer(stock: Stock) -> float:
        devices = [stock.devices[name] for name in monitors]
        begin = time.perf_counter()
        stock.engine(bp.scan(devices, stock.devices[case.axis], 0, 1, points))
        return time.perf_counter() - begin

    return Shape(f"{MANY} monitors, {case.title}", points, ours, peer)


def _grid(case: Case, rows: int, columns: int) -> Shape:
    def ours(undula: Undula) -> float:
        begin = time.monotonic()
        handle = undula.client.grid_scan(
            f"{case.prefix}_slow", 0, 1, rows, case.axis, 0, 1, columns, detectors=case.monitors
        )
        return undula.ended(handle, begin, time.monotonic() - begin).all_s

    def peer(stock: Stock) -> float:
        devices = [stock.devices[name] for name in case.monitors]
        slow, fast = stock.devices[f"{case.prefix}_slow"], stock.devices[case.axis]
        begin = time.perf_counter()
        stock.engine(bp.grid_scan(devices, slow, 0, 1, rows, fast, 0, 1, columns))
        return time.perf_counter() - begin

    return Shape(f"grid {rows} x {columns}, {case.title}", rows * columns, ours, peer)


def shapes(undula: Undula, stock: Stock, rounds: int, quick: bool) -> list[Row]:
    """Ten monitors and a grid, for synchronous devices and for instant ones in blocks."""
    rows: list[Row] = []
    points, height = (200, 5) if quick else (1000, ROWS)
    for case in (SYNC, INSTANT):
        for shape in (_many_monitors(case, points), _grid(case, height, COLUMNS)):
            shape.ours(undula)  # warm
            shape.peer(stock)
            pairs = [_round(shape, undula, stock, number % 2 == 1) for number in range(rounds)]
            ours, peer = (
                Spread.of(s / shape.points * US for s in side) for side in zip(*pairs, strict=True)
            )
            rows.append(Row("shapes", shape.title, "per point", "us", ours, peer))
    return rows


def _round(shape: Shape, undula: Undula, stock: Stock, peer_first: bool) -> tuple[float, float]:
    if peer_first:
        peer = shape.peer(stock)
        return shape.ours(undula), peer
    return shape.ours(undula), shape.peer(stock)
