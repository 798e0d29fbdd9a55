"""Room: the writer. Follows the journals of runs and keeps their NeXus files.

In: journals. Out: files, archives, catalogue rows, `RunFileClosed`. Imports: `files`, `catalogue`,
`bus`. Not here: the layout of a file (`files`).
"""

from undula.writer.follower import RunFollower
from undula.writer.rebuild import rebuild
from undula.writer.service import WriterService

__all__ = ["RunFollower", "WriterService", "rebuild"]
