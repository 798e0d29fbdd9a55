"""Commands of the scan queue: look, steer, edit, lock.

In: words; an item is its place or the beginning of its id. Out: the queue as it is afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from undula.cli import parsing, queue_files
from undula.cli.output import (
    EXIT_HELP,
    BeamlineOption,
    JsonOption,
    connected,
    kind,
    print_json,
    table,
)
from undula.cli.queue_seen import seen_queue
from undula.client import QueueView, queue_text
from undula.core.errors import InputError
from undula.core.shown import counted
from undula.messages import QueueItem, QueueStatus

Item = Annotated[str, typer.Argument(help="A waiting scan: its place, or the beginning of its id.")]
Words = Annotated[list[str] | None, typer.Argument(help="Arguments, as `undula plan` has them.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; shown to everybody.")]
Before = Annotated[str | None, typer.Option("--before", help="An item.")]
After = Annotated[str | None, typer.Option("--after", help="An item.")]
SETTINGS = {"ignore_unknown_options": True}

Act = Callable[[QueueView], QueueStatus]


def _act(act: Act, as_json: bool, beamline: str | None) -> None:
    with seen_queue(beamline) as seen:
        status = act(seen.queue)
        seen.shown(status)
    if as_json:
        print_json(status)
    else:
        print(queue_text(status))


def _simple(act: Act, text: str) -> Any:
    @kind
    def command(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
        _act(act, as_json, beamline)

    command.__doc__ = text
    return command


def _of_item(act: Callable[[QueueView, str], QueueStatus], text: str) -> Any:
    @kind
    def command(item: Item, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
        _act(lambda queue: act(queue, item), as_json, beamline)

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
    _act(lambda queue: queue.retake(point), as_json, beamline)


@kind
def stop_all(
    reason: Annotated[str, typer.Option("--reason", help="Kept in the run.")] = "",
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """End the running scan, with clean-up, and take out all that waits.

    Example: undula queue stop-all --reason "the beam is gone"
    """
    _act(lambda queue: queue.stop_all(reason), as_json, beamline)


@kind
def abort(
    reason: Annotated[str, typer.Option("--reason", help="Kept in the run.")] = "",
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """End the running scan, with clean-up; the file keeps what was measured.

    Example: undula queue abort --reason "the wrong sample"
    """
    _act(lambda queue: queue.abort(reason), as_json, beamline)


@kind
def add(
    plan: Annotated[str, typer.Argument(help="Name of the plan.")],
    words: Words = None,
    time: Annotated[float | None, typer.Option("--time", help="Seconds per point.")] = None,
    detectors: Annotated[str | None, typer.Option("--detectors", help="Comma-separated.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="front, end or a place.")] = None,
    before: Before = None,
    after: After = None,
    repeats: Annotated[
        int, typer.Option("--repeat", min=0, help="So many times; 0: until stopped.")
    ] = 1,
    sample: Annotated[str, typer.Option("--sample", help="Mount it before.")] = "",
    hold: Annotated[str | None, typer.Option("--hold", help="Hold it; the reason.")] = None,
    approval: Annotated[
        bool, typer.Option("--approval", help="Wait until somebody approves it.")
    ] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Check a scan and queue it. Example: undula queue add scan samx -1 1 21 --repeat 3"""
    args, kwargs = parsing.arguments(words or [])
    with seen_queue(beamline) as seen:
        handle = seen.queue.add(
            plan, *args, time=time, detectors=parsing.names(detectors), at=at, before=before,
            after=after, repeats=repeats, sample=sample, hold=hold, approval=approval, **kwargs,
        )  # fmt: skip
        status = seen.queue.list()
        seen.added(status)
    if as_json:
        print_json({"item_id": handle.item_id, "status": status})
    else:
        places = [item.item_id for item in status.waiting]
        at = f", at place {places.index(handle.item_id) + 1}" if handle.item_id in places else ""
        print(f"queued: {handle.accepted.command}\n  item {handle.item_id}{at}")


