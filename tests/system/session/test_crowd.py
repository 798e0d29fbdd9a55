"""Many people and programs at once on one prompt, while a scan runs."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from typing import Any

import pytest

from undula.session.bridge.log import read_log
from undula.session.rpc.client import RpcClient, ZError
from undula.testing.beamline import LocalBeamline
from undula.testing.law import until
from undula.testing.terminal import PtyPerson

PEOPLE, PROGRAMS, WRONG = 3, 10, 5


def types(person: PtyPerson, name: str, count: int) -> None:
    """Many lines, a key at a time; the next when the result of the last is seen."""
    for n in range(count):
        line, result = said(name, n)
        for key in line:
            person.type(key)
        person.enter("")
        person.see(result, timeout_s=110)


def said(name: str, n: int) -> tuple[str, str]:
    """A line and what is seen of its result only; every fifth fails."""
    if n % WRONG == 0:
        return f"raise ValueError('{name}' + '-{n}!')", f"ValueError: {name}-{n}!"
    return f"'{name}' + '-{n}!'", f"'{name}-{n}!'"


def asks(client: RpcClient, name: str, count: int, faults: list[str]) -> None:
    """Many requests; each reply must be its own."""
    for n in range(count):
        line, _ = said(name, n)
        try:
            got = client.call("cmd", cmd=line, policy="queue", timeout_s=110.0)
            wanted = f"'{name}-{n}!'"
        except ZError as error:
            got, wanted = str(error), f"{name}-{n}!"
        if wanted not in got or (n % WRONG == 0) == got.startswith("'"):
            faults.append(f"{name} {n}: {got!r}")


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20, marks=pytest.mark.timeout(300)),
        pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_each_of_many_commands_has_one_result_with_its_own_author(
    count: int, prompt: LocalBeamline, sit_down: Callable[..., PtyPerson]
) -> None:
    names = [f"person{n}of{count}" for n in range(PEOPLE)]
    programs = [f"program{n}of{count}" for n in range(PROGRAMS)]
    people = [sit_down(name) for name in names]
    quiet = sit_down("quiet")
    quiet.type("half_typed = 'un'; ")
    quiet.see(r"half_typed = 'un';")
    clients = [RpcClient(prompt.paths.run) for _ in range(PROGRAMS)]
    until(lambda: clients[0].call("cmd", cmd="1 + 1", policy="queue") == "2", "no prompt")
    faults: list[str] = []
    work = [
        *(
            threading.Thread(target=types, args=(person, name, count))
            for person, name in zip(people, names, strict=True)
        ),
        *(
            threading.Thread(target=asks, args=(client, name, count, faults))
            for client, name in zip(clients, programs, strict=True)
        ),
    ]
    with prompt.connect() as beamline:
        scan = beamline.submit("scan", "samx", -1, 1, 100, time=0.1)
        for thread in work:
            thread.start()
        while any(thread.is_alive() for thread in work):
            quiet.read(0.2)
        scan.wait(timeout_s=60).check()
    for client in clients:
        client.close()
    assert faults == []
    quiet.enter("'harmed'; half_typed")
    quiet.see("Out.*'un'")

    def logged() -> list[Any]:
        return read_log(prompt.paths.commands, 10 * count * (PEOPLE + PROGRAMS), "!'")

    until(
        lambda: not {"open", "queued"} & {row["status"] for row in logged()},
        "the log hears of no end",
    )
    rows = logged()
    ends = collections.Counter(row["line"] for row in rows)
    for name in [*names, *programs]:
        mine = [row for row in rows if f"'{name}'" in row["line"]]
        assert [row["line"] for row in mine] == [said(name, n)[0] for n in range(count)]
        assert {row["author"] for row in mine} == {name if name in names else "root"}
        assert [row["error"] for row in mine] == ["ValueError", "", "", "", ""] * (count // WRONG)
    assert set(ends.values()) == {1}
