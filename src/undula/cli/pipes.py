"""`undula pipes list|show|check|run|rehearse|top`: graphs for frames.

In: arguments, graph files. Out: text, JSON, SVG. A graph runs as long as its command does; what it
says of itself is kept in a file of the run folder, where `top` finds it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undula.cli.output import (
    EXIT_HELP,
    FAILED,
    BeamlineOption,
    JsonOption,
    kind,
    print_json,
    table,
)
from undula.core.errors import InputError, StorageError
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.core.suggest import near

if TYPE_CHECKING:
    from undula.pipes.frame import Frame
    from undula.pipes.graph import Graph
    from undula.pipes.nodes.user_nodes import NodeFolder
    from undula.pipes.runner import GraphStatus, Outcome, Runner

GraphFile = Annotated[Path, typer.Argument(help="A graph: YAML or JSON.")]
Nodes = Annotated[
    Path | None, typer.Option("--nodes", help="Folder of nodes; default: the beamline's.")
]
Place = Annotated[
    list[str] | None,
    typer.Option("--place", help="NODE=HOST: run this node there; here: on this host."),
]
SHOW_S = 0.5


def beamline_of(beamline: str | None) -> BeamlinePaths:
    """The folders of a beamline, by default the usual one."""
    return beamline_paths(beamline or default_beamline())


def node_types(nodes: Path | None, beamline: str | None) -> NodeFolder:
    """Shipped nodes and the beamline's own, as they are read now."""
    from undula.pipes.nodes.user_nodes import NodeFolder

    if nodes is not None and not nodes.is_dir():
        raise InputError(f"there is no folder {nodes}", remedy="name the folder of your nodes")
    folder = nodes or beamline_of(beamline).nodes
    found = NodeFolder(folder if folder.is_dir() else None)
    for fault in found.faults.values():
        print(f"faulty: {fault}", file=sys.stderr)
    return found


def load(file: Path, types: NodeFolder, place: list[str] | None = None) -> Graph:
    """A graph from a file, checked. Raises: GraphError; InputError for a `place` that is none."""
    from undula.pipes.graph import whole_graph
    from undula.pipes.graph.place import read_places

    return whole_graph(file, types, place=read_places(place or ()))


def spill_folder(asked: Path | None, paths: BeamlinePaths) -> Path | None:
    """Where frames wait on disk: as asked, else beside the beamline's data if it has any."""
    if asked is not None or not paths.config.is_file():
        return asked
    from undula.core.settings import load_settings

    return load_settings(paths.config).data


@kind
def list_nodes(
    nodes: Nodes = None, as_json: JsonOption = False, beamline: BeamlineOption = None
) -> None:
    """List the nodes that a graph may have, shipped and the beamline's own.

    Example: undula pipes list
    """
    types = node_types(nodes, beamline)
    rows = []
    for name in types:
        cls = types[name]
        rows.append([
            name, " ".join(port.name for port in cls.inputs),
            " ".join(port.name for port in cls.outputs), types.place(name),
            cls.help().partition("\n")[0],
        ])  # fmt: skip
    if as_json:
        keys = ("name", "inputs", "outputs", "place", "help")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print(table(["node", "inputs", "outputs", "from", "does"], rows))


