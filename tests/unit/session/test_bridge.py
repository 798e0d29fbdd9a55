"""The bridge: policies, one outcome for each command, lines that evaluate to the same arguments."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import BusyError, InputError, TimeoutUndulaError
from undula.session.bridge.bridge import SessionBridge
from undula.session.bridge.hiding import hidden
from undula.session.bridge.log import CommandLog
from undula.session.bridge.model import Author, Call, Code, Command, Outcome, Path
from undula.session.bridge.ports import Listener
from undula.session.bridge.render import render

ANNA, BEN = Author("anna", "web"), Author("ben", "rpc")


class OwnPrompt:
    """A prompt in this process: Python's `exec`, one command at a time, each when it is told to."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.taken: list[Command] = []
        self.listener: Listener | None = None

    def send(self, command: Command) -> None:
        self.taken.append(command)

    def run_next(self) -> None:
        assert self.listener is not None
        command = self.taken.pop(0)
        self.listener.started(command)
        try:
            exec(command.line, self.names)
            self.listener.finished(command.id, Outcome("ok"))
        except Exception as exc:
            outcome = Outcome("error", error=type(exc).__name__, message=str(exc))
            self.listener.finished(command.id, outcome)

    async def evaluate(self, wanted: dict[str, str], /) -> dict[str, Any]:
        return {name: eval(text, self.names) for name, text in wanted.items()}

    async def interrupt(self) -> None:
        assert self.listener is not None


def made(log: CommandLog | None = None, **options: Any) -> tuple[SessionBridge, OwnPrompt]:
    prompt = OwnPrompt()
    bridge = SessionBridge(prompt, log, **options)
    prompt.listener = bridge
    return bridge, prompt


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


@on_a_loop
async def test_a_refusal_names_what_runs_and_whose_it_is() -> None:
    bridge, _ = made(busy=lambda: "scan 1234 by carl")
    bridge.submit(Code("wait()"), ANNA)
    with pytest.raises(BusyError, match=r"wait\(\) by web:anna, scan 1234 by carl"):
        bridge.submit(Code("1"), BEN)


@on_a_loop
async def test_front_goes_before_what_was_queued() -> None:
    bridge, prompt = made()
    prompt.names["seen"] = []
    for text, policy in (("a", "queue"), ("b", "queue"), ("c", "front")):
        bridge.submit(Code(f"seen.append({text!r})"), ANNA, policy)  # type: ignore[arg-type]  # a literal
    while prompt.taken:
        prompt.run_next()
    assert prompt.names["seen"] == ["a", "c", "b"]


@on_a_loop
async def test_each_command_ends_once_with_its_own_author_also_on_errors() -> None:
    bridge, prompt = made()
    ends: list[tuple[str, str, str]] = []
    bridge.subscribe(
        lambda e: (
            ends.append((e["id"], e["author"], e["error"])) if e["typ"] == "cmd/finished" else None
        )
    )
    sent = [
        bridge.submit(Code("1 / 0" if n % 3 == 0 else "1"), (ANNA, BEN)[n % 2], "queue")
        for n in range(50)
    ]
    while prompt.taken:
        prompt.run_next()
    wanted = [
        (c.id, c.author.name, "ZeroDivisionError" if n % 3 == 0 else "") for n, c in enumerate(sent)
    ]
    assert ends == wanted
    assert (await bridge.wait(sent[0].id)).message == "division by zero"


@on_a_loop
async def test_the_death_of_the_prompt_ends_all_that_ran_and_waited() -> None:
    bridge, prompt = made()
    first, second = (bridge.submit(Code("x"), ANNA, "queue") for _ in range(2))
    waiting = asyncio.create_task(bridge.wait(second.id))
    await asyncio.sleep(0)
    bridge.lost("killed")
    assert (await bridge.wait(first.id)).status == "died"
    assert (await waiting).status == "aborted"
    bridge.back()
    prompt.taken.clear()
    third = bridge.submit(Code("1"), BEN)
    prompt.run_next()
    assert (await bridge.wait(third.id)).status == "ok"


@on_a_loop
async def test_the_typing_guard_says_who_types() -> None:
    bridge, _ = made(typing_guard=True)
    bridge.typing("front-1", ANNA, True)
    with pytest.raises(BusyError, match="typing: web:anna"):
        bridge.submit(Code("1"), BEN)
    bridge.typing("front-1", ANNA, False)
    bridge.submit(Code("1"), BEN)


