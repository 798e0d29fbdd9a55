"""Process: the session service. Commands of people and programs, for the shared prompt.

Run by the supervisor: `python -m undula.processes.session --beamline NAME`. The kernel is another
process: each goes on when the other ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

from undula.bus import broker
from undula.bus.outgoing import LogOnBus, Outgoing
from undula.client import Client, connect
from undula.core import log, notify
from undula.core.access import Access
from undula.core.errors import UndulaError
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.core.settings import load_settings
from undula.session.bridge.bridge import SessionBridge
from undula.session.bridge.log import CommandLog
from undula.session.kernel.places import KernelPlaces
from undula.session.kernel.prompt import KernelPrompt
from undula.session.rpc.beamline import ClientDevices, ClientScans, Told
from undula.session.rpc.login import Login
from undula.session.rpc.service import RpcOptions, RpcService

START_S = 30.0
HEARTBEAT_S = 1.0


def _occupied(client: Client) -> str:
    status = client.queue.last
    if status is None or status.running is None:
        return ""
    number = f"scan {status.run_number}" if status.run_number is not None else "a scan"
    return f"{number} by {status.running.user}"


class SessionRpc:
    """Requests of programs, and what the beamline tells them."""

    def __init__(self, service: RpcService, told: Told) -> None:
        self._service, self._told = service, told

    @classmethod
    async def opened(
        cls, paths: BeamlinePaths, bridge: SessionBridge, client: Client
    ) -> SessionRpc:
        """Open the sockets. Raises: UndulaError, OSError."""
        settings = load_settings(paths.config)
        login = Login(Access(paths.access, lifetime_s=settings.login_lifetime_s))
        connector = client.link.connector
        options = RpcOptions(
            name=paths.name,
            code=settings.rpc.code,
            raw=settings.rpc.raw,
            plugins=settings.rpc.plugins,
            identify=login.identify,
            namespaces={"auth": login},
        )
        scans = ClientScans(client)
        service = RpcService(
            paths.run, bridge, ClientDevices(client), scans, options, client=client
        )
        told = Told(connector, service.server.notify, asyncio.get_running_loop())
        await service.open()
        await asyncio.to_thread(told.start)
        return cls(service, told)

    async def close(self) -> None:
        """Close the sockets; open requests end without a reply."""
        await self._service.close()
        await asyncio.to_thread(self._told.close)


async def _serve(paths: BeamlinePaths, client: Client) -> None:
    commands = CommandLog(paths.commands)
    commands.end_open("the session service ended while it ran: the prompt may have gone on")
    places = KernelPlaces.of(paths)
    places.prepare()
    access = Access(paths.access)
    prompt = KernelPrompt(places, lambda: access.of_service("session"))
    bridge = SessionBridge(prompt, commands, busy=lambda: _occupied(client))
    prompt.tell(bridge)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    opening = asyncio.create_task(prompt.link.open(timeout_s=float("inf")))
    rpc = await SessionRpc.opened(paths, bridge, client)
    log.get_logger().info("session_ready")
    notify.ready()
    try:
        while not ended.is_set():
            notify.heartbeat(bridge.words() if prompt.link.alive else "waiting for the kernel")
            try:
                await asyncio.wait_for(ended.wait(), HEARTBEAT_S)
            except TimeoutError:
                continue
    finally:
        await rpc.close()
        opening.cancel()
        await prompt.link.close()
        commands.close()


def serve(paths: BeamlinePaths) -> None:
    """Serve until SIGTERM. Raises: UndulaError when it cannot start."""
    os.umask(0o007)
    settings = load_settings(paths.config)
    notify.status("waiting for the broker")
    connector = broker.connect(paths, settings, "service", "session", wait_s=START_S)
    outgoing = Outgoing()
    log.add_sink(LogOnBus(connector, outgoing))
    with connect(paths.name, logged_in=False) as client:
        asyncio.run(_serve(paths, client))
    outgoing.close()
    connector.close()


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="undula-session", description=__doc__)
    parser.add_argument("--beamline", default=default_beamline(), help="name of the beamline")
    paths = beamline_paths(parser.parse_args(argv).beamline)
    log.configure("session", paths.logs)
    try:
        serve(paths)
    except UndulaError as error:
        log.get_logger().error("session_failed", error=str(error))
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
