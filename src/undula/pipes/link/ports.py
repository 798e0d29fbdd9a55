"""What both kinds of link do: between two processes (`outlet`, `inlet`), and in one (`memory`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy.typing as npt

from undula.pipes.errors import PipeError
from undula.pipes.frame import Array, Frame
from undula.pipes.ledger import EdgeLedger

Ended = Literal["no", "end", "lost"]


@dataclass(slots=True)
class Loan:
    """A slot that a producer may write a frame into, before it publishes it."""

    slot: int
    data: Array

    def check(self, frame: Frame) -> None:
        """Raises: PipeError when the frame's data are not in this loan."""
        if frame.data is not self.data and frame.data.base is not self.data:
            raise PipeError(
                f"frame {frame.seq_num} was not written into its loan",
                remedy="publish the loan's own data or a part of it, or use send()",
            )


class Sending(Protocol):
    """The producer's end. Not thread-safe."""

    def loan(
        self, shape: Sequence[int], dtype: npt.DTypeLike, *, timeout_s: float | None = None
    ) -> Loan | None:
        """A slot to write into; None when a lossless consumer holds us up for so long.

        Waits for ever with None, does not wait with 0. Raises: PipeError when it does not fit.
        """

    def publish(self, loan: Loan, frame: Frame) -> None:
        """Hand on what lies in the loan; `frame` says what it is, `frame.data` a part of it."""

    def give_back(self, loan: Loan) -> None:
        """The loan is not needed after all."""

    def send(self, frame: Frame, *, timeout_s: float | None = None) -> bool:
        """Copy a frame into a slot and publish it; False when there is no slot in time."""

    def flush(self) -> None:
        """Hand everything on that waits to be sent together."""

    def pump(self, timeout_s: float | None = 0.0) -> None:
        """Hear the consumers: confirmations, newcomers, deaths. Wait for one so long."""

    def fileno(self) -> int:
        """Readable when `pump` has something to do; -1 when that is never so."""

    def blocked_by(self) -> list[str]:
        """Names of the lossless consumers that hold the producer up."""

    @property
    def published(self) -> int:
        """How many frames were handed on."""

    @property
    def safe(self) -> int:
        """So many of them, from the first on, have every lossless consumer for good.

        They reach it though this process, or the host of this end, dies.
        """

    @property
    def in_flight(self) -> int:
        """Frames that a lossless consumer has not confirmed yet."""

    def ledgers(self) -> Mapping[str, EdgeLedger]:
        """What became of the frames, by consumer."""

    def depths(self) -> Mapping[str, int]:
        """Frames not yet confirmed, by consumer."""

    def forget(self, name: str) -> None:
        """A consumer will have no successor: what it holds is lost and free."""

    def finish(self) -> None:
        """There will be no further frame: consumers see the end behind the last one."""

    def close(self) -> None:
        """Hang up."""


class Receiving(Protocol):
    """The consumer's end. Not thread-safe."""

    def take(self, most: int = 64, timeout_s: float | None = 0.0) -> list[Frame]:
        """Frames that came, in order; waits so long for the first, with None up to the end.

        Raises: WireError when the producer speaks nonsense.
        """

    def confirm(self, frame: Frame) -> None:
        """Done with it: its data are no longer valid."""

    def fail(self, frame: Frame) -> None:
        """Done with it, but it could not be worked on."""

    def flush(self) -> None:
        """Let the producer know what was confirmed."""

    def fileno(self) -> int:
        """Readable when `take` may have something."""

    @property
    def ended(self) -> Ended:
        """`end` behind the last frame, `lost` when the producer died."""

    @property
    def ledger(self) -> EdgeLedger:
        """What this end has counted."""

    @property
    def owing(self) -> bool:
        """Whether the producer is still to be told of something that was confirmed: `flush`."""

    @property
    def room(self) -> int:
        """Frames that it may have in hand before it holds the producer up."""

    def close(self) -> None:
        """Hang up; frames not yet confirmed go to a successor, if the policy says so."""
