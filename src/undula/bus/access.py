"""Room: the message bus. The broker's access rules, generated from the endpoints.

In: `ENDPOINTS`. Out: the text of an ACL file with the users service, client and observer. Called
by: `bus.broker`; `python -m undula.bus.reference` writes the reference copy. The rules guard
against mistakes; the boundary on a host is the beamline's Unix group.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from undula.bus.endpoints import ENDPOINTS, Endpoint, Role
from undula.messages import Message

ROLES: tuple[Role, ...] = ("service", "client", "observer")

_COMMON = (
    "ping", "hello", "auth", "reset", "quit", "select", "info", "client|setname", "client|setinfo",
    "client|id", "get", "exists", "xread", "xrange", "xrevrange", "xlen", "ttl", "subscribe",
    "unsubscribe",
)  # fmt: skip
_ASKING = ("xadd", "blpop")
_PUTTING = ("multi", "exec", "discard")
"""Of those who put a few `latest` endpoints; setting and publishing are allowed for these alone."""
_SERVING = (
    "set", "publish", "multi", "exec", "discard", "xadd", "xtrim", "xgroup|create", "xreadgroup",
    "xack", "rpush", "expire", "pexpire", "persist", "del", "waitaof", "mget", "blpop",
    "config|get",
)  # fmt: skip


def _commands(role: Role) -> list[str]:
    more = {"service": _SERVING, "client": (*_ASKING, *_PUTTING), "observer": ()}[role]
    return [f"+{name}" for name in sorted({*_COMMON, *more})]


def _keys(role: Role, endpoints: tuple[Endpoint[Message], ...]) -> list[str]:
    rules: list[str] = []
    for endpoint in endpoints:
        reads, writes = role in endpoint.readers, role in endpoint.writers
        if endpoint.delivery == "send" or not (reads or writes):
            continue
        if endpoint.delivery == "latest" and role != "service":
            writes = False  # by a selector, which allows the command for this key alone
            if not reads:
                continue
        mark = "~" if reads and writes else "%R~" if reads else "%W~"
        rules.append(mark + endpoint.glob)
    asks = any(e.delivery == "request" and role in e.writers for e in endpoints)
    if role == "service":
        rules += ["~replies/*", "~outcomes/*", "~requests/cursor/*", "~publisher/*"]
    elif asks:
        rules += ["~replies/*", "%R~outcomes/*"]
    return rules


def _channels(role: Role, endpoints: tuple[Endpoint[Message], ...]) -> list[str]:
    return [
        f"&{endpoint.glob}"
        for endpoint in endpoints
        if endpoint.delivery in ("latest", "send")
        and (role in endpoint.readers or role in endpoint.writers)
    ]


def _puts(role: Role, endpoints: tuple[Endpoint[Message], ...]) -> list[str]:
    """A selector for each `latest` endpoint that somebody else than a service puts."""
    if role == "service":
        return []
    own = [e for e in endpoints if e.delivery == "latest" and role in e.writers]
    return [f"(+set +publish ~{e.glob} &{e.glob})" for e in own]


def acl_text(
    passwords: Mapping[Role, str], endpoints: tuple[Endpoint[Message], ...] = ENDPOINTS
) -> str:
    """The ACL file. It holds hashes of the passwords, never the passwords.

    Args:
        passwords: one for each role.
    """
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    for role in ROLES:
        digest = sha256(passwords[role].encode()).hexdigest()
        lines.append(_user(role, f"#{digest}", endpoints))
    return "\n".join(lines) + "\n"


def reference_text() -> str:
    """The ACL file as documentation: the hash of each password stands as a word."""
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    lines += [_user(role, f"#<sha256 of {role}.password>", ENDPOINTS) for role in ROLES]
    return "\n".join(lines) + "\n"


def _user(role: Role, secret: str, endpoints: tuple[Endpoint[Message], ...]) -> str:
    parts = ["user", role, "on", "resetpass", secret, "resetkeys", "resetchannels", "-@all"]
    parts += [*_keys(role, endpoints), *_channels(role, endpoints), *_commands(role)]
    parts += _puts(role, endpoints)
    return " ".join(parts)
