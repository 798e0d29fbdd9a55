"""Requests about a graph that a command runs: handed on to the command, its answer given back.

In: a `PipesRequest`, whose author the engine has found to have the right. Out: what the command
says of it. Clients serve no requests: the engine asks by `pipes/NAME/asked`, the command answers at
`pipes/NAME/answered`. A command that is busy with a frame answers when it has done.
"""

from __future__ import annotations

import queue
from contextlib import closing
from typing import Any

from undula.bus.endpoints import PIPES_ANSWERED, PIPES_ASKED, PIPES_STATUS
from undula.bus.ports import Connector
from undula.core.clock import now
from undula.core.errors import BusyError, InputError
from undula.messages import GraphAnswered, GraphAsked, GraphTold, PipesRequest

ANSWER_S = 20.0


def of_command(connector: Connector, name: str) -> GraphTold | None:
    """What a command says of the graph of this name that it runs now; None when there is none."""
    told = connector.get(PIPES_STATUS, name=name) if name else None
    return told if told is not None and told.by and not told.gone(now()) else None


def ask_command(connector: Connector, request: PipesRequest, told: GraphTold) -> dict[str, Any]:
    """Let the command do it. Raises: what it says; BusyError when it does not say anything."""
    if not told.answers:
        raise InputError(
            f"{told.name} is run by {told.by}, which takes no changes",
            remedy="stop it, change its file, and run it again: undula pipes run takes changes",
        )
    came: queue.SimpleQueue[GraphAnswered] = queue.SimpleQueue()
    asked = GraphAsked(
        ask_id=request.request_id, action=request.action, node=request.node, port=request.port,
        parameters=request.parameters, user=request.user or "somebody",
    )  # fmt: skip
    wait_s = max(0.0, min(ANSWER_S, request.deadline - now()))
    with closing(connector.subscribe(PIPES_ANSWERED, came.put, name=told.name)):
        connector.put(PIPES_ASKED, asked, name=told.name)
        until = now() + wait_s
        while True:
            try:
                answered = came.get(timeout=max(0.0, until - now()))
            except queue.Empty:
                raise BusyError(
                    f"{told.by} does not answer: it may still do what was asked",
                    remedy="look at its state: undula pipes top",
                ) from None
            if answered.ask_id == asked.ask_id:
                break
    if answered.error is not None:
        raise answered.error.to_exception()
    return answered.result
