"""Messages of a plan, looked at one by one; plans that people wrote, made for the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky.utils import Msg

from undula.core.errors import BusyError, InputError, LimitError
from undula.devices.description import load_device_file
from undula.devices.registry import Registry
from undula.messages import PlanSource, SourcePart
from undula.scans.checked import Checks, checked
from undula.scans.try_plan import try_source
from undula.scans.user_plans import PlanFailedError, devices_named, load_plan

DEVICES = """
samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true,
       deviceConfig: {limits: [-5, 5]}}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true,
        softwareTrigger: false}
"""


@pytest.fixture
def devices(tmp_path: Path) -> Registry:
    (tmp_path / "devices.yaml").write_text(DEVICES)
    found = Registry(load_device_file(tmp_path / "devices.yaml"))
    found.connect()
    return found


def checks(devices: Registry, lease: Any = lambda _: None, pause: bool = False) -> Checks:
    return Checks(devices, ["samx", "diode"], lease=lease, to_pause=lambda: pause, strict=True)


def ran(plan: Iterator[Msg], before: Any) -> list[Msg]:
    """What is sent; the answer to each message is its command."""
    sent: list[Msg] = []
    plan = checked(plan, before)
    answer = None
    try:
        while True:
            sent.append(plan.send(answer))
            answer = sent[-1].command
            if answer == "check_first":
                try:
                    sent[-1].args[0]()
                except BusyError as error:
                    sent.append(plan.throw(error))
                    answer = sent[-1].command
    except StopIteration as stop:
        sent.append(Msg("returned", None, stop.value))
    return sent


def words(messages: Sequence[Msg]) -> list[str]:
    return [message.command for message in messages]


def test_a_move_beyond_the_limit_is_refused_inside_the_plan(devices: Registry) -> None:
    samx = devices["samx"].obj

    def plan() -> Iterator[Msg]:
        try:
            yield Msg("set", samx, 9)
        except LimitError as error:
            yield Msg("set", samx, 1)
            return error.device

    sent = ran(plan(), checks(devices))
    assert [(m.command, *m.args) for m in sent] == [("set", 1), ("returned", "samx")]


@pytest.mark.parametrize("verb", ["move_and_wait", "set_off"])
def test_a_verb_that_moves_several_axes_is_checked_for_each(devices: Registry, verb: str) -> None:
    samx, samy = devices["samx"].obj, devices["samy"].obj
    leased: list[str] = []

    def moved(target: float) -> Iterator[Msg]:
        if verb == "set_off":
            yield Msg(verb, None, samx, target)
        else:
            yield Msg(verb, None, [(samy, 1.0), (samx, target)], None, None)

    with pytest.raises(LimitError, match="9 mm is above the high limit 5 mm"):
        ran(moved(9.0), checks(devices, leased.extend))
    assert words(ran(moved(4.0), checks(devices, leased.extend)))[-2:] == [verb, "returned"]
    assert leased == [] if verb == "set_off" else set(leased) == {"samy"}


def test_a_verb_that_triggers_leases_what_it_triggers(devices: Registry) -> None:
    leased: list[str] = []

    def plan() -> Iterator[Msg]:
        yield Msg("trigger_and_wait", None, [devices["samy"].obj], None, None)

    sent = ran(plan(), checks(devices, leased.extend))
    assert (words(sent)[-2], leased) == ("trigger_and_wait", ["samy"])


def test_each_message_gets_its_own_answer(devices: Registry) -> None:
    def plan() -> Iterator[Msg]:
        first = yield Msg("checkpoint")
        second = yield Msg("trigger", devices["diode"].obj)
        return [first, second]

    sent = ran(plan(), checks(devices, pause=True))
    assert words(sent) == ["checkpoint", "pause", "null", "returned"]
    assert sent[-1].args == (["checkpoint", "null"],)


def test_who_has_paused_at_a_checkpoint_already_is_not_paused_again(devices: Registry) -> None:
    wanted = [True]
    before = Checks(devices, [], lease=lambda _: None, to_pause=lambda: wanted[0])
    plan = checked(iter_of(Msg("checkpoint"), Msg("null")), before)
    assert next(plan).command == "checkpoint"
    wanted[0] = False  # the pause came from outside just now, and somebody went on
    assert plan.send(None).command == "null"


def iter_of(*messages: Msg) -> Iterator[Msg]:
    yield from messages


@pytest.mark.parametrize("target", [np.array(300.0), np.array([1, 300]), Decimal(300), 300])
def test_numbers_of_every_kind_are_checked(devices: Registry, target: Any) -> None:
    with pytest.raises(LimitError, match="300 mm is above the high limit 5 mm"):
        ran(iter_of(Msg("set", devices["samx"].obj, target)), checks(devices))


def test_a_device_is_leased_when_it_is_first_used_and_refused_when_it_is_not_free(
    devices: Registry,
) -> None:
    taken: list[str] = []

    def plan() -> Iterator[Msg]:
        yield Msg("set", devices["samy"].obj, 1)
        yield Msg("set", devices["samy"].obj, 2)

    sent = ran(plan(), checks(devices, taken.extend))
    assert words(sent) == ["check_first", "set", "set", "returned"]
    assert taken == ["samy"]

    def busy(names: Sequence[str]) -> None:
        raise BusyError("in use by scan 8", remedy="wait", device=names[0])

    with pytest.raises(BusyError, match="in use by scan 8"):
        ran(plan(), checks(devices, busy))


def test_a_plan_that_is_let_go_cleans_up(devices: Registry) -> None:
    ended = []

    def plan() -> Iterator[Msg]:
        try:
            yield Msg("null")
        finally:
            ended.append(True)

    running = checked(plan(), checks(devices))
    next(running)
    running.close()
    assert ended == [True]


def part(code: str, **fields: Any) -> SourcePart:
    return SourcePart(kind="function", name="go", code=code, origin="In[1]", **fields)


def test_devices_are_found_in_the_text_and_not_among_its_own_names(devices: Registry) -> None:
    code = 'def go(samx):\n    yield M.samy, samx, D["diode"], dev.nothing\n'
    source = PlanSource(name="go", call="go(1)", parts=[part(code)])
    assert devices_named(source, devices) == ["samy", "diode"]
    source = PlanSource(name="go", call="go(M.samx)", parts=[part(code)])
    assert "samx" in devices_named(source, devices)


def test_names_of_a_plan_are_the_devices_themselves(devices: Registry) -> None:
    code = (
        "def go():\n    yield M.samx, dev['samy'], diode, [d.name for d in D]\n    yield M.samz\n"
    )
    loaded = load_plan(PlanSource(name="go", call="go()", parts=[part(code)]), devices)
    plan = loaded.located()
    found = next(plan)
    assert found[:3] == tuple(devices[n].obj for n in ("samx", "samy", "diode"))
    assert found[3] == ["diode"]
    with pytest.raises(PlanFailedError, match=r"M has no device 'samz', at In\[1\], line 3"):
        next(plan)


@pytest.mark.parametrize(
    "ending", ["sys.exit(1)", "raise KeyboardInterrupt", "raise BaseException"]
)
def test_a_plan_that_wants_to_end_the_process_fails_at_its_line(
    devices: Registry, ending: str
) -> None:
    code = f"def go():\n    import sys\n    yield Msg('null')\n    {ending}\n"
    plan = load_plan(PlanSource(name="go", call="go()", parts=[part(code)]), devices).located()
    next(plan)
    with pytest.raises(PlanFailedError, match=r"at In\[1\], line 4"):
        next(plan)
    code = f"def go():\n    import sys\n    {ending}\n"
    with pytest.raises(InputError, match=r"\[In\[1\], line 3"):
        load_plan(PlanSource(name="go", call="go()", parts=[part(code)]), devices)


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        ("go(1, 2)", "def go(a):\n    yield a\n", r"\[go\(1, 2\)\] TypeError"),
        ("go()", "def go():\n    return 3\n", r"go\(\) makes no plan but int"),
        ("go()", "def go(:\n", r"\[In\[1\], line 1\] go cannot be read"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(
    devices: Registry, call: str, code: str, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        load_plan(PlanSource(name="go", call=call, parts=[part(code)]), devices).close()


def test_a_missing_module_is_named_with_what_to_do(devices: Registry) -> None:
    missing = SourcePart(kind="import", name="x", code="import nowhere_to_be as x")
    with pytest.raises(InputError, match=r"No module named 'nowhere_to_be'.*install the module"):
        load_plan(PlanSource(name="go", call="go()", parts=[missing]), devices)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("__import__('time').sleep(60)", "took longer than 1 s"),
        ("__import__('os')._exit(3)", r"ends the process \(exit code 3\)"),
        ("1 / 0", ""),
    ],
)
def test_what_hangs_or_dies_does_so_in_another_process(code: str, told: str) -> None:
    part = SourcePart(kind="data", name="x", code=code)
    source = PlanSource(name="go", call="go()", parts=[part])
    if not told:
        try_source(source)
        return
    with pytest.raises(InputError, match=told):
        try_source(source, 1.0 if "longer" in told else 60.0)
