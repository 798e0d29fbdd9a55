"""How a command that runs a graph comes to its end."""

from __future__ import annotations

from undula.cli.pipes import _ended
from undula.pipes.graph import GraphBuilder, checked
from undula.pipes.nodes.registry import Shipped
from undula.pipes.runner import GraphStatus, Runner


def test_who_asks_is_answered_while_what_is_on_its_way_is_worked_on() -> None:
    """After Ctrl-C, which may come at any moment."""
    types = Shipped()
    made = GraphBuilder("ends").node("det", "simulated", width=8, height=8, rate_hz=100)
    made.node("out", "sum").edge("det -> out")
    looked: list[bool] = []

    def look(_: GraphStatus) -> None:
        looked.append(interrupted)

    def typed(runner: Runner, source: str) -> None:
        nonlocal interrupted
        runner.trigger(source)
        interrupted = True
        raise KeyboardInterrupt

    interrupted = False
    with Runner(checked(made.graph(), types), types) as runner:
        outcome = _ended(runner, types, None, typed, look, 1)
    assert outcome.ok, outcome.report.text + outcome.failed
    assert any(looked)
