"""Room: pipes. What an edge does when its consumer cannot keep up. Pure.

In: words such as `latest` or `sample(1/10)`. Out: `Policy`. The rules themselves are in
`link.holding`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from undula.core.errors import InputError

Kind = Literal["lossless", "latest", "sample", "spill"]
FORMS = "lossless, latest, sample(1/n), spill(2 GB)"
UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SPILL_BYTES = 2 * 10**9
_SAMPLE = re.compile(r"sample\(\s*1\s*/\s*(\d+)\s*\)")
_SPILL = re.compile(r"spill(?:\(\s*(.+?)\s*\))?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?B?)")


@dataclass(frozen=True, slots=True)
class Policy:
    """How an edge hands frames to one consumer.

    Args:
        kind: `lossless`: every frame; a consumer that is slow or dead holds the producer up.
            `latest`: the newest one whenever the consumer is free. `sample`: each n-th.
            `spill`: every frame, through the disk when memory is short; never holds anybody up.
        every: n of `sample`.
        disk_bytes: how much `spill` may put on disk; what comes beyond is dropped.
        budget_bytes: memory that the consumer may hold; None: what suits the kind.
    """

    kind: Kind = "lossless"
    every: int = 1
    disk_bytes: int = 0
    budget_bytes: int | None = None

    @property
    def text(self) -> str:
        """As it is written in a graph."""
        if self.kind == "sample":
            return f"sample(1/{self.every})"
        return f"spill({self.disk_bytes} B)" if self.kind == "spill" else self.kind

    def slots(self, slot_bytes: int, available: int) -> int:
        """How many slots the consumer may hold, the frames on their way to it included."""
        if self.budget_bytes is not None:
            least = 1 if self.kind == "lossless" else 2
            return max(least, self.budget_bytes // slot_bytes)
        return (
            available if self.kind == "lossless" else {"latest": 2, "sample": 2}.get(self.kind, 8)
        )


def parse_size(text: str | int) -> int:
    """Bytes: 4096, `512 MB`, `2 GB` (powers of 1000). Raises: InputError.

    >>> parse_size("1.5 GB")
    1500000000
    """
    match = _SIZE.fullmatch(str(text).strip())
    unit = match[2] if match else None
    unit = f"{unit}B" if unit in ("k", "K", "M", "G", "T") else unit
    if match is None or unit not in UNITS:
        raise InputError(f"{text!r} is no size", remedy="write bytes, or 512 MB, 2 GB")
    return int(float(match[1]) * UNITS[unit])


def parse_policy(text: str, budget: str | int | None = None) -> Policy:
    """A policy from its words. Raises: InputError naming the forms there are.

    >>> parse_policy("sample(1/10)").every
    10
    """
    words = text.strip()
    budget_bytes = None if budget is None else parse_size(budget)
    if words in ("lossless", "latest"):
        return Policy("lossless" if words == "lossless" else "latest", budget_bytes=budget_bytes)
    if (sample := _SAMPLE.fullmatch(words)) and int(sample[1]) > 0:
        return Policy("sample", every=int(sample[1]), budget_bytes=budget_bytes)
    if spill := _SPILL.fullmatch(words):
        disk = parse_size(spill[1]) if spill[1] else SPILL_BYTES
        return Policy("spill", disk_bytes=disk, budget_bytes=budget_bytes)
    raise InputError(f"{text!r} is no policy of an edge", remedy=f"write one of {FORMS}")
