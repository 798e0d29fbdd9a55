"""Verbs: methods of plain classes that a request may call by `NOUN/VERB`.

In: objects whose methods bear `@verb`. Out: one table of verbs, each with a model of its fields.
Plugins add namespaces by entry points of the group `undula.rpc`, or by `module:factory` in the
settings. Called by: the server. Not here: what the verbs do.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from undula.core.errors import AccessError, ConfigError, InputError
from undula.core.log import get_logger
from undula.core.roles import Role
from undula.session.bridge.model import Author
from undula.session.rpc.peers import Peer

GROUP = "undula.rpc"
_MARK = "_undula_verb"
F = TypeVar("F", bound=Callable[..., Any])
Connection = tuple[bytes, int, int]
"""One line of one process: libzmq's routing id, user, process."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks: first argument of each verb."""

    typ: str
    author: Author
    role: Role
    peer: Peer
    connection: Connection


def verb(name: str | None = None, *, needs: Role = Role.OBSERVER) -> Callable[[F], F]:
    """Mark a method as a verb: `keys(self, ask, path: str)` in the namespace `dev`: `dev/keys`.

    A coroutine runs on the server's loop and must not block it; a plain method runs on a thread.
    Its parameters are the fields of the request, checked by their annotations. `name` is the verb's
    where it is not the method's; "" makes the namespace itself a verb. `needs` is the lowest role
    that may ask: `Role.USER` for whatever moves or changes.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, (method.__name__.rstrip("_") if name is None else name, needs))
        return method

    return mark


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: what to call, with which fields, for whom."""

    typ: str
    call: Callable[..., Any]
    fields: type[BaseModel]
    is_async: bool
    needs: Role

    def check(self, ask: Ask) -> None:
        """Raises: AccessError when the asker's role is too low."""
        if ask.role < self.needs:
            raise AccessError(
                f"{ask.author.name} is {ask.role.phrase}, but {self.typ} needs the role "
                f"{self.needs}",
                remedy="log in with auth/login as somebody who may",
            )

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """The fields of a request as arguments. Raises: InputError that names no value."""
        try:
            made = self.fields.model_validate(given)
        except ValidationError as exc:
            raise self._unfit(exc) from None  # the values stay out: one may be a password
        return {name: getattr(made, name) for name in made.model_fields_set}

    def _unfit(self, exc: ValidationError) -> InputError:
        known = ", ".join(self.fields.model_fields) or "no fields"
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg'].lower()}"
            for fault in exc.errors(include_url=False, include_input=False, include_context=False)
        ]
        return InputError(
            f"{self.typ} does not take this: {'; '.join(faults[:5])}",
            remedy=f"{self.typ} takes {known}",
        )


class Verbs:
    """The table of verbs, put together from namespaces."""

    def __init__(self) -> None:
        self._verbs: dict[str, Verb] = {}

    def add(self, namespace: str, made: object) -> None:
        """Add an object's verbs. Raises: ConfigError when there are none, or one is taken."""
        found = [
            (*getattr(method, _MARK), method)
            for _, method in inspect.getmembers(made, callable)
            if hasattr(method, _MARK)
        ]
        if not found:
            raise ConfigError(
                f"{type(made).__name__} has no verb for the RPC namespace {namespace!r}",
                remedy="mark its methods with undula.session.rpc.verbs.verb",
            )
        typs = ((_typ(namespace, name), needs, method) for name, needs, method in found)
        new = {typ: _verb(typ, needs, method) for typ, needs, method in typs}
        taken = sorted(new.keys() & self._verbs.keys())
        if taken:
            raise ConfigError(
                f"the RPC verb {taken[0]} is there already",
                remedy=f"give {type(made).__name__} another namespace or verb",
            )
        self._verbs |= new

    def find(self, typ: str) -> Verb:
        """The verb. Raises: InputError with what comes near."""
        found = self._verbs.get(typ)
        if found is None:
            near = get_close_matches(typ, self._verbs, 3, 0.7)
            raise InputError(
                f"there is no verb {typ}",
                remedy=f"did you mean {', '.join(near)}?" if near else "rpc/verbs lists them all",
            )
        return found

    def table(self) -> dict[str, dict[str, Any]]:
        """Each verb with what it does and the JSON schema of its fields."""
        return {
            typ: {
                "about": inspect.getdoc(found.call) or "",
                "needs": str(found.needs),
                "fields": found.fields.model_json_schema().get("properties", {}),
                "required": found.fields.model_json_schema().get("required", []),
            }
            for typ, found in sorted(self._verbs.items())
        }

    def add_plugins(self, listed: Iterable[str], offer: Any) -> list[str]:
        """Add namespaces that others wrote; each factory is called with `offer`.

        Args:
            listed: `NAMESPACE=module:factory` texts, beside the entry points of `undula.rpc`.
            offer: what the server gives to a plugin (`plugins.Offer`).

        Returns: one sentence for each that could not be added; the others are there.
        """
        faults = []
        found = [(e.name, e.value) for e in entry_points(group=GROUP)]
        found += [(name, place) for name, _, place in (text.partition("=") for text in listed)]
        for namespace, place in found:
            try:
                self.add(namespace.strip(), _factory(place.strip())(offer))
            except Exception as exc:  # a plugin's fault, whatever it is, must not end the service
                faults.append(f"RPC plugin {namespace}={place}: {type(exc).__name__}: {exc}")
                get_logger().exception("rpc_plugin_failed", namespace=namespace, place=place)
        return faults


def _typ(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if name else namespace


def _factory(place: str) -> Callable[[Any], object]:
    module, _, name = place.partition(":")
    factory: Callable[[Any], object] = getattr(importlib.import_module(module), name)
    return factory


def _verb(typ: str, needs: Role, method: Callable[..., Any]) -> Verb:
    hints = get_type_hints(method)
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    model = create_model(
        f"Fields of {typ}", __config__=ConfigDict(extra="forbid", strict=True), **fields
    )
    return Verb(typ, method, model, inspect.iscoroutinefunction(method), needs)
