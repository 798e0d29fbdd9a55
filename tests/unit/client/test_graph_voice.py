"""A command that runs a graph answers what the engine asks of it, whatever becomes of it."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from undula.bus.endpoints import PIPES_OPENED, PIPES_STATUS
from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.client.graph_name import take_name
from undula.client.graph_voice import GraphVoice, voice_of
from undula.core.clock import now
from undula.core.errors import BusyError, InputError
from undula.messages import GraphAsked, GraphOpened, GraphTold, PipesRequest
from undula.scans.graphs_of_commands import ask_command, of_command

PATIENCE_S = 60.0


def told(name: str) -> GraphTold:
    return GraphTold(name=name, state="running", nodes=[], edges=[], time=now())


class Running:
    """As a runner tells of itself."""

    def told(self, name: str) -> GraphTold:
        return told(name)


def does(asked: GraphAsked) -> dict[str, Any]:
    if asked.node == "bad":
        raise ZeroDivisionError("in its own code")
    if asked.node == "wrong":
        raise InputError("there is no node 'wrong'", remedy="did you mean bad?")
    return {"changed": {"low": [1, asked.parameters["low"]]}, "runs": True}


def test_what_is_asked_is_done_once_by_who_runs_the_graph_and_answered() -> None:
    bus, woken = MemoryConnector(), threading.Semaphore(0)
    voice = GraphVoice(bus, "live", "a command of ann")
    came: SimpleQueue[GraphTold] = SimpleQueue()
    following = bus.subscribe(PIPES_STATUS, came.put, name="live")
    voice.listen(woken.release)
    voice.tell(Running(), at_once=True)
    assert came.get(timeout=PATIENCE_S).answers
    following.close()
    command = of_command(bus, "live")
    assert command is not None

    def owner() -> None:
        for _ in range(3):
            woken.acquire(timeout=PATIENCE_S)
            voice.answer(does)

    thread = threading.Thread(target=owner)
    thread.start()

    def ask(node: str) -> dict[str, Any]:
        request = PipesRequest(
            request_id=node, deadline=now() + PATIENCE_S, action="set", graph="live", node=node,
            parameters={"low": 5},
        )  # fmt: skip
        return ask_command(bus, request, command)

    assert ask("low") == {"changed": {"low": [1, 5]}, "runs": True}
    with pytest.raises(InputError, match="did you mean bad"):
        ask("wrong")
    with pytest.raises(Exception, match="ZeroDivisionError: in its own code"):
        ask("bad")
    thread.join(PATIENCE_S)
    voice.deafen()
    voice.close()


def test_a_command_that_does_not_answer_or_cannot_is_told() -> None:
    bus = MemoryConnector()
    request = PipesRequest(
        request_id="r", deadline=now() + 0.01, action="clear", graph="live", node="low"
    )
    silent = told("live").model_copy(update={"by": "a command of ann", "every_s": 1.0})
    with pytest.raises(InputError, match="a command of ann, which takes no changes"):
        ask_command(bus, request, silent)
    with pytest.raises(BusyError, match="does not answer"):
        ask_command(bus, request, silent.model_copy(update={"answers": True}))
    assert of_command(bus, "live") is None
    bus.put(PIPES_STATUS, silent.model_copy(update={"time": now() - 60}), name="live")
    assert of_command(bus, "live") is None, "it was killed"


def test_of_commands_that_begin_together_one_has_the_name_and_who_has_ended_leaves_it() -> None:
    bus = MemoryConnector()
    client: Any = SimpleNamespace(
        pipes=SimpleNamespace(of_devices=lambda: ["cam"]),
        link=SimpleNamespace(connector=bus, user="ann"),
    )
    first, second = voice_of(client, "live"), voice_of(client, "live")
    assert first.name == "live"
    assert second.name.startswith("live-"), "both would obey what is asked of one"
    said = bus.get(PIPES_STATUS, name="live")
    assert said is not None
    assert (said.state, said.answers) == ("starting", False)
    first.close()
    again = voice_of(client, "live")
    assert again.name == "live", "its owner ended before it ran"
    device = voice_of(client, "cam")
    assert device.name.startswith("cam-")
    for voice in (second, again, device):
        voice.close()


def test_a_name_belongs_to_who_entered_it_first_though_nothing_is_said_yet() -> None:
    broker, barrier, names = MemoryBroker(), threading.Barrier(8), SimpleQueue[str]()

    def take(number: int) -> None:
        bus = MemoryConnector(broker)
        barrier.wait(PATIENCE_S)
        names.put(take_name(bus, "live", f"live-{number}", "ann", ()))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    found = [names.get(timeout=PATIENCE_S) for _ in threads]
    assert len(set(found)) == 8
    assert "live" in found
    bus = MemoryConnector()
    bus.append(PIPES_OPENED, GraphOpened(name="live", by="bob", time=now() - 3600.0))
    assert take_name(bus, "live", "other", "ann", ()) == "live", "whoever it was is gone"
