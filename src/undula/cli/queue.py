"""Commands of the scan queue: look, pause, resume, skip, retake, complete, abort, remove, clear."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from undula.cli.output import (
    EXIT_HELP,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
)
from undula.client import QueueView, queue_text
from undula.core.errors import InputError
from undula.messages import QueueStatus


def _show(status: QueueStatus, as_json: bool) -> None:
    if as_json:
        print_json(status)
    else:
        print(queue_text(status))


def full_id(queue: QueueView, beginning: str) -> str:
    """The item whose id begins so. Raises: InputError when none or several do."""
    found = [item.item_id for item in queue.list().waiting if item.item_id.startswith(beginning)]
    if not found:
        raise InputError(
            f"no waiting scan has an id that begins with {beginning!r}",
            remedy="take the id from undula queue list",
        )
    if len(found) > 1:
        raise InputError(
            f"the ids of {len(found)} waiting scans begin with {beginning!r}",
            remedy="give more of the id, from undula queue list",
        )
    return found[0]


def _act(action: str, as_json: bool, beamline: str | None, **fields: Any) -> None:
    with connected(beamline) as client:
        if "item_id" in fields:
            fields = {"item": full_id(client.queue, fields["item_id"])}
        _show(getattr(client.queue, action)(**fields), as_json)


def _simple(action: str, text: str) -> Any:
    @kind
    def command(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
        _act(action, as_json, beamline)

    command.__doc__ = text
    return command


@kind
def retake(
    point: Annotated[
        int | None, typer.Argument(help="Number of the point, from 1; else the last one.", min=1)
    ] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Take a point again and go on; both are kept. Example: undula queue retake 12"""
    _act("retake", as_json, beamline, point=point)


@kind
def stop_all(
    reason: Annotated[str, typer.Option("--reason", help="Kept in the run.")] = "",
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """End the running scan, with clean-up, and take out all that waits."""
    _act("stop_all", as_json, beamline, reason=reason)


@kind
def abort(
    reason: Annotated[str, typer.Option("--reason", help="Kept in the run.")] = "",
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """End the running scan, with clean-up; the file keeps what was measured."""
    _act("abort", as_json, beamline, reason=reason)


@kind
def remove(
    item_id: Annotated[str, typer.Argument(help="Id of a waiting scan, or its beginning.")],
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Take a waiting scan out. Example: undula queue remove 3f2a"""
    _act("remove", as_json, beamline, item_id=item_id)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Look at the scan queue and steer it.", invoke_without_command=True)

    @group.callback()
    @kind
    def default(
        context: typer.Context, as_json: JsonOption = False, beamline: BeamlineOption = None
    ) -> None:
        if context.invoked_subcommand is None:
            _act("list", as_json, beamline)

    for name, action, text in (
        ("list", "list", "What runs and what waits."),
        ("pause", "pause", "Pause now: motion stops, the point is taken again on resume."),
        ("pause-at-point", "pause_at_point", "Pause at the next point."),
        ("resume", "resume", "Go on."),
        ("skip", "skip", "Leave out the point under way and go on. Example: undula queue skip"),
        ("complete", "complete", "End the running scan early, as good, after its present point."),
        ("clear", "clear", "Take all waiting scans out."),
    ):
        group.command(name, epilog=EXIT_HELP)(_simple(action, text))
    group.command("retake", epilog=EXIT_HELP)(retake)
    group.command("abort", epilog=EXIT_HELP)(abort)
    group.command("stop-all", epilog=EXIT_HELP)(stop_all)
    group.command("remove", epilog=EXIT_HELP)(remove)
    app.add_typer(group, name="queue")
