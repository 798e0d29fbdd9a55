"""Commands that scan: `scan`, `plan` for any by name, and the plans with a command of their own.

In: words. Out: a live table and plot, or JSON lines. Checking is the engine's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from undula.cli import parsing
from undula.cli.output import (
    EXIT_HELP,
    FAILED,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.client import Accepted, Client, ScanHandle, Step, event_rows
from undula.core.errors import InputError
from undula.core.shown import duration_text
from undula.messages import QueueStatus
from undula.plans import FORMS, catalogue
from undula.plans.declared import DeclaredPlan
from undula.session.display import Display, TextDisplay, Views, result_dict, wants_colour
from undula.session.follow import follow
from undula.session.trajectory import drawn, limits_of, size_text

Words = Annotated[
    list[str] | None, typer.Argument(help="Arguments; negative numbers are written as they are.")
]
Time = Annotated[
    float | None, typer.Option("--time", help="Count time per point, s; 0: each detector's own.")
]
Detectors = Annotated[
    str | None,
    typer.Option("--detectors", help="Comma-separated. Default: all that are monitored."),
]
Snake = Annotated[bool, typer.Option("--snake", help="Run back on every other line of a grid.")]
Shutter = Annotated[
    str | None,
    typer.Option("--shutter", help="per_scan, per_point, closed, or none: leave shutters alone."),
]
Darks = Annotated[
    int | None, typer.Option("--darks", min=0, help="Dark points first, shutters closed.")
]
FitModel = Annotated[
    str | None,
    typer.Option("--fit", help="Fit while it runs, e.g. 'gaussian + linear'; none: not at all."),
]
Sample = Annotated[
    str | None, typer.Option("--sample", help="Mount it before, by the sample changer.")
]
Metadata = Annotated[
    list[str] | None,
    typer.Option("--metadata", help="KEY=VALUE for this run, e.g. sample=Fe2O3; may be repeated."),
]
Front = Annotated[bool, typer.Option("--front", help="Run it next, before all that wait.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and report, move nothing.")]
Show = Annotated[
    bool, typer.Option("--show", help="Draw where it would go, in the limits; move nothing.")
]
NoPlot = Annotated[bool, typer.Option("--no-plot", help="Table only.")]
Detach = Annotated[bool, typer.Option("--detach", help="Queue it and return at once.")]
Relative = Annotated[bool, typer.Option("--relative", help="Around the present position.")]

SNAKES = ("snake_axes", "snake", "snaked")
"""How plans call the option that runs back on every other line."""
SHOWING = ("--no-plot", "--detach", "--json", "--front")
"""Options that change nothing of what is measured."""

Parse = Callable[[Sequence[str]], tuple[list[Any], dict[str, Any]]]
SETTINGS = {"ignore_unknown_options": True}
"""Lets `-1` through as an argument; a word that is neither is refused by name."""


class JsonDisplay(Views):
    """One JSON line for everything that happens."""

    def step(self, step: Step, status: QueueStatus | None = None) -> None:  # noqa: ARG002  # protocol
        """Print runs and points as they come."""
        self.fold(step)
        if step.opened is not None:
            print_json({"event": "run_opened", **step.opened.model_dump()})
        document, view = step.document, self.view
        if document is None or view is None or document.name not in ("event", "event_page"):
            return
        if view.is_primary(document.doc):
            for row in event_rows(document.name, document.doc):
                print_json({"event": "point", "run": view.number, **row})

    def note(self, text: str) -> None:
        """A line for the person, apart from the data."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to do."""


def _dry_run(checked: Accepted, as_json: bool) -> None:
    if as_json:
        print_json(
            {name: getattr(checked, name) for name in Accepted.__dataclass_fields__}
            | {"dry_run": True}
        )
        return
    known = "unknown" if checked.num_points is None else str(checked.num_points)
    estimate = "unknown" if checked.estimate_s is None else duration_text(checked.estimate_s)
    size = "unknown" if checked.data_bytes is None else size_text(checked.data_bytes)
    print(f"{checked.command}\n  points     {known}\n  estimate   {estimate}")
    print(f"  data       {size}")
    print(f"  detectors  {', '.join(checked.detectors) or 'none'}\n  file       {checked.path}")
    for label, lines in (
        ("default", checked.defaults),
        ("hook", checked.hooks),
        ("warning", checked.warnings),
    ):
        for line in lines:
            print(f"  {label:<10} {line}")
    if checked.points:
        rows = [[n, *map(float, point)] for n, point in enumerate(checked.points, 1)]
        print(table(["point", *checked.axes], rows))
        if (more := (checked.num_points or 0) - len(rows)) > 0:
            print(f"... {more:,} more")
    print("nothing was moved")


