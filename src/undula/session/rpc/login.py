"""Who a peer is: by the kernel, or by a log in. The verbs `auth/...`.

In: names with passwords, tokens. Out: authors with roles. A password goes to `core.access` and
nowhere else; a token is bound to its connection and returned for later ones. Called by: the server.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from undula.core.access import Access
from undula.core.errors import AccessError
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.tokens import Claims
from undula.session.bridge.model import Author
from undula.session.rpc.peers import Peer
from undula.session.rpc.ports import Fields
from undula.session.rpc.server import by_credentials
from undula.session.rpc.verbs import Ask, Connection, verb

REMEMBERED_S = 1.0
"""How long a look into the users' files is trusted; services look anew at each request."""
MAX_CONNECTIONS = 1000


class Login:
    """`auth/...` and `identify`: with users, who has not logged in only observes."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._tokens: OrderedDict[Connection, str] = OrderedDict()
        self._required = (0.0, True)
        self._known: dict[str, tuple[float, Claims]] = {}

    async def identify(self, peer: Peer, connection: Connection, token: str) -> tuple[Author, Role]:
        """Author and role of a request. Raises: AccessError for a token that does not hold."""
        if not await self._log_in_required():
            return await by_credentials(peer, connection, "")
        bound = token or self._tokens.get(connection, "")
        if not bound:
            return Author(peer.name), Role.OBSERVER
        try:
            claims = await self._claims(bound)
        except AccessError:
            self._forget(connection, bound)
            raise
        return Author(claims.user, "rpc", bound), claims.role

    async def _log_in_required(self) -> bool:
        until, required = self._required
        if until < time.monotonic():
            required = await asyncio.to_thread(lambda: self._access.required)
            self._required = (time.monotonic() + REMEMBERED_S, required)
        return required

    async def _claims(self, token: str) -> Claims:
        until, claims = self._known.get(token, (0.0, None))
        if claims is None or until < time.monotonic():
            claims = await asyncio.to_thread(self._access.claims, Secret(token))
            if len(self._known) > MAX_CONNECTIONS:
                self._known.clear()
            self._known[token] = (time.monotonic() + REMEMBERED_S, claims)
        return claims

    def _forget(self, connection: Connection, token: str) -> None:
        self._known.pop(token, None)
        if self._tokens.get(connection) == token:
            del self._tokens[connection]

    @verb()
    async def login(self, ask: Ask, name: str, password: str) -> Fields:
        """Log in: `token` for later connections, `name`, `role`, `expires` (UTC epoch s)."""
        secret = Secret(password)
        token = await asyncio.to_thread(self._access.login, name, secret, "rpc")
        claims = await asyncio.to_thread(self._access.claims, token)
        self._tokens[ask.connection] = token.reveal()
        self._tokens.move_to_end(ask.connection)
        while len(self._tokens) > MAX_CONNECTIONS:
            self._tokens.popitem(last=False)
        return {
            "token": token.reveal(),
            "name": claims.user,
            "role": str(claims.role),
            "expires": claims.expires,
        }

    @verb()
    async def logout(self, ask: Ask) -> None:
        """Log out: the token ends everywhere."""
        if not ask.author.token:
            raise AccessError("nobody is logged in", remedy="log in first: auth/login")
        await asyncio.to_thread(self._access.logout, Secret(ask.author.token))
        self._forget(ask.connection, ask.author.token)

    @verb()
    async def whoami(self, ask: Ask) -> Fields:
        """Name, role, and whether that comes from a log in."""
        return {
            "name": ask.author.name,
            "role": str(ask.role),
            "logged_in": bool(ask.author.token),
            "uid": ask.peer.uid,
        }
