"""The name under which a command tells of its graph: nobody else has it meanwhile.

In: a name that is wished for, the stream in which all commands enter theirs. Out: the name, or
another one where somebody was before. The broker orders the entries: of two that come together
both see the same one first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from undula.bus.endpoints import PIPES_OPENED, PIPES_STATUS
from undula.bus.ports import Connector
from undula.core.clock import now
from undula.messages import GraphOpened, GraphTold

SAID_WITHIN_S = 5.0
"""Who entered a name says under it within so long that the graph is starting."""


def is_taken(earlier: Iterable[GraphOpened], told: GraphTold | None, now: float) -> bool:
    """Whether one of those that entered a name before has it still. Pure.

    Args:
        earlier: entries of this name.
        told: what was said under it last.
        now: host time, UTC epoch s.
    """
    if told is not None and not told.gone(now):
        return True
    said_at = 0.0 if told is None else told.time
    return any(one.time > said_at and now - one.time < SAID_WITHIN_S for one in earlier)


def take_name(connector: Connector, wish: str, other: str, by: str, never: Collection[str]) -> str:
    """Enter a name into the stream, and have it: `wish`, or `other` where that is taken.

    Args:
        by: who runs the graph.
        never: names that are no command's.
    """
    if wish not in never:
        mine = connector.append(PIPES_OPENED, GraphOpened(name=wish, by=by, time=now()))
        earlier = []
        for number, one in connector.read(PIPES_OPENED):
            if number == mine:
                break
            if one.name == wish:
                earlier.append(one)
        if not is_taken(earlier, connector.get(PIPES_STATUS, name=wish), now()):
            return wish
    connector.append(PIPES_OPENED, GraphOpened(name=other, by=by, time=now()))
    return other