@kind
def show(
    name: Annotated[str, typer.Argument(help="Name of a node, or a graph file.")],
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Draw the graph into this file.")
    ] = None,
    nodes: Nodes = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Show a node with its ports and parameters, a graph in a file, or one that runs.

    `undula pipes new live.yaml` writes a graph to begin with.

    Example: undula pipes show roi

    Example: undula pipes show live.yaml --svg live.svg
    """
    from undula.cli.pipes_top import running_now

    types = node_types(nodes, beamline)
    if name in types and not Path(name).is_file():
        _show_node(name, types, as_json)
        return
    if not Path(name).suffix and not Path(name).exists():
        _show_running(name, types, beamline, as_json)
        return
    graph = load(Path(name), types)
    if svg is not None:
        from undula.pipes.graph import svg as drawn

        svg.write_text(drawn(graph), encoding="utf-8")
    if as_json:
        print_json(graph.plain())
        return
    status = running_now(beamline).get(graph.name)
    pids = {} if status is None else {n: one.pid or "" for n, one in status.nodes.items()}
    rows = [[n, s.kind, s.process or n, pids.get(n, ""), s.host or "here", s.on_failure,
             _words(s.parameters)] for n, s in graph.nodes.items()]  # fmt: skip
    print(table(["node", "kind", "process", "pid", "host", "on failure", "parameters"], rows))
    print()
    print(table(["edge", "policy"], [[e.name, e.policy.text] for e in graph.edges]))


def _show_running(name: str, types: NodeFolder, beamline: str | None, as_json: bool) -> None:
    """A graph that runs, or that a device has whose first scan has yet to come."""
    from undula.cli.pipes_top import of_devices, running_now

    runs = running_now(beamline)
    if name in runs:
        if as_json:
            print_json(runs[name].plain())
        else:
            print(status_text(runs[name]))
        return
    others = of_devices(beamline)
    if name in others:
        if as_json:
            print_json({"name": name, "state": "not started"})
        else:
            print(f"{name}: not started, the next scan of it does that")
        return
    meant = near(name, [*types, *runs, *others])
    raise InputError(
        f"{name!r} is no node, no file, and no graph of this beamline",
        remedy=f"did you mean {meant}?" if meant else "see undula pipes list, undula pipes top",
    )


def _words(parameters: Any) -> str:
    from undula.pipes.wrong_values import as_written

    return ", ".join(f"{key}: {as_written(value)}" for key, value in parameters.items())


def _show_node(name: str, types: NodeFolder, as_json: bool) -> None:
    from undula.pipes.nodes.reference import values_text
    from undula.pipes.wrong_values import as_written

    cls = types[name]
    schema = cls.model().model_json_schema()
    if as_json:
        print_json({
            "name": name, "place": types.place(name), "help": cls.help(), "covers": cls.covers,
            "inputs": [{"name": p.name, "help": p.help} for p in cls.inputs],
            "outputs": [{"name": p.name, "help": p.help, "unit": p.unit} for p in cls.outputs],
            "parameters": schema,
        })  # fmt: skip
        return
    print(f"{name}, from {types.place(name)}\n\n{cls.help()}\n")
    ports = [["in", port.name, port.help] for port in cls.inputs]
    ports += [["out", port.name, port.help] for port in cls.outputs]
    print(table(["port", "name", "means"], ports))
    rows = [
        [key, values_text(field).replace("`", ""), as_written(field.get("default")),
         field.get("unit", ""), field.get("description", "")]
        for key, field in schema.get("properties", {}).items()
    ]  # fmt: skip
    if rows:
        print("\n" + table(["parameter", "values", "default", "unit", "means"], rows))
    for key, field in schema.get("properties", {}).items():
        if field.get("examples"):
            print(f"\n{key}: {as_written(field['examples'][0])}")


@kind
def check(
    file: GraphFile,
    place: Place = None,
    nodes: Nodes = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Check a graph: every fault with its line, its place and what to do; nothing is started.

    `undula pipes new live.yaml` writes a graph to begin with.

    Example: undula pipes check live.yaml
    """
    types = node_types(nodes, beamline)
    graph = load(file, types, place)
    if as_json:
        print_json({
            "name": graph.name, "nodes": len(graph.nodes), "edges": len(graph.edges),
            "notes": [*_not_known_yet(graph, types), *_not_here(graph, types)],
        })  # fmt: skip
    else:
        many = len(graph.processes())
        print(
            f"{graph.name}: {len(graph.nodes)} nodes in {many} process{'es' * (many > 1)}, "
            f"{len(graph.edges)} edges, no fault"
        )
        elsewhere = sorted({node.host for node in graph.nodes.values() if node.host})
        if elsewhere:
            print(
                f"it needs a placement that reaches {', '.join(elsewhere)}, which no command has: "
                "run it with --place NODE=here"
            )
        for line in (*_not_known_yet(graph, types), *_not_here(graph, types)):
            print(line)


def _not_here(graph: Graph, types: NodeFolder) -> list[str]:
    """Why it could not run on this host, which need not be the one that it is meant for."""
    from undula.pipes.runner.writing import check_places

    try:
        check_places(graph, types)
    except StorageError as error:
        return [f"it could not run on this host: {error}"]
    return []


