"""Room: processes. The publisher process: from the engine's socket to the broker's journals.

Run by the supervisor: `python -m undula.processes.publisher --beamline NAME`. Ends on SIGTERM after
it has flushed. Exit: 0 ended as asked, 1 could not start or could not flush.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from undula.bus import broker
from undula.bus.outgoing import LogOnBus, Outgoing
from undula.bus.publisher import Publisher
from undula.core import log, notify
from undula.core.errors import UndulaError
from undula.core.paths import beamline_paths, default_beamline
from undula.core.settings import load_settings

START_S = 30.0


def serve(beamline: str) -> int:
    """Run until SIGTERM. Raises: UndulaError when it cannot start."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    paths = beamline_paths(beamline)
    settings = load_settings(paths.config)
    log.configure("publisher", paths.logs)
    notify.status("waiting for the broker")
    connector = broker.connect(paths, settings, "service", "publisher", wait_s=START_S)
    outgoing = Outgoing()
    log.add_sink(LogOnBus(connector, outgoing))
    address = broker.address(paths, settings, "service", "publisher")
    publisher = Publisher(
        paths.publisher_socket, address, lambda link: broker.status(link, paths, settings)
    )
    publisher.start()
    if not publisher.connected.wait(START_S):
        raise UndulaError(publisher.trouble or "no broker", remedy="see `undula status`")
    notify.ready()
    log.get_logger().info("publisher_ready", socket=str(paths.publisher_socket))
    while not ended.wait(1.0):
        held = publisher.held
        notify.heartbeat(publisher.trouble or (f"{held} documents in hand" if held else ""))
    flushed = publisher.close()
    log.get_logger().info("publisher_ended", flushed=flushed)
    outgoing.close()
    connector.close()
    return 0 if flushed else 1


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="undula-publisher", description=serve.__doc__)
    parser.add_argument("--beamline", default=default_beamline(), help="name of the beamline")
    arguments = parser.parse_args(argv)
    try:
        return serve(arguments.beamline)
    except UndulaError as exc:
        notify.status(str(exc))
        sys.stderr.write(f"{exc}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