def _show(client: Client, checked: Accepted) -> None:
    width = shutil.get_terminal_size().columns
    limits = limits_of(checked, client.devices.info)
    print("\n".join(drawn(checked, limits, width, colour=wants_colour(sys.stdout))))


def _detached(handle: ScanHandle, as_json: bool) -> None:
    if as_json:
        print_json(
            {"event": "accepted", "item_id": handle.item_id, "command": handle.accepted.command}
        )
    else:
        print(f"queued: {handle.accepted.command}\n  item {handle.item_id}")


def show_scan(client: Client, handle: ScanHandle, as_json: bool, plot: bool) -> int:
    """Follow a scan to its end on stdout; returns the exit code."""
    display: Display = JsonDisplay() if as_json else TextDisplay(plot=plot)
    for warning in handle.accepted.warnings:
        display.note(f"warning: {warning}")
    follow(client, handle, display)
    ended = handle.finished
    if as_json:
        print_json({"event": "finished", **result_dict(handle, display.views)})
    elif ended is not None and (ended.exit_status != "success" or ended.reason):
        print(f"{handle.accepted.command}: {ended.exit_status}, {ended.reason}")
    return 0 if ended is not None and ended.exit_status == "success" else FAILED


def follow_or_leave(
    client: Client, handle: ScanHandle, *, as_json: bool, no_plot: bool, detach: bool
) -> int:
    """Show a scan to its end, or only say that it is queued; returns the exit code."""
    if not detach:
        return show_scan(client, handle, as_json, plot=not no_plot)
    _detached(handle, as_json)
    return 0


def recorded_line(words: Sequence[str]) -> str:
    """The command for the record, without options that only say how it is shown.

    >>> recorded_line(["count", "3", "--no-plot", "--time", "0.1"])
    'undula count 3 --time 0.1'
    """
    return shlex.join(["undula", *(word for word in words if word not in SHOWING)])


def run_command(
    plan: str,
    args: list[Any],
    kwargs: dict[str, Any],
    *,
    beamline: str | None,
    as_json: bool,
    dry_run: bool = False,
    show: bool = False,
    no_plot: bool = False,
    detach: bool = False,
    **options: Any,
) -> None:
    """Check, queue and show one plan; exits with 1 when it did not succeed."""
    for name in options.keys() & kwargs.keys():  # `time=0.1` is `--time 0.1`
        given = kwargs.pop(name)
        options[name] = given if options[name] is None else options[name]
    options["darks"] = options.get("darks") or 0
    options["front"] = bool(options.get("front"))
    with connected(beamline) as client:
        if show and not as_json:
            _show(client, client.check(plan, *args, **options, **kwargs))
            return
        if dry_run or show:
            _dry_run(client.check(plan, *args, **options, **kwargs), as_json)
            return
        handle = client.submit(
            plan, *args, command=recorded_line(sys.argv[1:]), **options, **kwargs
        )
        if detach:
            _detached(handle, as_json)
            return
        code = show_scan(client, handle, as_json, plot=not no_plot)
    if code:
        raise typer.Exit(code)


@kind
def scan(
    words: Words = None,
    time: Time = None,
    detectors: Detectors = None,
    relative: Relative = False,
    shutter: Shutter = None,
    darks: Darks = None,
    fit: FitModel = None,
    sample: Sample = None,
    metadata: Metadata = None,
    front: Front = False,
    dry_run: DryRun = False,
    show: Show = False,
    no_plot: NoPlot = False,
    as_json: JsonOption = False,
    detach: Detach = False,
    beamline: BeamlineOption = None,
) -> None:
    """Scan axes in equal steps: AXIS START STOP [AXIS START STOP ...] NUM.

    Example: undula scan samx -1 1 21 --time 0.1 --detectors diode

    Example: undula scan samx -1 1 21 --sample S3 --front

    Example: undula scan samx -1 1 21 --metadata composition=Fe2O3 --metadata temperature_K=12.5
    """
    args, kwargs = parsing.line_arguments(words or [])
    run_command(
        "rel_scan" if relative else "scan", args, kwargs,
        time=time, detectors=parsing.names(detectors), shutter=shutter, darks=darks, fit=fit,
        sample=sample, metadata=parsing.metadata(metadata), front=front or None,
        dry_run=dry_run, show=show, no_plot=no_plot,
        as_json=as_json, detach=detach, beamline=beamline,
    )  # fmt: skip