def _not_known_yet(graph: Graph, types: NodeFolder) -> list[str]:
    """What will be compared with the first frame only."""
    from undula.pipes.graph.shapes import waiting_for_first

    sources, waiting = waiting_for_first(graph, types)
    if not waiting:
        return []
    said = [name for name in sources if "shape" in types[graph.nodes[name].kind].declared]
    whose = f"the frames of {', '.join(sources)}" if sources else "what comes to them"
    hint = f"; give shape: [y, x] to {', '.join(said)} to compare it now" if said else ""
    many = len(waiting) > 1
    return [f"the size of {whose} is not known before the first frame: {', '.join(waiting)} "
            f"{'are' if many else 'is'} compared with it then{hint}"]  # fmt: skip


def performed(
    graph: Graph, types: NodeFolder, paths: BeamlinePaths, duration_s: float | None, quiet: bool, *,
    heard: Callable[[str, Frame], object] | None = None,
    steps: Callable[[Runner, str], object] | None = None,
    watch: Callable[[Runner], object] | None = None,
    spill: Path | None = None,
    first: int = 1,
) -> Outcome:  # fmt: skip
    """Run a graph to its end, shown as it runs; Ctrl-C lets it end in order.

    `steps` triggers the source as it likes, and the graph ends behind it; `watch` is called now
    and then, and may stop it; `first` is the number of the first frame, of a record.
    """
    from undula.cli.pipes_top import on_the_bus, published
    from undula.pipes.asked_graph import AskedGraph
    from undula.pipes.disk_use import bytes_of_frames
    from undula.pipes.pictures import forget_pictures
    from undula.pipes.runner import Runner
    from undula.pipes.runner.writing import check_places, too_much

    check_places(graph, types)
    for warning in too_much(graph, bytes_of_frames(graph, types, duration_s)):
        print(warning, file=sys.stderr)
    shown_at = 0.0
    with (
        published(paths.pipes, graph.name) as publish,
        on_the_bus(paths.name, graph.name) as voice,
        Runner(graph, types, spill=spill_folder(spill, paths)) as runner,
    ):
        runner.heard = heard
        name = graph.name if voice is None else voice.name
        asked = AskedGraph(name, runner, types, paths.pipes)
        if voice is not None and steps is None:  # who steps it by hand is busy with that
            voice.listen(runner.wake)

        def look(status: GraphStatus) -> None:
            nonlocal shown_at
            if voice is not None:
                voice.answer(asked.do)
                voice.tell(runner)
            if time.monotonic() - shown_at < SHOW_S:
                return
            shown_at = time.monotonic()
            publish(status)
            if watch is not None:
                watch(runner)
            if not quiet:
                print(one_line(status), file=sys.stderr)

        try:
            return _ended(runner, types, duration_s, steps, look, first)
        finally:
            if voice is not None:
                voice.deafen()
                voice.tell(runner, at_once=True)
                forget_pictures(name, paths.pipes)


def _ended(
    runner: Runner, types: NodeFolder, duration_s: float | None,
    steps: Callable[[Runner, str], object] | None, look: Callable[[GraphStatus], object],
    first: int,
) -> Outcome:  # fmt: skip
    """Run it to its end; Ctrl-C, or the last step, stops its sources first."""
    try:
        if steps is None:
            return runner.run(duration_s, show=look, first=first)
        runner.begin(triggered=True, first=first)
        nodes = runner.graph.nodes
        (source,) = (n for n, s in nodes.items() if not types[s.kind].inputs)
        steps(runner, source)
    except KeyboardInterrupt:
        pass
    runner.stop()  # what is on its way is still worked on
    while not runner.over:
        runner.pump(None)
        look(runner.status)  # and whoever asks meanwhile is answered
    return runner.outcome()


def one_line(status: GraphStatus) -> str:
    """Every node with its rate, for a terminal's scrolling line."""
    parts = []
    for node in status.nodes.values():
        if not node.process:
            continue  # a channel: what comes to it is here
        part = f"{node.name} {node.rate_hz:.4g} Hz" if node.frames else f"{node.name} {node.state}"
        if node.blocked_by:
            part += " blocked by " + ", ".join(node.blocked_by)
        parts.append(part)
    if waits := status.waits_for():
        parts.append(f"all frames are made; waiting for {', '.join(waits)}")
    return "  ".join(parts)


