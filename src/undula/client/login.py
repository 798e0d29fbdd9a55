"""Logging in, as a client: the door of the engine, and the token that a person keeps.

In: a name and a password. Out: a token in a file of the person (`core.kept_token`), which
`connect()` uses. The password goes through a Unix socket of the beamline, never over the broker.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from undula.core.errors import AccessError, ServiceError
from undula.core.kept_token import KeptToken, token_file
from undula.core.paths import BeamlinePaths
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.tokens import Claims, claims_of
from undula.messages.errors import ErrorReport

DOOR_TIMEOUT_S = 30.0
"""Checking a password takes some tenths of a second, and people wait for each other."""
MAX_ANSWER = 16_384


def ask_door(paths: BeamlinePaths, **words: Any) -> dict[str, Any]:
    """One question to the door: `do` and what it needs; secrets as `Secret`.

    Raises: AccessError as the door says; ServiceError when there is none.
    """
    line = Secret(json.dumps(words, default=lambda secret: secret.reveal()))
    try:
        answer = _exchange(paths.login_socket, line)
    except PermissionError:
        raise AccessError(
            f"your account is not in the group of beamline {paths.name!r}",
            remedy="ask staff to add it to the group",
        ) from None
    except (OSError, ValueError):
        raise ServiceError(
            f"nobody answers at the door of beamline {paths.name!r}",
            remedy="see undula status; start the services: undula up",
        ) from None
    if "error" in answer:
        raise ErrorReport.model_validate(answer["error"]).to_exception() from None
    return answer


def _exchange(path: Path, line: Secret) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(DOOR_TIMEOUT_S)
        door.connect(str(path))
        door.sendall(line.reveal().encode() + b"\n")  # no variable holds it
        heard = b""
        while not heard.endswith(b"\n"):
            more = door.recv(MAX_ANSWER)
            if not more or len(heard) > MAX_ANSWER:
                raise ValueError("no answer")
            heard += more
    answer = json.loads(heard)
    if not isinstance(answer, dict):
        raise ValueError("no table")
    return answer


def login(paths: BeamlinePaths, name: str, password: str | Secret) -> Claims:
    """Let a person in; the token is kept for all later commands. Raises: AccessError."""
    answer = ask_door(paths, do="login", name=name, password=Secret(password))
    token = Secret(str(answer["token"]))
    KeptToken(token_file(paths)).keep(token)
    return claims_of(token)


def logout(paths: BeamlinePaths) -> Claims | None:
    """End the kept token, at the services too; None when nobody was logged in.

    Raises: ServiceError when the services do not run: then it ends by itself.
    """
    kept = KeptToken(token_file(paths))
    token = kept()
    kept.forget()
    if not token:
        return None
    with suppress(AccessError):  # it had ended already
        ask_door(paths, do="logout", token=token)
    return claims_of(token)


def whoami(paths: BeamlinePaths) -> Claims | None:
    """Whom the services know this person as; None: nobody logs in at this beamline.

    Raises: AccessError when the log in does not hold, ServiceError when the services do not run.
    """
    answer = ask_door(paths, do="whoami", token=KeptToken(token_file(paths))())
    if not answer["required"]:
        return None
    claims = answer["claims"]
    return Claims(**{**claims, "role": Role.of(claims["role"])})


def change_password(paths: BeamlinePaths, name: str, old: str | Secret, new: str | Secret) -> None:
    """Another password for oneself; everybody logged in by the old one is logged out."""
    ask_door(paths, do="password", name=name, old=Secret(old), new=Secret(new))