@on_a_loop
async def test_a_listener_that_fails_takes_nothing_from_the_others() -> None:
    bridge, prompt = made()
    heard: list[str] = []

    def fails(event: dict[str, Any]) -> None:
        raise RuntimeError(event["typ"])

    bridge.subscribe(fails)
    bridge.subscribe(lambda event: heard.append(event["typ"]))
    bridge.submit(Code("1"), ANNA)
    prompt.run_next()
    assert heard == ["cmd/accepted", "cmd/started", "cmd/finished"]


def test_the_log_keeps_who_what_and_how_it_ended_and_no_secret(tmp_path: FilePath) -> None:
    log = CommandLog(tmp_path / "commands.sqlite")

    async def work() -> None:
        bridge, prompt = made(log)
        bridge.submit(Code("1 / 0"), ANNA, "queue")
        bridge.submit(Code("login('anna', 'Geheim-7')"), BEN, "queue")
        bridge.submit(Code("lost = 1"), BEN, "queue")
        prompt.run_next()
        prompt.run_next()

    asyncio.run(work())
    assert log.end_open("killed") == 1
    rows = log.last()
    assert [(r["author"], r["status"], r["error"]) for r in rows] == [
        ("anna", "error", "ZeroDivisionError"),
        ("ben", "error", "NameError"),
        ("ben", "died", ""),
    ]
    assert [r["line"] for r in log.last(search="login")] == ["login('anna', '<hidden>')"]
    log.close()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Geheim-7" not in everything


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(plain, max_size=4), st.dictionaries(st.sampled_from(["num", "x"]), plain))
def test_evaluating_the_line_gives_the_same_arguments(
    args: list[Any], kwargs: dict[str, Any]
) -> None:
    line = render(Call("call", tuple(args), kwargs))
    assert "\n" not in line
    got = eval(line, {"call": lambda *a, **k: (list(a), k)})
    assert repr(got) == repr((args, kwargs))


@given(plain)
def test_what_json_carries_is_rendered_to_the_same_value(value: Any) -> None:
    try:
        value = json.loads(json.dumps(value))
    except TypeError:
        return
    assert eval(render(Call("f", (value,))), {"f": lambda v: v}) == value


@pytest.mark.parametrize(
    "call",
    [
        Call("os.system('x')"),
        Call("f", ({"__class__"},)),
        Call("f", (float("nan"),)),
        Call("f", (Path("M.samx.__class__"),)),
        Call("f", (Path("M.samx); import os; (1"),)),
        Call("f", (), {"a b": 1}),
        Call("f; g"),
        Call("_private"),
    ],
)
def test_what_is_no_plain_call_is_refused(call: Call) -> None:
    with pytest.raises(InputError):
        render(call)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("login('a', 'b c')", "login('a', '<hidden>')"),
        ('connect(password="a\\"b", n=1)', "connect(password='<hidden>', n=1)"),
        ("token = abc", "token = '<hidden>'"),
        ('{"api_key": "x"}', "{\"api_key\": '<hidden>'}"),
        ("scan(samx, -1, 1, 21)", "scan(samx, -1, 1, 21)"),
    ],
)
def test_secrets_are_hidden_in_what_is_shown(line: str, shown: str) -> None:
    assert hidden(line) == shown


@on_a_loop
async def test_what_everybody_is_told_holds_no_secret_and_the_asker_gets_it_all() -> None:
    bridge, prompt = made()
    events: list[dict[str, Any]] = []
    bridge.subscribe(events.append)
    command = bridge.submit(Code("raise OSError('no line, password=secret1')"), ANNA)
    prompt.run_next()
    assert (await bridge.wait(command.id)).message == "no line, password=secret1"
    assert "secret1" not in json.dumps(events)


@on_a_loop
async def test_the_snapshot_stays_small_whatever_waits() -> None:
    bridge, _ = made()
    for _ in range(10):
        bridge.submit(Code("x = 1 #" + "y" * 900_000), ANNA, "queue")
    assert len(json.dumps(bridge.snapshot())) < 100_000


@on_a_loop
async def test_who_waits_in_vain_leaves_nothing_behind() -> None:
    bridge, _ = made()
    command = bridge.submit(Code("wait()"), ANNA)
    for _ in range(3):
        with pytest.raises(TimeoutUndulaError):
            await bridge.wait(command.id, 0.001)
    assert bridge._ends == {}
