"""Room: pipes. Who may take the place of a consumer between hosts. Pure.

In: who was there last under a name, and who asks for it now. Out: nothing, or the error with which
it is refused. A consumer whose host lost its power says no last word: its line looks alive until
`Liveness.dead_s` has passed. Its successor need not wait for that when it proves to be one: it has
the same name, the key of the same host, and a higher turn, which the runner counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from undula.pipes.errors import PipeError


@dataclass(frozen=True, slots=True)
class Claim:
    """A consumer that asks for a name.

    Args:
        token: made up by this very consumer; its later connections have the same.
        who: the host whose key it has.
        turn: how many there were before it under this name.
    """

    token: str
    who: str
    turn: int = 0

    def succeeds(self, before: Claim) -> bool:
        """Whether it is known to have taken that one's place."""
        return self.who == before.who and self.turn > before.turn


def judge(name: str, last: Claim | None, present: bool, asks: Claim) -> None:
    """Whether one may have a name that another had last, and perhaps has still (`present`).

    Raises: PipeError when it may not.
    """
    if last is None or asks.token == last.token or asks.succeeds(last):
        return
    if last.succeeds(asks):
        raise replaced(name)
    if present:
        raise PipeError(
            f"there is a consumer {name!r} already",
            remedy="give this one another name, or end the other",
            where=name,
        )


def replaced(name: str) -> PipeError:
    """What one is told that has been taken for dead, when it is not."""
    return PipeError(
        f"a successor has taken the place of consumer {name!r}",
        remedy="end this one: its frames are with the other",
        where=name,
    )
