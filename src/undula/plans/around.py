"""Something done at places of any plan: around its staging, around its points; stock verbs.

In: a plan, and what is to be sent where. Out: the plan with it. What is sent in a place gets its
own answers, the plan those to its own messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bluesky.utils import Msg

from undula.plans.step import Messages
from undula.plans.verbs import MOVE, TRIGGER

Look = Callable[[Msg], Messages | None]
Place = Callable[[], Messages]


def around(plan: Messages, look: Look) -> Messages:
    """`plan`, where `look` puts others in the place of some messages.

    Args:
        look: called with each message. None: it is sent as it is. Messages: they are sent in its
            place, and what they return is the plan's answer; what they raise is raised there.
    """
    result: Any = None
    error: BaseException | None = None
    while True:
        try:
            msg = plan.send(result) if error is None else plan.throw(error)
        except StopIteration as stop:
            return stop.value
        result, error = None, None
        try:
            others = look(msg)
            result = (yield msg) if others is None else (yield from others)
        except GeneratorExit:
            plan.close()
            raise
        except BaseException as exc:  # also the RunEngine's abort: the plan cleans up
            error = exc


def staged(plan: Messages, before: Place, instead: Place | None, after: Place) -> Messages:
    """`plan` with messages before and after it stages its devices, or in place of that.

    Where a plan stages nothing, that place is just before its run opens.
    """
    state = "before"

    def begun() -> Messages:
        nonlocal state
        state = "staging"
        yield from before()
        if instead is not None:
            yield from instead()

    def stage(msg: Msg) -> Messages:
        if state == "before":
            yield from begun()
        return (yield msg) if instead is None else []

    def rest(msg: Msg) -> Messages:
        nonlocal state
        if state == "before":
            yield from begun()
        state = "after"
        yield from after()
        return (yield msg)

    def nothing() -> Messages:
        yield from ()
        return []

    def look(msg: Msg) -> Messages | None:
        if msg.command == "stage" and state != "after":
            return stage(msg)
        if msg.command == "unstage" and instead is not None:
            return nothing()
        if state == "staging" or (state == "before" and msg.command == "open_run"):
            return rest(msg)
        return None

    return around(plan, look)


def pointed(plan: Messages, before: Callable[[int], Messages], after: Place) -> Messages:
    """`plan` with messages before and after each of its points, as far as they can be told.

    A point ends where an event of `primary` is saved. It begins with the checkpoint before that,
    or, in a plan without checkpoints, where its event is created.
    """
    number, begun, opened, bundle, rewinds = 0, False, False, "", False

    def begin(msg: Msg) -> Messages:
        nonlocal begun
        begun = True
        if msg.command == "checkpoint":
            yield msg
            return (yield from before(number))
        yield from before(number)
        return (yield msg)

    def end(msg: Msg) -> Messages:
        nonlocal begun, number
        result = yield msg
        if rewinds:
            yield Msg("checkpoint")  # a pause in there repeats no point
        yield from after()
        begun, number = False, number + 1
        return result

    def look(msg: Msg) -> Messages | None:
        nonlocal opened, bundle, rewinds, begun, number
        if msg.command == "open_run":
            opened, begun, rewinds, number = True, False, False, 0
        elif msg.command == "close_run":
            opened = False
        elif msg.command == "checkpoint" and opened:
            rewinds = True
            return None if begun else begin(msg)
        elif msg.command == "create":
            bundle = str(msg.kwargs.get("name", ""))
            if bundle == "primary" and not begun:
                return begin(msg)
        elif msg.command == "save" and bundle == "primary":
            return end(msg)
        return None

    return around(plan, look)


def plain(plan: Messages) -> Messages:
    """`plan` in Bluesky's own verbs only, so that a preprocessor knows what it means."""
    count = 0

    def parts(msg: Msg) -> Messages:
        nonlocal count
        count += 1
        what, timeout_s, _ = msg.args
        group = f"{msg.command} {count}"
        for each in what:
            if msg.command == MOVE:
                axis, target = each
                yield Msg("set", axis, target, group=group)
            else:
                yield Msg("trigger", each, group=group)
        if what:
            yield Msg("wait", None, group=group, timeout=timeout_s)

    return around(plan, lambda msg: parts(msg) if msg.command in (MOVE, TRIGGER) else None)
