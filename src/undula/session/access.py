"""`login()`, `logout()` and `whoami()` at the prompt.

In: a name; the password is typed unseen. Out: who one is, in words. On the shared prompt nobody
logs in: it belongs to everybody, each terminal speaks for whoever is logged in there.
"""

from __future__ import annotations

import getpass
import sys
import time

from undula.client import Client
from undula.client import login as door
from undula.client.link import acting
from undula.core.errors import AccessError, ServiceError
from undula.core.paths import BeamlinePaths
from undula.core.secret import Secret
from undula.core.tokens import Claims, claims_of


class People:
    """Logging in for a shell of one's own; looking, on the shared prompt."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def _paths(self) -> BeamlinePaths:
        if self._client.paths is None:
            raise ServiceError("this client has no beamline", remedy="connect to one by its name")
        return self._client.paths

    def login(self, name: str | None = None) -> None:
        """login(), login("eva"): log in; the password is asked and not shown."""
        _refuse_on_the_shared_prompt("login NAME")
        name = name or input("User: ").strip()
        self._say(door.login(self._paths, name, Secret(getpass.getpass("Password: "))))

    def logout(self) -> None:
        """Log out: what was given out at the log in ends now."""
        _refuse_on_the_shared_prompt("logout")
        claims = door.logout(self._paths)
        _write(f"{claims.user} is logged out" if claims else "nobody was logged in")

    def whoami(self) -> None:
        """Whom the beamline knows you as, and until when."""
        speaker = acting()
        if speaker is None:
            self._say(door.whoami(self._paths))
        elif speaker.token:
            self._say(claims_of(speaker.token))
        else:
            _write(f"{speaker.user}; nobody has to log in")

    def _say(self, claims: Claims | None) -> None:
        if claims is None:
            _write("nobody has to log in: there are no users")
        else:
            until = time.strftime("%H:%M on %d %b", time.localtime(claims.expires))
            _write(f"{claims.user}, {claims.role}, until {until}")


def _refuse_on_the_shared_prompt(command: str) -> None:
    if acting() is not None:
        raise AccessError(
            "this prompt belongs to everybody: nobody logs in or out on it",
            remedy=f"in another terminal: undula {command}; this one then speaks accordingly",
        )


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
