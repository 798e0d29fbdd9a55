"""Process: the prompt that everybody shares, one IPython kernel with the beamline's names.

Run by the supervisor: `python -m undula.processes.kernel --beamline NAME`. When it ends in
mid-command, the scan goes on: only the prompt's own variables are lost.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import Any

from undula.client import Client, connect
from undula.core import log, notify
from undula.core.access import Access
from undula.core.clock import Deadline
from undula.core.errors import BusError, OutcomeUnknownError, TimeoutUndulaError, UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.session.kernel.places import KernelPlaces

HEARTBEAT_S = 1.0
START_S = 45.0
"""Below the time in which the supervisor wants this service ready."""


def serve(paths: BeamlinePaths) -> None:
    """Serve until SIGTERM. Raises: UndulaError when it cannot start."""
    os.umask(0o007)  # ZeroMQ makes the sockets: for the beamline's group only
    places = KernelPlaces.of(paths)
    connection = places.prepare()
    notify.status("loading names")
    client = connect(paths.name, logged_in=False)
    from undula.session.kernel.app import make_app  # brings IPython along
    from undula.session.kernel.guard import Speakers

    folder = paths.state / "ipython"
    folder.mkdir(exist_ok=True)
    _wait_for_devices(client)
    app = make_app(client, connection, folder, Speakers(Access(paths.access)))
    places.claim()
    signal.signal(signal.SIGTERM, lambda *_: _end(app, client))
    threading.Thread(target=_beat, name="heartbeat", daemon=True).start()
    log.get_logger().info("kernel_ready", connection=str(connection))
    notify.ready()
    app.start()


def _wait_for_devices(client: Client) -> None:
    """Both start at once, and the engine may take long to connect its devices."""
    deadline = Deadline(START_S)
    while True:
        try:
            client.devices.table()
            return
        except (OutcomeUnknownError, TimeoutUndulaError, BusError):
            if deadline.passed:
                raise
            notify.status("waiting for the engine's devices")


def _beat() -> None:
    ended = threading.Event()
    while not ended.wait(HEARTBEAT_S):
        notify.heartbeat()


def _end(app: Any, client: Client) -> None:
    """Now, also in the middle of a cell: what the engine does goes on without us."""
    try:
        app.shell.history_manager.writeout_cache()
        client.close()
    finally:
        os._exit(0)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="undula-kernel", description=__doc__)
    parser.add_argument("--beamline", default=default_beamline(), help="name of the beamline")
    paths = beamline_paths(parser.parse_args(argv).beamline)
    log.configure("kernel", paths.logs)
    try:
        serve(paths)
    except UndulaError as error:
        log.get_logger().error("kernel_failed", error=str(error))
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
