"""Benchmarks of scans: time per point and fixed cost, CPU per stage, latency of the live client."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import bluesky.plans as bp

from bench.report import Row, Spread, percentile
from bench.subjects import ANY, INSTANT, SLOW, SYNC, Case, Stock, Undula

US = 1e6
MS = 1e3
COMMANDS = ("xadd", "xread", "waitaof", "set", "publish")
"""Commands that are also counted alone."""


def _fit(points: tuple[int, int], short_s: float, long_s: float) -> tuple[float, float]:
    """Seconds per point and fixed seconds: the straight line through two scans."""
    few, many = points
    per_point = (long_s - short_s) / (many - few)
    return per_point, short_s - few * per_point


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


@dataclass(slots=True)
class _Found:
    """Of each round: (per point, fixed) in seconds; and how long files took after the end."""

    ours: list[tuple[float, float]] = field(default_factory=list)
    waited: list[tuple[float, float]] = field(default_factory=list)
    peer: list[tuple[float, float]] = field(default_factory=list)
    files: list[float] = field(default_factory=list)


def step(undula: Undula, stock: Stock, rounds: int, quick: bool) -> list[Row]:
    """Per point and fixed, of 1 axis and 2 monitors, against `bp.scan` with nothing attached."""
    rows: list[Row] = []
    for case in (SYNC, ANY, INSTANT, *SLOW):
        ours_n, peer_n = _lengths(case, quick)
        found = _Found()
        undula.scan(case, ours_n[0])  # warm
        stock.scan_s(case, peer_n[0])
        for number in range(rounds):
            if number % 2:
                _peer_round(stock, case, peer_n, found)
            _our_round(undula, case, ours_n, found)
            if not number % 2:
                _peer_round(stock, case, peer_n, found)
        rows += _step_rows(case, found)
    return rows


def _our_round(undula: Undula, case: Case, points: tuple[int, int], found: _Found) -> None:
    short, long = (undula.scan(case, number) for number in points)
    found.ours.append(_fit(points, short.all_s, long.all_s))
    found.waited.append(_fit(points, short.waited_s, long.waited_s))
    found.files += [short.file_s - short.all_s, long.file_s - long.all_s]


def _peer_round(stock: Stock, case: Case, points: tuple[int, int], found: _Found) -> None:
    short, long = (stock.scan_s(case, number) for number in points)
    found.peer.append(_fit(points, short, long))


def _step_rows(case: Case, found: _Found) -> list[Row]:
    def spread(
        fits: list[tuple[float, float]], index: int, factor: float, less: float = 0
    ) -> Spread:
        return Spread.of((fit[index] - less) * factor for fit in fits)

    def row(quantity: str, unit: str, ours: Spread, peer: Spread | None = None) -> Row:
        return Row("step", case.title, quantity, unit, ours, peer)

    rows = [
        row("per point", "us", spread(found.ours, 0, US), spread(found.peer, 0, US)),
        row("per point until wait", "us", spread(found.waited, 0, US)),
    ]
    if case.device_s:  # set, then trigger: the devices take twice their time
        less = 2 * case.device_s
        both = spread(found.ours, 0, US, less), spread(found.peer, 0, US, less)
        rows.append(row("beyond the devices", "us", *both))
    rows.append(row("fixed", "ms", spread(found.ours, 1, MS), spread(found.peer, 1, MS)))
    rows.append(row("file after end", "ms", Spread.of(f * MS for f in found.files)))
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
    calls = {name: number - commands.get(name, 0) for name, number in _calls(undula).items()}
    found["broker commands"] = sum(calls.values())
    for name in COMMANDS:
        found[f"broker {name}"] = calls.get(name, 0)
    for key, name in (
        ("total_net_input_bytes", "broker bytes in"),
        ("total_net_output_bytes", "broker bytes out"),
    ):
        found[name] = float(traffic_after[key]) - float(traffic[key])
    return {name: value / points for name, value in found.items()}


def _calls(undula: Undula) -> dict[str, int]:
    """Commands that the broker has carried out so far, without our own INFO."""
    return {
        name.removeprefix("cmdstat_"): int(text.split(",")[0].removeprefix("calls="))
        for name, text in undula.info("commandstats").items()
        if name.startswith("cmdstat_") and name != "cmdstat_info"
    }


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
