"""Room: the history of runs and the stored queue, in SQLite behind a narrow repository.

In: run records. Out: run records and run numbers. Called by: `scans`, `writer`, `client`.
Not here: data of the runs (`files`).
"""

from undula.catalogue.filters import (
    Condition,
    RunFilter,
    keyword_conditions,
    parse_condition,
)
from undula.catalogue.model import QueueItemRecord, RunRecord
from undula.catalogue.ports import Catalogue
from undula.catalogue.sqlite import SqliteCatalogue

__all__ = [
    "Catalogue",
    "Condition",
    "QueueItemRecord",
    "RunFilter",
    "RunRecord",
    "SqliteCatalogue",
    "keyword_conditions",
    "parse_condition",
]