@kind
def run(
    file: GraphFile,
    duration_s: Annotated[
        float | None, typer.Option("--for", help="Stop after so many seconds.", min=0.0)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the outcome.")] = False,
    place: Place = None,
    spill: Annotated[
        Path | None,
        typer.Option(
            "--spill", help="Folder for frames of spill(...) edges; default: that of the data."
        ),
    ] = None,
    nodes: Nodes = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Run a graph until its sources end, or Ctrl-C; then say where every frame went.

    Nodes run on this host. A graph that names others (host:) needs a placement that reaches them,
    which Python code gives (Runner(placement=...)); --place NODE=here runs one here all the same.

    `undula pipes new live.yaml` writes a graph to begin with.

    Example: undula pipes run live.yaml --for 5

    Example: undula pipes run live.yaml --place low=here --spill /var/tmp --for 5
    """
    types = node_types(nodes, beamline)
    graph = load(file, types, place)
    outcome = performed(
        graph, types, beamline_of(beamline), duration_s, quiet or as_json, spill=spill
    )
    if as_json:
        print_json(plain_outcome(outcome))
    else:
        tell_outcome(outcome)
    if not outcome.ok:
        raise typer.Exit(FAILED)


def tell_outcome(outcome: Outcome) -> None:
    """Tables, then the ledger; of a graph that failed why, and how far it came."""
    report = outcome.report
    print(status_text(outcome.status))
    if not outcome.failed:
        print(f"\n{report.text}")
        return
    many = f"{report.triggers} frame{'s' * (report.triggers != 1)}"
    print(f"\nit ended early, after {many}" if report.complete else f"\n{report.text}")
    print(f"failed: {outcome.failed}", file=sys.stderr)


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """For JSON."""
    report = outcome.report
    return {
        "complete": report.complete and not outcome.failed,
        "failed": outcome.failed,
        "triggers": report.triggers,
        "edges": {name: ledger.counts for name, ledger in report.edges.items()},
        "missing": [
            {"edge": m.edge, "frames": m.frames.intervals(), "place": m.place}
            for m in report.missing
        ],
        "unknown": [
            {"edge": m.edge, "frames": m.frames.intervals(), "place": m.place}
            for m in report.unknown
        ],
        "status": outcome.status.plain(),
    }


def status_text(status: GraphStatus) -> str:
    """Tables of nodes and edges."""
    from undula.client.pipes_text import EDGE_HEAD, NODE_HEAD, edge_cells, node_cells

    nodes = table(NODE_HEAD, [node_cells(node) for node in status.nodes.values()])
    return f"{nodes}\n\n{table(EDGE_HEAD, [edge_cells(e) for e in status.edges.values()])}"


@kind
def keys(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Show the key of this host for links to others (made when there is none), and whom it knows.

    Example: undula pipes keys
    """
    from undula.pipes.link.keys import load_keys

    found = load_keys(beamline_of(beamline).host_keys)
    if as_json:
        known = {name: key.decode() for name, key in found.known.items()}
        print_json({"key": found.public.decode(), "known": known})
        return
    rows = [["this host", found.public.decode()]]
    rows += [[name, key.decode()] for name, key in found.known.items()]
    print(table(["host", "key"], rows))


@kind
def trust(
    host: Annotated[str, typer.Argument(help="Name of the other host, as graphs have it.")],
    key: Annotated[str, typer.Argument(help="Its key, as `undula pipes keys` shows it there.")],
    beamline: BeamlineOption = None,
) -> None:
    """Know another host by its key from now on: it may take frames from here, and send them.

    Example: undula pipes trust farm 'KEY'
    """
    from undula.pipes.link import keys as links

    links.trust(beamline_of(beamline).host_keys, host, key)
    print(f"{host} is known")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    pipes = typer.Typer(
        help="Graphs for frames: new, check, run, rehearse, replay.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    pipes.command("list", epilog=EXIT_HELP)(list_nodes)
    from undula.cli.pipes_new import new
    from undula.cli.pipes_rehearse import rehearse
    from undula.cli.pipes_replay import replay
    from undula.cli.pipes_set import clear, set_parameter
    from undula.cli.pipes_top import top

    negative = {"ignore_unknown_options": True}  # `replay -1`, `set cam low.low -5`
    pipes.command("set", context_settings=negative, epilog=EXIT_HELP)(set_parameter)
    pipes.command(context_settings=negative, epilog=EXIT_HELP)(replay)
    for command in (new, keys, trust, show, check, run, rehearse, top, clear):
        pipes.command(epilog=EXIT_HELP)(command)
    app.add_typer(pipes, name="pipes")
