"""A writer in its own process, fed from an archived journal; ends when the run is closed.

Arguments: archive, catalogue, wanted path of the file, documents to give before it starts (`all` or
a number; the rest follows while it works).
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from undula.bus.codec import encode
from undula.bus.endpoints import RUN_DOCUMENTS, RUNS_CLOSED, RUNS_OPENED
from undula.bus.memory import MemoryConnector
from undula.catalogue import SqliteCatalogue
from undula.core import log
from undula.core.settings import BeamlineSettings
from undula.files import read_archive
from undula.messages import RunOpened
from undula.writer import WriterService

PACE_S = 0.02


def main(archive: str, catalogue: str, wanted: str, first: str) -> None:
    log.configure("writer", None)
    documents = list(read_archive(Path(archive)))
    uid = documents[0].doc["uid"]
    connector = MemoryConnector()
    opened = RunOpened(uid=uid, number=1, plan_name="scan", command="scan", path=wanted, time=1.0)
    connector.append(RUNS_OPENED, opened)

    def give(many: list) -> None:
        for document in many:
            key = RUN_DOCUMENTS.key(uid=uid)
            connector.broker.add_entry(key, encode(document), f"{document.index}-0")

    count = len(documents) if first == "all" else int(first)
    give(documents[:count])
    settings = BeamlineSettings(name="t", data=Path(wanted).parent)
    service = WriterService(connector, SqliteCatalogue(catalogue), settings)
    service.recover()
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    pace = threading.Event()
    for document in documents[count:]:
        pace.wait(PACE_S)
        give([document])
    closed = connector.read(RUNS_CLOSED, block_s=60)
    stop.set()
    thread.join()
    print(closed[0][1].path)


if __name__ == "__main__":
    main(*sys.argv[1:])
