"""What a plugin of the RPC gets: its factory `make(offer: Offer)` returns a namespace.

In: nothing. Out: the types for who writes one; see `docs/reference/rpc.md`. A namespace is a plain
class with methods marked by `@verb`.
"""

from __future__ import annotations

from dataclasses import dataclass

from undula.client import Client
from undula.session.bridge.bridge import SessionBridge
from undula.session.rpc.ports import Devices, Notify, Scans
from undula.session.rpc.verbs import Ask, verb

__all__ = ["Ask", "Offer", "verb"]


@dataclass(frozen=True, slots=True)
class Offer:
    """The parts that a namespace may use.

    `notify` and `bridge` belong to the server's loop: call them in coroutines. `client` is None in
    a plain IPython.
    """

    devices: Devices
    scans: Scans
    notify: Notify
    bridge: SessionBridge
    client: Client | None = None
