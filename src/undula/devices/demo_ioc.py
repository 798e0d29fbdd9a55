"""EPICS IOCs that others wrote, started in a process of their own on loopback.

Used by `undula demo --epics` and by tests. The IOCs are caproto's examples `mini_beamline` (a
pinhole and its detector) and `fake_motor_record` (a full motor record). Needs the extra `epics`.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from undula.core.errors import ServiceError

MINI_BEAMLINE_FILE = Path(__file__).with_name("mini_beamline.yaml")
"""Device file of caproto's mini_beamline."""
START_TIMEOUT_S = 30.0
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The ports that the kernel gives to sockets which ask for none."""
_PROBE = """
import sys, time
from caproto import CaprotoTimeoutError
from caproto.sync.client import read
end = time.monotonic() + float(sys.argv[2])
while True:  # short tries: caproto repeats a lost search only after half its timeout
    try:
        read(sys.argv[1], timeout=0.3, repeater=False)
        break
    except (CaprotoTimeoutError, OSError):
        if time.monotonic() > end:
            raise
"""


@dataclass(frozen=True, slots=True)
class RunningIoc:
    """An IOC: its process id, and the environment in which a client finds it."""

    pid: int
    env: dict[str, str]


def _free_ports(count: int) -> list[str]:
    """Distinct ports that are free for UDP and TCP on loopback, none of them in `EPHEMERAL`.

    Channel Access clients let their sockets share a port, so the kernel may give a client the port
    of a server as its own; it then gets its own search back. Measured: 1 in 35 000 sockets.
    """
    below = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32768
    with contextlib.ExitStack() as stack:
        found: list[str] = []
        while len(found) < count:
            port = random.randrange(10000, max(below, 20000))  # noqa: S311  # no secret
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with contextlib.suppress(OSError):  # taken: the next one
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
                found.append(str(port))
    return found


def loopback_environment() -> dict[str, str]:
    """Channel Access and PV Access on loopback only, on free ports of its own."""
    server, repeater, search, stream = _free_ports(4)
    return {
        "EPICS_PVA_ADDR_LIST": f"127.0.0.1:{search}",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_BROADCAST_PORT": search,
        "EPICS_PVAS_BROADCAST_PORT": search,
        "EPICS_PVAS_SERVER_PORT": stream,
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_PVAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{server}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": server,
        "EPICS_CA_REPEATER_PORT": repeater,
        "EPICS_CAS_SERVER_PORT": server,
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
    }


@contextlib.contextmanager
def running_ioc(module: str, prefix: str, probe_pv: str) -> Iterator[RunningIoc]:
    """Start an IOC, wait until it answers, end it afterwards. Raises: ServiceError.

    Args:
        module: Python module of the IOC.
        prefix: prefix of its PVs.
        probe_pv: a PV that answers when it is ready.
    """
    env = loopback_environment()
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--prefix", prefix, "--interfaces", "127.0.0.1"],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, probe_pv, str(START_TIMEOUT_S)],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=2 * START_TIMEOUT_S,
            check=False,
        )
        if probe.returncode:
            raise ServiceError(
                f"the IOC {module} does not answer: {probe.stderr.strip()[-200:]}",
                remedy="install the extra epics: pip install 'undula[epics]'",
            )
        yield RunningIoc(process.pid, env)
    finally:
        process.terminate()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def mini_beamline() -> contextlib.AbstractContextManager[RunningIoc]:
    """caproto's mini_beamline under the prefix `mini:`."""
    return running_ioc("caproto.ioc_examples.mini_beamline", "mini:", "mini:current")


def fake_motor(prefix: str = "sim:") -> contextlib.AbstractContextManager[RunningIoc]:
    """caproto's fake motor record under `sim:mtr1` to `mtr3`."""
    return running_ioc("caproto.ioc_examples.fake_motor_record", prefix, f"{prefix}mtr1")
