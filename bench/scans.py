"""Benchmarks of scans: time per point and fixed cost, CPU per stage, latency of the live client."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bluesky.plans as bp

from bench.report import Row, Spread, percentile
from bench.subjects import ANY, INSTANT, SLOW, SYNC, Case, Stock, Undula

US = 1e6
MS = 1e3


def _fit(points: tuple[int, int], cost_s: Callable[[int], float]) -> tuple[float, float]:
    """Seconds per point and fixed seconds: the straight line through two scans."""
    few, many = points
    short, long = cost_s(few), cost_s(many)
    per_point = (long - short) / (many - few)
    return per_point, short - few * per_point


def _lengths(case: Case, quick: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Points of the short and the long scan: of Undula, of the peer."""
    if case is INSTANT:
        return ((500, 5000), (100, 400)) if quick else ((1000, 10_000), (200, 1000))
    if not case.device_s:
        both = (100, 400) if quick else (200, 1000)
    else:
        many = {0.001: 250, 0.01: 50, 0.1: 8}[case.device_s]
        both = (many // 4, many // 2) if quick else (many // 4, many)
    return both, both


def step(undula: Undula, stock: Stock, rounds: int, quick: bool) -> list[Row]:
    """Per point and fixed, of 1 axis and 2 monitors, against `bp.scan` with nothing attached."""
    rows: list[Row] = []
    for case in (SYNC, ANY, INSTANT, *SLOW):
        ours_n, peer_n = _lengths(case, quick)
        undula.scan(case, ours_n[0])
        stock.scan_s(case, peer_n[0])
        ours: list[tuple[float, float]] = []
        peer: list[tuple[float, float]] = []
        files: list[float] = []

        def cost_s(n: int, case: Case = case, files: list[float] = files) -> float:
            timed = undula.scan(case, n)
            files.append(timed.file_s - timed.all_s)
            return timed.all_s

        def stock_s(n: int, case: Case = case) -> float:
            return stock.scan_s(case, n)

        for number in range(rounds):
            if number % 2:
                peer.append(_fit(peer_n, stock_s))
            ours.append(_fit(ours_n, cost_s))
            if not number % 2:
                peer.append(_fit(peer_n, stock_s))
        rows += _step_rows(case, ours, peer, files)
    return rows


def _step_rows(
    case: Case,
    ours: list[tuple[float, float]],
    peer: list[tuple[float, float]],
    files: list[float],
) -> list[Row]:
    def pair(index: int, factor: float, minus: float = 0.0) -> tuple[Spread, Spread]:
        return (
            Spread.of((o[index] - minus) * factor for o in ours),
            Spread.of((p[index] - minus) * factor for p in peer),
        )

    rows = [Row("step", case.title, "per point", "us", *pair(0, US))]
    if case.device_s:  # set, then trigger: the devices take twice their time
        rows.append(
            Row("step", case.title, "beyond the devices", "us", *pair(0, US, 2 * case.device_s))
        )
    rows.append(Row("step", case.title, "fixed", "ms", *pair(1, MS)))
    rows.append(Row("step", case.title, "file after end", "ms", Spread.of(f * MS for f in files)))
    return rows


def cpu(undula: Undula, stock: Stock, rounds: int, quick: bool) -> list[Row]:
    """CPU per point of each stage, and what the broker does, over one scan a round."""
    rows: list[Row] = []
    for case in (SYNC, ANY, INSTANT):
        points = (500 if quick else 2000) * (10 if case is INSTANT else 1)
        ours = [_stages(undula, case, points) for _ in range(rounds)]
        peer: list[float] = []
        for _ in range(rounds):
            begin = time.process_time()
            stock.scan_s(case, min(points, 2000))
            peer.append((time.process_time() - begin) / min(points, 2000) * US)
        for name in ours[0]:
            unit = "us" if name.startswith("CPU") else ("B" if "bytes" in name else "1")
            of_peer = Spread.of(peer) if name == "CPU engine" else None
            values = Spread.of(one[name] for one in ours)
            rows.append(Row("cpu", case.title, f"{name} per point", unit, values, of_peer))
    return rows


def _stages(undula: Undula, case: Case, points: int) -> dict[str, float]:
    cpu, own = undula.cpu_s(), time.process_time()
    commands, traffic = _calls(undula), undula.info("stats")
    timed = undula.scan(case, points)
    after, traffic_after = undula.cpu_s(), undula.info("stats")
    found = {f"CPU {name}": (after[name] - cpu[name]) * US for name in cpu}
    found["CPU client (waits)"] = (time.process_time() - own) * US
    found["CPU client (live)"] = timed.follower["cpu_s"] * US
    found["broker commands"] = _calls(undula) - commands
    for key, name in (
        ("total_net_input_bytes", "broker bytes in"),
        ("total_net_output_bytes", "broker bytes out"),
    ):
        found[name] = float(traffic_after[key]) - float(traffic[key])
    return {name: value / points for name, value in found.items()}


def _calls(undula: Undula) -> float:
    """Commands that the broker has carried out, without our own INFO."""
    total = 0
    for name, text in undula.info("commandstats").items():
        if name != "cmdstat_info":
            total += int(text.split(",")[0].removeprefix("calls="))
    return float(total)


def live(undula: Undula, stock: Stock, rounds: int, quick: bool) -> list[Row]:
    """Last device timestamp of a point to the live client; peer: a callback inside the process."""
    rows: list[Row] = []
    for case, full in ((SYNC, 1000), (ANY, 1000), (SLOW[1], 100), (INSTANT, 10_000)):
        points = full // 4 if quick else full
        ours: list[dict[str, Any]] = []
        peer: list[dict[str, float]] = []
        for _ in range(rounds):
            ours.append(undula.scan(case, points).follower)
            peer.append(_inside(stock, case, min(points, 1000)))
        for title, key in (("median", "median_s"), ("p99", "p99_s"), ("greatest", "max_s")):
            rows.append(
                Row(
                    "live", case.title, title, "ms",
                    Spread.of(one[key] * MS for one in ours),
                    Spread.of(one[key] * MS for one in peer),
                )
            )  # fmt: skip
    return rows


def _inside(stock: Stock, case: Case, points: int) -> dict[str, float]:
    found: list[float] = []

    def event(_: str, doc: dict[str, Any]) -> None:
        found.append(time.time() - max(doc["timestamps"].values()))

    monitors = [stock.devices[name] for name in case.monitors]
    stock.engine(bp.scan(monitors, stock.devices[case.axis], 0, 1, points), {"event": event})
    return {
        "median_s": percentile(found, 0.5), "p99_s": percentile(found, 0.99), "max_s": max(found),
    }  # fmt: skip
