"""Who may take services down or start them anew, where people log in.

In: requests to the supervisor, with the user id that the kernel attests. Out: a refusal, or None.
The account of the services may always: it can end them anyhow. Standard library and `undula.core`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from undula.core.errors import AccessError
from undula.core.kept_token import KeptToken, token_file
from undula.core.paths import BeamlinePaths
from undula.core.roles import Role
from undula.core.secret import Secret

ENDING = {"stop": "taking the services down", "restart": "starting a service anew"}


def refusal_for(paths: BeamlinePaths, request: dict[str, Any], uid: int) -> dict[str, Any] | None:
    """What is answered to whom may not; None to whom may."""
    doing = ENDING.get(str(request.get("do")))
    if doing is None or uid in (os.geteuid(), 0):
        return None
    from undula.core.access import Access, need  # rarely needed, and OpenSSL with it

    access = Access(paths.access)
    try:
        if access.required:
            given = request.get("token")
            need(access.claims(Secret(given if isinstance(given, str) else "")), Role.USER, doing)
    except AccessError as error:
        return {"error": error.what, "remedy": error.remedy, "category": error.category}
    return None


def proof(paths: BeamlinePaths, request: dict[str, Any]) -> dict[str, str]:
    """What such a request carries: the person's token, over the supervisor's own socket only."""
    if request.get("do") in ENDING:
        with suppress(AccessError):
            token = KeptToken(token_file(paths))()
            if token:
                return {"token": token.reveal()}
    return {}


def raise_refusal(answer: dict[str, Any]) -> None:
    """Raises: AccessError when the supervisor refused."""
    if answer.get("category") == AccessError.category:
        raise AccessError(str(answer["error"]), remedy=str(answer["remedy"]))
