"""`undula pipes top`: the graphs that run, of devices and of commands, again and again.

In: what they say on the bus; without a beamline that is up, the files of the run folder that
commands keep. Out: tables, JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import BeamlineOption, JsonOption, kind, print_json, table
from undula.core.errors import UndulaError
from undula.core.paths import beamline_paths, default_beamline
from undula.core.procs import ProcessId

if TYPE_CHECKING:
    from undula.client import Client
    from undula.client.graph_voice import GraphVoice
    from undula.messages import GraphTold
    from undula.pipes.runner import GraphStatus

SHOW_S = 0.5
MOST_SHOWN = 8
"""A value with more numbers is told by its shape."""


def client_of(beamline: str | None) -> Client | None:
    """A client of the beamline; None when it is not up."""
    from undula.client import connect

    try:
        return connect(beamline)
    except UndulaError:
        return None


@contextmanager
def on_the_bus(beamline: str, graph: str) -> Iterator[GraphVoice | None]:
    """The voice of a graph as long as a command runs it; None when the beamline is not up."""
    from undula.client.graph_voice import voice_of

    client = client_of(beamline)
    if client is None:
        yield None
        return
    with client:
        try:
            voice = voice_of(client, graph)
        except UndulaError as error:  # e.g. its engine is just starting
            print(f"not on the bus: {error}", file=sys.stderr)
            yield None
            return
        try:
            yield voice
        finally:
            voice.close()


def status_of(told: GraphTold) -> GraphStatus:
    """What the bus says of a graph, as a runner would have it."""
    from undula.pipes.runner.status import EdgeStatus, GraphStatus, NodeStatus

    found = GraphStatus(told.name, told.state)  # type: ignore[arg-type]  # a word of the same list
    for n in told.nodes:
        busy_s = n.frames / n.could_hz if n.could_hz else 0.0
        found.nodes[n.name] = NodeStatus(
            n.name, n.state, n.process, n.pid, frames=n.frames, failed=n.failed,  # type: ignore[arg-type]  # as above
            rate_hz=n.rate_hz, busy_s=busy_s, latency_s=n.latency_s, restarts=n.restarts,
            blocked_by=list(n.blocked_by), error=n.error,
        )  # fmt: skip
    for e in told.edges:
        found.edges[e.name] = EdgeStatus(
            e.name, e.policy, e.seen, e.passed, e.dropped, e.lost, e.failed, e.depth, e.rate_hz
        )
    return found


def values_of(told: GraphTold) -> dict[str, Any]:
    """What came to channels lately, by NODE.PORT; of long ones every n-th number."""
    channels = {node.name for node in told.nodes if node.kind == "channel"}
    ports = {e.name.partition(" -> ")[0] for e in told.edges
             if e.name.partition(" -> ")[2].partition(".")[0] in channels}  # fmt: skip
    return {i.port: i.data.tolist() for i in told.images if i.port in ports}


def value_text(value: Any) -> str:
    """What came to a channel, short: of a curve the first numbers, of an image its size."""
    if not isinstance(value, list):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if value and isinstance(value[0], list):
        return f"{len(value)} x {len(value[0])}"
    shown = ", ".join(value_text(item) for item in value[:MOST_SHOWN])
    return shown + (", ..." if len(value) > MOST_SHOWN else "")


@contextmanager
def published(folder: Path, name: str) -> Iterator[Any]:
    """Keep a status where `top` finds it, as long as this process lives."""
    folder.mkdir(parents=True, exist_ok=True)
    own = ProcessId.of(os.getpid())
    path = folder / f"{name}.{os.getpid()}.json"

    def publish(status: GraphStatus) -> None:
        content = {"pid": os.getpid(), "ticks": own.ticks if own else 0, "status": status.plain()}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(path)

    try:
        yield publish
    finally:
        path.unlink(missing_ok=True)


def running(folder: Path) -> list[GraphStatus]:
    """The graphs that commands run here now; what a dead command left is removed."""
    from undula.pipes.runner import GraphStatus

    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            alive = ProcessId(int(content["pid"]), int(content["ticks"])).alive
            status = GraphStatus.of(content["status"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it was replaced or removed just now
        if alive:
            found.append(status)
        else:
            path.unlink(missing_ok=True)
    return found


def _look(client: Client | None, folder: Path) -> list[tuple[GraphStatus, dict[str, Any], str]]:
    """Each graph with the values of its channels, and who runs it."""
    told = [] if client is None else client.pipes.running()
    found = [(status_of(one), values_of(one), one.by or "the device") for one in told]
    names = {status.name for status, _, _ in found}
    here = [status for status in running(folder) if status.name not in names]
    return found + [(status, {}, "a command, not on the bus") for status in here]


def running_now(beamline: str | None) -> dict[str, GraphStatus]:
    """The graphs that run at a beamline now, by name."""
    name = beamline or default_beamline()
    client = client_of(name)
    try:
        return {one.name: one for one, _, _ in _look(client, beamline_paths(name).pipes)}
    finally:
        if client is not None:
            client.close()


def of_devices(beamline: str | None) -> list[str]:
    """Devices that have a graph, of a beamline that is up."""
    client = client_of(beamline or default_beamline())
    if client is None:
        return []
    with client:
        return client.pipes.of_devices()


@kind
def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Show rates, queues, latencies and values of the graphs that run, until Ctrl-C.

    Graphs of detectors and those of `undula pipes run` anywhere at the beamline; without a beamline
    that is up, those of commands on this host.

    Example: undula pipes top
    """
    name = beamline or default_beamline()
    folder, client = beamline_paths(name).pipes, client_of(name)
    with suppress(KeyboardInterrupt):
        _show_again(client, folder, once, as_json)


def _show_again(client: Client | None, folder: Path, once: bool, as_json: bool) -> None:
    from undula.cli.pipes import status_text

    while True:
        found = _look(client, folder)
        if as_json:
            print_json([status.plain() | {"values": values, "by": by}
                        for status, values, by in found])  # fmt: skip
        else:
            clear = "\033[2J\033[H" if sys.stdout.isatty() and not once else ""
            texts = []
            for status, values, by in found:
                text = f"{status.name}: {status.state}, {by}\n{status_text(status)}"
                rows = [[port, value_text(value)] for port, value in values.items()]
                texts.append(text + ("\n\n" + table(["value", "now"], rows) if rows else ""))
            print(clear + ("\n\n".join(texts) or "no graph runs"), flush=True)
        if once or as_json:
            return
        time.sleep(SHOW_S)