@kind
def move(
    item: Item,
    place: Annotated[
        str | None, typer.Argument(help="up, down, front, end, or a place: 1 is the front.")
    ] = None,
    before: Before = None,
    after: After = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Give a waiting scan another place. Examples: undula queue move 3 up; move 3f2a --before 1"""
    if place is None and before is None and after is None:
        raise InputError("no place was named", remedy="e.g. undula queue move 3 up")
    _act(lambda queue: queue.move(item, place, before=before, after=after), as_json, beamline)


@kind
def edit(
    item: Item,
    words: Words = None,
    time: Annotated[float | None, typer.Option("--time", help="Seconds per point.")] = None,
    detectors: Annotated[str | None, typer.Option("--detectors", help="Comma-separated.")] = None,
    sample: Annotated[str | None, typer.Option("--sample", help="Mount it before.")] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Change what a waiting scan does; it is checked anew.

    Example: undula queue edit 2 samx -2 2 41 --time 0.5
    """
    args, kwargs = parsing.arguments(words or [])
    changes: dict[str, Any] = dict(kwargs)
    changes |= {} if time is None else {"time": time}
    changes |= {} if detectors is None else {"detectors": parsing.names(detectors)}
    changes |= {} if sample is None else {"sample": sample}
    if not args and not changes:
        raise InputError("nothing was changed", remedy="e.g. undula queue edit 2 --time 0.5")
    _act(lambda queue: queue.edit(item, *args, **changes), as_json, beamline)


@kind
def duplicate(
    item: Item,
    at: Annotated[str | None, typer.Option("--at", help="front, end or a place.")] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Add a copy of a waiting scan. Example: undula queue duplicate 2 --at front"""
    _act(lambda queue: queue.duplicate(item, at), as_json, beamline)


@kind
def repeat(
    item: Item,
    times: Annotated[int, typer.Argument(min=0, help="0: until it is stopped.")] = 0,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Run a waiting scan so many times. Example: undula queue repeat 2 5"""
    _act(lambda queue: queue.repeat(item, times), as_json, beamline)


@kind
def clear(
    yes: Annotated[
        bool, typer.Option("--yes", help="Also those of others, without a question.")
    ] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Take all waiting scans out. It asks when some of them are of others.

    What was taken out comes back by `undula queue put-back`. Example: undula queue clear
    """
    with seen_queue(beamline) as seen:
        status = seen.queue.list()
        of_others = [item for item in status.waiting if item.user != seen.user]
        if of_others and not yes:
            _ask_to_clear(of_others, len(status.waiting))
        status = seen.queue.clear()
        seen.shown(status)
    if as_json:
        print_json(status)
    else:
        print(queue_text(status))


def _ask_to_clear(of_others: list[QueueItem], waiting: int) -> None:
    """Raises: InputError when nobody can be asked, or the answer is no."""
    named = "; ".join(f"{item.command or item.plan} of {item.user}" for item in of_others[:NAMED])
    more = f"; and {len(of_others) - NAMED} more" if len(of_others) > NAMED else ""
    what = f"{len(of_others)} of the {counted(waiting, 'scan')} that wait are not yours: "
    what += named + more
    asked = sys.stdin.isatty() and sys.stdout.isatty()
    if not asked or not typer.confirm(f"{what}\nTake them out, too?"):
        raise InputError(
            what if not asked else "nothing was taken out",
            remedy="your own alone: undula queue remove ITEM; all: undula queue clear --yes",
        )


NAMED = 10
"""So many scans of others are named before they are taken out."""


@kind
def put_back(
    items: Annotated[
        list[str] | None,
        typer.Argument(help="Beginnings of ids, from `undula queue history`; none: the last."),
    ] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Queue again what was taken out; without an item, what was taken out last, together.

    It is checked as new scans are, stays its author's, and goes to the end.
    Example: undula queue put-back 3f2a
    """
    _act(lambda queue: queue.put_back(*(items or [])), as_json, beamline)


@kind
def hold(
    item: Item, reason: Reason = "", as_json: JsonOption = False, beamline: BeamlineOption = None
) -> None:
    """Keep a waiting scan from starting. Example: undula queue hold 2 --reason 'sample dries'"""
    _act(lambda queue: queue.hold(item, reason), as_json, beamline)


@kind
def lock(reason: Reason = "", as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Nothing starts until you, or staff, unlock it. Example: undula queue lock --reason align"""
    _act(lambda queue: queue.lock(reason), as_json, beamline)


@kind
def unlock(
    owner: Annotated[str, typer.Option("--owner", help="Lift the lock of somebody else.")] = "",
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Lift your lock; staff lift that of others. Example: undula queue unlock --owner anna"""
    _act(lambda queue: queue.unlock(owner), as_json, beamline)


@kind
def stop_after(
    off: Annotated[bool, typer.Option("--off", help="Go on after it, after all.")] = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Start nothing after the running scan, until: undula queue resume

    Example: undula queue stop-after
    """
    _act(lambda queue: queue.stop_after(off), as_json, beamline)


@kind
def show(item: Item, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """What a waiting scan measures, and who did what with it. Example: undula queue show 2"""
    with seen_queue(beamline) as seen:
        found = seen.queue.show(item)
    if as_json:
        print_json({"item": found.item, "scan": found.scan})
        return
    scan = found.scan.model_dump(exclude={"token", "deadline", "queue", "dry_run", "request_id"})
    for name, value in {**found.item.model_dump(), **scan}.items():
        if value not in (None, "", [], {}) and name != "revision":
            print(f"{name:<15} {_time(value) if name in TIMES else value}")


TIMES = ("submitted", "approved", "sent")
"""What is a time, UTC epoch s."""


def _time(stamp: Any) -> str:
    return datetime.fromtimestamp(float(stamp), UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@kind
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 20,
    before: Annotated[
        str,
        typer.Option(
            "--before", help="Further back: the id of the last one shown, a date, or 12h, 3d."
        ),
    ] = "",
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """What has ended: how, its runs, whose. Example: undula queue history --limit 5 --before 2h"""
    with connected(beamline) as client:
        found = client.queue.history(limit, _time_or_id(before))
    if as_json:
        print_json({"ended": list(found)})
    elif not found:
        print("nothing has ended before that" if before else "nothing has ended")
    else:
        print(table(["time", "ended as", "runs", "user", "scan", "reason", "id"], found.rows()))
    if len(found) == limit and not as_json:
        print(f"further back: undula queue history --before {found[-1].item.item_id}")


def _time_or_id(word: str) -> str | float:
    """A date or a span ago is a time; anything else the beginning of an id."""
    from undula.cli.runs import since_time

    ago = len(word) <= LONGEST_SPAN and word[-1:] in ("m", "h", "d", "w")
    if word[4:5] == "-" or (ago and not word[:-1].strip("0123456789.")):
        return since_time(word, datetime.now(UTC).timestamp())
    return word


LONGEST_SPAN = 5
"""Letters of a span, e.g. 12.5h; what is longer is an id."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Look at the scan queue, edit it, and steer it. Example: undula queue --json\n\n"
        "What was done is said first, or why nothing was: what holds already is no error.",
        invoke_without_command=True,
    )

    @group.callback()
    @kind
    def default(
        context: typer.Context, as_json: JsonOption = False, beamline: BeamlineOption = None
    ) -> None:
        if context.invoked_subcommand is None:
            _act(QueueView.list, as_json, beamline)

    simple: tuple[tuple[str, Act, str], ...] = (
        ("list", QueueView.list, "What runs, what waits, and how long it takes."),
        ("pause", QueueView.pause, "Pause now: motion stops, the point is taken again on resume."),
        ("pause-at-point", QueueView.pause_at_point, "Pause at the next point."),
        ("resume", QueueView.resume, "Go on, with a paused scan or with a queue that waits."),
        ("skip", QueueView.skip, "Leave out the point under way."),
        ("complete", QueueView.complete, "End the running scan early, as good, after its point."),
    )
    for name, act, text in simple:
        example = f"\n\nExample: undula queue {name}"
        group.command(name, epilog=EXIT_HELP)(_simple(act, text + example))
    for name, on_item, text in (
        ("remove", QueueView.remove, "Take a waiting scan out. Example: undula queue remove 3f2a"),
        ("release", QueueView.release, "Let a held scan start. Example: undula queue release 2"),
        ("approve", QueueView.approve, "Say that it may run. Example: undula queue approve 2"),
    ):
        group.command(name, epilog=EXIT_HELP)(_of_item(on_item, text))
    for name, command in (
        ("abort", abort), ("retake", retake), ("stop-all", stop_all), ("move", move),
        ("duplicate", duplicate), ("repeat", repeat),
        ("clear", clear), ("put-back", put_back), ("hold", hold),
        ("lock", lock), ("unlock", unlock), ("stop-after", stop_after),
        ("show", show), ("history", history),
    ):  # fmt: skip
        group.command(name, epilog=EXIT_HELP)(command)
    group.command("add", epilog=EXIT_HELP, context_settings=SETTINGS)(add)
    group.command("edit", epilog=EXIT_HELP, context_settings=SETTINGS)(edit)

    queue_files.register(group)
    app.add_typer(group, name="queue")