def _named(name: str, words: list[str], snake: bool) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a plan, by the catalogue when it has it."""
    declared = FORMS.get(name)
    if declared is None:
        args, kwargs = parsing.arguments(words)
        return args, kwargs | ({"snake_axes": True} if snake else {})
    kinds = {a.name: a.kind for a in declared.arguments if a.kind != "axis"}
    args, kwargs = parsing.plan_arguments(words, kinds)
    if snake:
        word = next((w for w in SNAKES if w in kinds), None)
        if word is None:
            taking = [p.name for p in FORMS.values() if {*p.options} & {*SNAKES}]
            raise InputError(
                f"{name} has no lines to run back on",
                remedy=f"leave --snake out; these take it: {', '.join(sorted(taking))}",
            )
        kwargs[word] = True
    return args, kwargs


class PlanCommand(TyperCommand):
    """`undula plan NAME --help` shows the arguments of that plan."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help of the plan that is named, or parse as usual."""
        named = [word for word in args if word in FORMS][:1]
        if named and "--help" in args:
            typer.echo(command_help(FORMS[named[0]]))
            ctx.exit()
        if "--help" in args and args[0] != "--help" and _own_help(args):
            ctx.exit()
        return super().parse_args(ctx, args)


def _own_help(args: list[str]) -> bool:
    """Show the arguments of a plan of the beamline's own; False when there is none of that name."""
    from undula.cli.plans import show_own
    from undula.core.errors import UndulaError

    place = args.index("--beamline") + 1 if "--beamline" in args else len(args)
    beamline = args[place] if place < len(args) else os.environ.get("UNDULA_BEAMLINE")
    try:
        show_own(args[0], beamline)
    except UndulaError:  # it does not run, or has no such plan: the general help will do
        return False
    return True


def command_help(plan: DeclaredPlan) -> str:
    """How a plan is called from the command line.

    >>> print(command_help(FORMS["ct"]).splitlines()[0])
    undula ct [TIME] [DETECTOR ...]
    """
    words = ["undula", plan.command or f"plan {plan.name}", *plan.usage.split()[1:]]
    lines = [line for line in catalogue.help_text(plan).splitlines() if "Example: " not in line]
    lines += [f"Example: {catalogue.typed(plan)}", ""]
    lines += ["Arguments with a name may be written --name value, or name=value at the end."]
    return "\n".join([" ".join(words), "", *lines])


def _command(plan: str | None, text: str) -> Callable[..., None]:
    """A command for `plan`; None: the first word names it."""

    @kind
    def command(
        words: Words = None,
        time: Time = None,
        detectors: Detectors = None,
        snake: Snake = False,
        shutter: Shutter = None,
        darks: Darks = None,
        fit: FitModel = None,
        sample: Sample = None,
        metadata: Metadata = None,
        front: Front = False,
        dry_run: DryRun = False,
        show: Show = False,
        no_plot: NoPlot = False,
        as_json: JsonOption = False,
        detach: Detach = False,
        beamline: BeamlineOption = None,
    ) -> None:
        given = list(words or [])
        if plan is None and not given:
            raise InputError("no plan was named", remedy="e.g. undula plan count 10; undula plans")
        name = plan or given.pop(0)
        args, kwargs = _named(name, given, snake)
        run_command(
            name, args, kwargs,
            time=time, detectors=parsing.names(detectors), shutter=shutter, darks=darks, fit=fit,
            sample=sample, metadata=parsing.metadata(metadata), front=front or None,
            dry_run=dry_run, show=show, no_plot=no_plot,
            as_json=as_json, detach=detach, beamline=beamline,
        )  # fmt: skip

    command.__doc__ = f"{text}\n\n{EXIT_HELP}"
    return command


def _short(plan: DeclaredPlan) -> str:
    """The text of a command of its own; its arguments keep their lines."""
    lines = catalogue.help_lines((*plan.first, *plan.repeated, *plan.arguments))
    usage = plan.usage.partition(" ")[2]
    about = " ".join(plan.about.split())
    return f"{about} Example: {catalogue.typed(plan)}\n\n\b\nWords: {usage}\n" + "\n".join(lines)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("scan", context_settings=SETTINGS, epilog=EXIT_HELP)(scan)
    any_plan = _command(
        None,
        "Any plan by name. Example: undula plan spiral samx samy 0 0 2 2 0.2 8. "
        "undula plans lists them; undula plan NAME --help says how one is called.",
    )
    app.command("plan", context_settings=SETTINGS, cls=PlanCommand)(any_plan)
    for plan in FORMS.values():
        if plan.command and plan.command != "scan":
            command = _command(plan.name, _short(plan))
            app.command(plan.command, context_settings=SETTINGS)(command)
