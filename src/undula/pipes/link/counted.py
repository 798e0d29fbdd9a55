"""Room: pipes. What a producer's end says of its frames, whichever way they leave it. Pure.

In: who holds which slot (`holding`). Out: counts, ledgers, who holds it up. The ends of all links
are made of it: `slots` (between processes and hosts) and `memory` (in one).
"""

from __future__ import annotations

from collections.abc import Mapping

from undula.pipes.ledger import EdgeLedger
from undula.pipes.link.holding import Holding


class Counted:
    """The producer's end of a link, as far as it can be asked."""

    holding: Holding

    def blocked_by(self) -> list[str]:
        """Names of the lossless consumers that hold the producer up."""
        return self.holding.blocked_by()

    @property
    def published(self) -> int:
        """How many frames were handed on."""
        return self.holding.published

    @property
    def in_flight(self) -> int:
        """Frames that a lossless consumer has not confirmed yet."""
        return self.holding.in_flight

    def ledgers(self) -> dict[str, EdgeLedger]:
        """What became of the frames, by consumer."""
        return {name: c.ledger for name, c in self.holding.consumers.items()}

    def depths(self) -> Mapping[str, int]:
        """Frames not yet confirmed, by consumer."""
        return self.holding.depths()
