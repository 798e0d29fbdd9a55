"""Process: the writer. Puts connector, catalogue and service together; `--beamline NAME`.

SIGTERM ends it with exit code 0 after a flush; open runs are rebuilt and continued at its next
start.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial

from undula.analysis.fitter import Fitter
from undula.bus.broker import connect
from undula.bus.endpoints import RUNS_CLOSED, RUNS_OPENED
from undula.bus.outgoing import LogOnBus, Outgoing
from undula.bus.ports import Connector
from undula.catalogue import RunRecord, SqliteCatalogue
from undula.catalogue.imported import announcement
from undula.core import log, notify
from undula.core.paths import beamline_paths
from undula.core.settings import load_settings
from undula.writer import WriterService
from undula.writer.fits import LiveFits
from undula.writer.imported import Imports

LIVE_FIT_S = 10.0
"""A live fit that takes longer is ended, and not tried again in this run."""


def _tell(connector: Connector, run: RunRecord) -> None:
    opened, closed = announcement(run)
    connector.append(RUNS_OPENED, opened)
    connector.append(RUNS_CLOSED, closed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns: exit code."""
    parser = argparse.ArgumentParser(prog="undula-writer", description="Writes the NeXus files.")
    parser.add_argument("--beamline", required=True, help="name of the beamline")
    options = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    paths = beamline_paths(options.beamline)
    log.configure("writer", paths.logs)
    settings = load_settings(paths.config)
    connector = connect(paths, settings, role="service", client_name="writer")
    catalogue = SqliteCatalogue(paths.catalogue)
    outgoing = Outgoing()
    log.add_sink(LogOnBus(connector, outgoing))
    fitter = Fitter(paths.models, deadline_s=LIVE_FIT_S)
    try:
        fits = LiveFits(connector, fitter)
        fitting = threading.Thread(target=fits.run, args=(stop,), name="fits", daemon=True)
        service = WriterService(connector, catalogue, settings, fits=fits)
        fitting.start()
        service.recover()
        Imports(paths.importing, settings, catalogue, partial(_tell, connector)).finish()
        notify.ready()
        service.run(stop, notify.heartbeat)
    finally:
        fitter.close()
        catalogue.close()
        outgoing.close()
        connector.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
