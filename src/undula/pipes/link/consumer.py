"""Room: pipes. One consumer of a link, as its producer knows it: frames on their way to it. Pure.

In: a name, a policy. Out: what is pending, what was sent, its ledger. What happens to them is in
`holding`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from undula.pipes.ledger import EdgeLedger
from undula.pipes.policy import Policy


@dataclass(slots=True, eq=False)
class Entry:
    """A frame in a slot, on its way to one consumer.

    `source`: the slot in memory that it is being copied from, onto disk; -1 when it is there.
    `place`: how many frames were published before it.
    """

    slot: int
    seq_num: int
    again: bool = False
    source: int = -1
    given_up: bool = False
    place: int = 0


class Consumer:
    """What is known of one consumer, by its name; its connection comes and goes.

    Frames that are `pending`, and those that are `sent`, are each in the order of their places.
    """

    __slots__ = (
        "ahead", "came", "counted", "ledger", "mixed", "most", "name", "on_disk", "orphans",
        "pending", "policy", "present", "sent", "writing",
    )  # fmt: skip

    def __init__(self, name: str, policy: Policy, most: int) -> None:
        self.name, self.policy, self.most = name, policy, most
        self.present = self.came = False
        self.mixed = False
        """It came back, and has frames in hand that were published after some that are pending."""
        self.pending: deque[Entry] = deque()
        self.sent: dict[int, Entry] = {}
        self.ledger = EdgeLedger()
        self.counted = 0
        self.on_disk = self.writing = self.orphans = 0
        self.ahead = most // 2 if policy.kind == "spill" else 0
        """Slots of its share for frames that are being copied onto disk."""

    @property
    def lossless(self) -> bool:
        """Whether it may hold the producer up."""
        return self.policy.kind == "lossless"

    @property
    def held(self) -> int:
        """Frames on their way to it, or with it."""
        return len(self.pending) + len(self.sent)
