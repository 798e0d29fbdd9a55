"""Commands of the history: `undula runs [list|show N|data N|plot N|rebuild N]`."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from undula.cli import run_data, run_notes, run_shown
from undula.cli.output import (
    EXIT_HELP,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.cli.run_shown import when
from undula.client import Runs
from undula.core.errors import InputError, ServiceError
from undula.core.paths import beamline_paths, default_beamline

Number = Annotated[int, typer.Argument(help="Run number; -1 is the newest.")]
Text = Annotated[str | None, typer.Option("--text", help="In command, metadata, comments ...")]
Device = Annotated[str | None, typer.Option("--device", help="Read or moved by the run.")]
Plan = Annotated[str | None, typer.Option("--plan", help="Plan name.")]
Since = Annotated[
    str | None, typer.Option("--since", help="2026-03-01, or 12h, 3d: so long ago until now.")
]
Status = Annotated[str | None, typer.Option("--status", help="open, success, abort or fail.")]
Group = Annotated[str | None, typer.Option("--group", help="Name or uid of a scan group.")]
Tag = Annotated[str | None, typer.Option("--tag", help="A tag it was given.")]
Sample = Annotated[str | None, typer.Option("--sample", help="Name of the sample.")]
Proposal = Annotated[str | None, typer.Option("--proposal", help="Name of the proposal.")]
User = Annotated[str | None, typer.Option("--user", help="Who asked for it.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="A key of the metadata, e.g. 'temperature_K>4'; repeatable."),
]
Limit = Annotated[int, typer.Option("--limit", help="At most so many, newest first.", min=1)]

NoPlot = Annotated[bool, typer.Option("--no-plot", help="Table only.")]
Detach = Annotated[bool, typer.Option("--detach", help="Queue it and return at once.")]

_AGO = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
_NUMBER = re.compile(r"-?\d+")
_AGO_S = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
STATUSES = ("open", "success", "abort", "fail")
SETTINGS = {"ignore_unknown_options": True}


def since_time(text: str, now: float) -> float:
    """A date or a span ago as UTC epoch seconds; a date without a zone is local.

    >>> since_time("2h", 10_000.0)
    2800.0
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - float(ago[1]) * _AGO_S[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as exc:
        raise InputError(
            f"{text!r} is no date", remedy="write 2026-03-01, 2026-03-01T12:00, 12h or 3d"
        ) from exc


def _runs(beamline: str | None) -> Runs:
    paths = beamline_paths(beamline or default_beamline())
    if not paths.catalogue.exists():
        raise ServiceError(f"beamline {paths.name!r} has no history", remedy="start it: undula up")
    return Runs(paths.catalogue)


def _list(beamline: str | None, as_json: bool, **filters: Any) -> None:
    if filters.get("status") not in (None, *STATUSES):
        raise InputError(
            f"{filters['status']!r} is no status", remedy=f"choose one of {', '.join(STATUSES)}"
        )
    if filters.get("since") is not None:
        filters["since"] = since_time(filters["since"], time.time())
    paths = beamline_paths(beamline or default_beamline())
    if not paths.catalogue.exists():
        print_json([]) if as_json else print(
            f"no runs yet: beamline {paths.name!r} has no history. Start it with undula up"
        )
        return
    found = Runs(paths.catalogue).search(**filters)
    if as_json:
        print_json([run.record.model_dump(mode="json") for run in found])
        return
    rows = [
        [run.number, when(run.record.start_time), run.status, run.record.points,
         run.record.command, ", ".join(run.tags)]
        for run in found
    ]  # fmt: skip
    names = ["run", "started", "status", "points", "command", "tags"]
    if not any(row[-1] for row in rows):
        names, rows = names[:-1], [row[:-1] for row in rows]
    print(table(names, rows) if rows else found.hint or "no runs")


@kind
def list_runs(
    text: Text = None,
    device: Device = None,
    plan: Plan = None,
    since: Since = None,
    status: Status = None,
    group: Group = None,
    tag: Tag = None,
    sample: Sample = None,
    proposal: Proposal = None,
    user: User = None,
    where: Where = None,
    limit: Limit = 20,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """List runs, newest first. Example: undula runs list --tag good --where 'energy>7'"""
    _list(
        beamline, as_json,
        text=text, device=device, plan=plan, since=since, status=status, limit=limit,
        group=group, tag=tag, sample=sample, proposal=proposal, user=user, where=where,
    )  # fmt: skip


@kind
def rebuild(number: Number, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Make a run's file anew from its archived journal. Example: undula runs rebuild 12"""
    from undula.core.settings import load_settings
    from undula.writer.follower import protect
    from undula.writer.rebuild import rebuild as make_anew

    run = _runs(beamline)[number]
    archive = Path(run.record.archive_path or f"{run.record.path}.docs")
    if not archive.exists():
        raise InputError(
            f"run {run.number} has no archive {archive}",
            remedy="a run that is open has its journal in the broker; wait for its end",
        )
    path = make_anew(archive, run.path)
    protect(path, load_settings(beamline_paths(beamline or default_beamline()).config))
    if as_json:
        print_json({"number": run.number, "path": str(path)})
    else:
        print(f"run {run.number}: {path}")


def _measure(
    number: int, how: str, beamline: str | None, *, as_json: bool, no_plot: bool, detach: bool
) -> None:
    from undula.cli.scans import follow_or_leave

    with connected(beamline) as client:
        handle = getattr(client.runs[number], how)()
        code = follow_or_leave(client, handle, as_json=as_json, no_plot=no_plot, detach=detach)
    if code:
        raise typer.Exit(code)


def _measures(how: str, text: str) -> Any:
    @kind
    def command(
        number: Number,
        no_plot: NoPlot = False,
        detach: Detach = False,
        as_json: JsonOption = False,
        beamline: BeamlineOption = None,
    ) -> None:
        _measure(number, how, beamline, as_json=as_json, no_plot=no_plot, detach=detach)

    command.__doc__ = text
    return command


continue_run = _measures(
    "continued", "Go on from the next missing point, in a new run. Example: undula runs continue 12"
)
repeat = _measures("repeat", "Measure a run again as it was. Example: undula runs repeat 12")


@kind
def diff(
    first: Number,
    second: Annotated[int, typer.Argument(help="Number of the other run.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Why two runs differ. Example: undula runs diff 12 15"""
    from dataclasses import asdict

    runs = _runs(beamline)
    a, b = runs[first], runs[second]
    found = a.diff(b)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        print(found)


class NumberGroup(TyperGroup):
    """`undula runs 3` is `undula runs show 3`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `show` before the first word when that is a number."""
        if args and _NUMBER.fullmatch(args[0]):  # behind an option it is that option's value
            args = ["show", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=NumberGroup,
        help="The history of runs; undula runs 3 shows run 3.",
        invoke_without_command=True,
    )

    @group.callback()
    @kind
    def default(
        context: typer.Context,
        text: Text = None,
        device: Device = None,
        plan: Plan = None,
        since: Since = None,
        status: Status = None,
        group_of: Group = None,
        tag: Tag = None,
        sample: Sample = None,
        proposal: Proposal = None,
        user: User = None,
        where: Where = None,
        limit: Limit = 20,
        as_json: JsonOption = False,
        beamline: BeamlineOption = None,
    ) -> None:
        if context.invoked_subcommand is None:
            _list(
                beamline, as_json,
                text=text, device=device, plan=plan, since=since, status=status, limit=limit,
                group=group_of, tag=tag, sample=sample, proposal=proposal, user=user, where=where,
            )  # fmt: skip

    group.command("list", epilog=EXIT_HELP)(list_runs)
    notes = (("comment", run_notes.comment), ("tag", run_notes.tag), ("schema", run_notes.schema))
    shown = (
        ("show", run_shown.show), ("data", run_shown.data), ("plot", run_shown.plot),
        ("rebuild", rebuild),
    )  # fmt: skip
    for name, command in (*shown, *notes):
        group.command(name, context_settings=SETTINGS, epilog=EXIT_HELP)(command)
    for name, again in (("continue", continue_run), ("repeat", repeat)):
        group.command(name, context_settings=SETTINGS, epilog=EXIT_HELP)(again)
    group.command("diff", context_settings=SETTINGS, epilog=EXIT_HELP)(diff)
    for name, carrying in (
        ("fit", run_data.fit), ("export", run_data.export), ("import", run_data.import_runs),
        ("tiled", run_data.tiled),
    ):  # fmt: skip
        group.command(name, context_settings=SETTINGS, epilog=EXIT_HELP)(carrying)
    app.add_typer(group, name="runs")
