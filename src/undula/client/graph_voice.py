"""What a command that runs a graph says of it on the bus, so that everybody sees it.

In: the runner, as often as it likes. Out: the graph under `pipes/NAME/status`, again every second
while the command lives, so that one that was killed is known for gone; and answers to what the
engine asks of the graph for somebody else. Without a beamline that is up nothing is said. The bus
may go away: the graph does not wait for it.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from undula.bus.endpoints import PIPES_ANSWERED, PIPES_ASKED, PIPES_STATUS
from undula.client.graph_name import take_name
from undula.core.clock import now
from undula.core.errors import UndulaError
from undula.core.log import get_logger
from undula.messages import ErrorReport, GraphAnswered, GraphAsked, GraphTold

if TYPE_CHECKING:
    from undula.bus.ports import Connector, Subscription
    from undula.client.client import Client

EVERY_S = 1.0
TELL_S = 0.25
CLOSE_S = 5.0
OVER = ("ended", "failed")


class Telling(Protocol):
    """Whose graph it is: a runner."""

    def told(self, name: str) -> GraphTold:
        """How it runs now, under this name."""


class GraphVoice:
    """Tells of one graph, on a thread of its own."""

    def __init__(self, connector: Connector, name: str, by: str) -> None:
        self._connector, self.name, self._by = connector, name, by
        self._latest: GraphTold | None = None
        self._next = 0.0
        self._news, self._closing = threading.Event(), threading.Event()
        self._silent = False
        self._asked: queue.SimpleQueue[GraphAsked] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[GraphAnswered] = queue.SimpleQueue()
        self._listening: Subscription | None = None
        self._thread = threading.Thread(target=self._work, name="graph-voice", daemon=True)
        self._thread.start()

    def tell_start(self) -> None:
        """It is there, though its processes are not yet: the name is taken."""
        self._latest = GraphTold(
            name=self.name, by=self._by, every_s=EVERY_S, state="starting", nodes=[], edges=[],
            time=now(),
        )  # fmt: skip
        self._put(self._latest)

    def tell(self, runner: Telling, *, at_once: bool = False) -> None:
        """How the graph runs; what comes too soon is left out."""
        if not at_once and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + TELL_S
        fields = {"by": self._by, "every_s": EVERY_S, "answers": self._listening is not None}
        self._latest = runner.told(self.name).model_copy(update=fields)
        self._news.set()

    def listen(self, wake: Callable[[], object]) -> None:
        """From now on somebody will `answer`; `wake` is called, on another thread, when to."""

        def hear(asked: GraphAsked) -> None:
            self._asked.put(asked)
            wake()

        self._listening = self._connector.subscribe(PIPES_ASKED, hear, name=self.name)

    def answer(self, does: Callable[[GraphAsked], dict[str, Any]]) -> None:
        """Do what was asked since, here and now."""
        while not self._asked.empty():
            asked = self._asked.get_nowait()
            try:
                answered = GraphAnswered(ask_id=asked.ask_id, result=does(asked))
            except Exception as error:  # whatever it is, who asked hears of it; the graph goes on
                answered = GraphAnswered(ask_id=asked.ask_id, error=ErrorReport.of(error))
            self._answers.put(answered)
            self._news.set()

    def deafen(self) -> None:
        """Nothing is done any more; behind this `wake` is not called."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def close(self) -> None:
        """Say the last word, and no more."""
        self._closing.set()
        self._news.set()
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        while True:
            self._news.wait(EVERY_S)
            ends = self._closing.is_set()
            self._news.clear()
            while not self._answers.empty():
                self._say_answer(self._answers.get_nowait())
            told = self._latest
            if told is not None:
                if ends and told.state not in OVER:  # it never ran, or broke
                    told = told.model_copy(update={"state": "ended"})
                self._put(told.model_copy(update={"time": now()}))
            if ends:
                return

    def _say_answer(self, answered: GraphAnswered) -> None:
        self._try(lambda: self._connector.put(PIPES_ANSWERED, answered, name=self.name))

    def _put(self, told: GraphTold) -> None:
        self._try(lambda: self._connector.put(PIPES_STATUS, told, name=self.name))

    def _try(self, say: Any) -> None:
        try:
            say()
        except UndulaError as error:
            if not self._silent:
                get_logger().warning("graph_not_told", graph=self.name, error=str(error))
            self._silent = True
        else:
            self._silent = False


def voice_of(client: Client, graph: str) -> GraphVoice:
    """The voice of a graph that this process runs, under a name that nobody else has."""
    connector, by = client.link.connector, f"a command of {client.link.user}"
    name = take_name(connector, graph, f"{graph}-{os.getpid()}", by, client.pipes.of_devices())
    voice = GraphVoice(connector, name, by)
    voice.tell_start()
    return voice
