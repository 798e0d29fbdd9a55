"""Who may execute code on the shared prompt, and for whom a cell then asks.

In: Jupyter's messages, with a token in `metadata["undula"]`. Out: the cell runs for that person, or
is refused as an error of its own. Code in the kernel may do all that its process may: it has the
trust of a user, and where people log in, nobody below that role executes any.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipykernel.ipkernel import IPythonKernel

from undula.client.link import NO_TOKEN, Acting, acting_for
from undula.core.access import SERVICE, Access, need
from undula.core.errors import AccessError
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.tokens import LOGIN
from undula.session.bridge.hiding import hidden

_refusal: contextvars.ContextVar[AccessError | None] = contextvars.ContextVar(
    "refusal", default=None
)


class Speakers:
    """Knows who speaks. Without users that is whom the front end names."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @contextmanager
    def speaking(self, message: dict[str, Any]) -> Iterator[None]:
        """In here requests are made for the author of `message`; `refused` tells whether it runs.

        The token is taken out of the message, the attested name is put into its header.
        """
        token = _take_token(message)
        origin, mark, name = str(message["header"].get("username", "")).partition(":")
        name = name if mark else origin
        try:
            speaker, refusal = self._admitted(name, token), None
        except AccessError as error:
            speaker, refusal = Acting(name, NO_TOKEN), error
        if speaker.token:
            message["header"]["username"] = f"{origin if mark else 'jupyter'}:{speaker.user}"
        before = _refusal.set(refusal)
        try:
            with acting_for(speaker.user, speaker.token):
                yield
        finally:
            _refusal.reset(before)

    def _admitted(self, name: str, token: Secret) -> Acting:
        if not self._access.required:
            return Acting(name, NO_TOKEN)
        if not token:
            raise AccessError(
                f"{name or 'somebody'} is not logged in, but executing code needs the role user",
                remedy=f"log in: {LOGIN} NAME, and use undula shell",
            )
        claims = self._access.claims(token)
        if claims.issued_by != SERVICE:
            need(claims, Role.USER, "executing code")
        return Acting(claims.user, token)


def refused() -> AccessError | None:
    """Why the cell of this context may not run."""
    return _refusal.get()


def _take_token(message: dict[str, Any]) -> Secret:
    about = message.get("metadata", {}).get("undula")
    token = about.pop("token", "") if isinstance(about, dict) else ""
    return Secret(token if isinstance(token, str) else "")


class GuardedKernel(IPythonKernel):
    """A kernel that executes nothing for whom may not, and tells no secret of a line.

    `speakers` is set before it serves.
    """

    speakers: Speakers

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        show = self.shell._showtraceback
        self.shell._showtraceback = lambda kind, value, lines: show(
            kind, hidden(str(value)), [hidden(line) for line in lines]
        )

    def _publish_execute_input(self, code: str, parent: Any, execution_count: int) -> None:
        """Everybody sees the line, nobody a password in it."""
        super()._publish_execute_input(hidden(code), parent, execution_count)

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell for its author."""
        with self.speakers.speaking(parent):
            await super().execute_request(stream, ident, parent)

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        **about: Any,
    ) -> dict[str, Any]:
        """Execute, or say why not."""
        refusal = refused()
        if refusal is not None:
            return self._refuse(refusal, silent)
        kept = store_history and hidden(code) == code
        result: dict[str, Any] = await super().do_execute(
            code, silent, kept, user_expressions, allow_stdin, **about
        )
        return result

    def _refuse(self, refusal: AccessError, silent: bool) -> dict[str, Any]:
        content = {
            "ename": type(refusal).__name__,
            "evalue": str(refusal),
            "traceback": [str(refusal)],
        }
        if not silent:
            self.session.send(
                self.iopub_socket,
                "error",
                content,
                parent=self.get_parent(),
                ident=self._topic("error"),
            )
        return {
            "status": "error",
            "execution_count": self.execution_count,
            "user_expressions": {},
            "payload": [],
            **content,
        }

    async def do_debug_request(self, msg: dict[str, Any]) -> dict[str, Any]:
        """Nobody: a debugger executes code for whom it likes, and holds up everybody."""
        return {
            "type": "response",
            "request_seq": msg.get("seq", 0),
            "command": msg.get("command", ""),
            "success": False,
            "message": "the shared prompt has no debugger",
        }
