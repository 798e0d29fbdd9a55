"""The ports of an IOC on loopback are none that the kernel would give to a client."""

from __future__ import annotations

from undula.devices.demo_ioc import EPHEMERAL, loopback_environment


def test_no_port_of_an_ioc_can_become_a_clients_own() -> None:
    first, last = map(int, EPHEMERAL.read_text().split())
    env = loopback_environment()
    ports = [int(value) for name, value in env.items() if name.endswith("_PORT")]

    assert len(set(ports)) == 4
    assert not [port for port in ports if first <= port <= last]
