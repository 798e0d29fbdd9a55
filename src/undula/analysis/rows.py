"""Room: analysis. Points out of event documents. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def event_rows(name: str, doc: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The points in an `event` or `event_page`, each with `seq_num` and `time` (UTC epoch s)."""
    if name == "event":
        yield {"seq_num": doc["seq_num"], "time": doc["time"], **doc["data"]}
        return
    for i, seq_num in enumerate(doc["seq_num"]):
        row = {key: values[i] for key, values in doc["data"].items()}
        yield {"seq_num": seq_num, "time": doc["time"][i], **row}
