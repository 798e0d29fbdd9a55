"""Who is let in, and as what: users and tokens of a beamline together.

In: names with passwords, tokens, passes. Out: `Claims` that hold now: the person still exists, and
has at least the role. Used by services, which run under the account that owns the folder. Without a
users' file nobody logs in, and the Unix group of the beamline is the boundary.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from undula.core.errors import AccessError
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.tokens import DERIVED_LIFETIME_S, LOGIN, PERSON_LIFETIME_S, Claims, Tokens
from undula.core.users import Users

SERVICE = "service"
"""Who issued a token that a service has of itself: it belongs to no person, and moves nothing."""


class Access:
    """`Access(paths.access)`: log in, log out, and who a token or pass belongs to. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        *,
        lifetime_s: float = PERSON_LIFETIME_S,
        users: Users | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.users = users or Users(folder)
        self.tokens = tokens or Tokens(folder)
        self._lifetime_s = lifetime_s

    @property
    def required(self) -> bool:
        """Whether people have to log in. Raises: AccessError when that cannot be known."""
        return self.users.exist

    def login(self, name: str, password: str | Secret, issued_by: str = "login") -> Secret:
        """A token for a person with the right password. Raises: AccessError.

        Takes some tenths of a second, one at a time: not for an event loop.
        """
        secret = Secret(password)
        if not self.required:
            raise AccessError(
                "nobody has to log in here: there are no users",
                remedy="go on without; staff make users by: undula users add NAME --role user",
            )
        role = self.users.verify(name, secret)
        return self.tokens.issue(name, role, issued_by, self._lifetime_s)

    def derive(
        self, token: str | Secret, issued_by: str, lifetime_s: float = DERIVED_LIFETIME_S
    ) -> Secret:
        """A token for the same person that ends earlier, for a program that acts for them."""
        claims = self.claims(token)
        left_s = claims.expires - self.tokens.time()
        return self.tokens.issue(claims.user, claims.role, issued_by, min(lifetime_s, left_s))

    def of_service(self, name: str, lifetime_s: float = 60.0) -> Secret:
        """A token of a service itself, for what it asks of another one. Raises: AccessError."""
        return self.tokens.issue(name, Role.OBSERVER, SERVICE, lifetime_s)

    def logout(self, token: str | Secret) -> Claims:
        """End a token now. Raises: AccessError when it does not hold anyhow."""
        claims = self.tokens.check(token)
        self.tokens.revoke(claims.id, claims.expires)
        return claims

    def claims(self, token: str | Secret) -> Claims:
        """Whom a token belongs to, with the role that holds now. Raises: AccessError."""
        return self._current(self.tokens.check(token))

    def pass_claims(self, given: str | Secret, content: bytes) -> Claims:
        """Who made this pass for a request of this content. Raises: AccessError."""
        return self._current(self.tokens.check_pass(given, content))

    def _current(self, claims: Claims) -> Claims:
        if claims.issued_by == SERVICE:
            return replace(claims, role=Role.OBSERVER)
        user = self.users.find(claims.user)
        if user is None:
            raise AccessError(f"there is no user {claims.user} any more", remedy="ask staff")
        if claims.issued < user.changed:
            raise AccessError(
                f"role or password of {claims.user} were changed since the log in",
                remedy=f"log in again: {LOGIN}",
            )
        return replace(claims, role=min(claims.role, user.role))


def need(claims: Claims, role: Role, doing: str) -> None:
    """Raises: AccessError when this person may not do that, e.g. `moving samx`."""
    if claims.role < role:
        raise AccessError(
            f"{claims.user} is {claims.role.phrase}, but {doing} needs the role {role}",
            remedy=f"log in as somebody with the role {role}: {LOGIN} NAME",
        )
