"""Plans as values at the prompt: calls that have not run. They do nothing by themselves."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from undula.client.arguments import Named
from undula.core.errors import InputError
from undula.messages.plans import UserPlan

RUN_IT = "RE(...) runs it, queue.add(...) queues it"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PlanCall:
    """A call of one of Bluesky's plans, or of a decorated one; nothing has moved."""

    target: PlanFunction | Decorated
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, function: Any) -> Decorated:
        """As a decorator of a plan that is defined here."""
        if not isinstance(self.target, PlanFunction) or not self.target.decorates:
            raise InputError(
                f"{self.target!r} was called already", remedy=f"{RUN_IT}; it is called once"
            )
        plain = function.function if isinstance(function, Decorated) else function
        return Decorated(plain)

    def __iter__(self) -> Iterator[Any]:
        self._not_here()

    def send(self, value: Any) -> Any:
        """Raises: InputError, always: a plan runs in the engine."""
        del value
        self._not_here()

    def _not_here(self) -> NoReturn:
        raise InputError(f"{self!r} runs in the engine, not here", remedy=RUN_IT)

    def __repr__(self) -> str:
        parts = [_shown(value) for value in self.args]
        parts += [f"{name}={_shown(value)}" for name, value in self.kwargs.items()]
        return f"{self.target!r}({', '.join(parts)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """At the prompt it says what it is: `bp.scan(...)` alone moves nothing."""
        del cycle
        decorates = isinstance(self.target, PlanFunction) and self.target.decorates
        printer.text(repr(self) if decorates else f"{self!r}: a plan, not run; {RUN_IT}")


class PlanFunction:
    """One of Bluesky's plans, stubs or wrappers; calling it makes a `PlanCall`."""

    def __init__(self, module: str, name: str, shown: inspect.Signature | None, doc: str) -> None:
        self.module, self.name = module, name
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        self._signature = shown
        if shown is not None:
            self.__signature__ = shown

    @property
    def decorates(self) -> bool:
        """It makes decorators, not plans."""
        return self.name.endswith("_decorator")

    def __call__(self, *args: Any, **kwargs: Any) -> PlanCall:
        """The plan, not run. Raises: InputError when the arguments do not fit."""
        if self._signature is not None:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as exc:
                raise InputError(
                    f"{self!r}: {exc}",
                    remedy=f"use {self!r}{self._signature}; {self!r}? tells more",
                ) from exc
        return PlanCall(self, args, kwargs)

    def __repr__(self) -> str:
        return f"{self.module}.{self.name}"


class PackagePlan(PlanFunction):
    """A plan of an installed package, which the engine imports; calling it makes a `PlanCall`."""

    def __init__(self, plan: UserPlan) -> None:
        super().__init__(plan.origin, plan.name, signature_of(plan), doc_of(plan))
        self.plan = plan

    @property
    def statement(self) -> str:
        """How the engine imports it, up to the name that it gets there."""
        module, _, attribute = self.plan.imported.partition(":")
        return f"from {module} import {attribute} as "

    def __repr__(self) -> str:
        return self.name


def signature_of(plan: UserPlan) -> inspect.Signature:
    """The arguments of a plan, as `?` shows them.

    >>> words = [{"name": "axis"}, {"name": "n", "required": False, "default": "5"}]
    >>> plan = UserPlan.model_validate({"name": "align", "origin": "f", "parameters": words})
    >>> str(signature_of(plan))
    '(axis, n=5)'
    """
    kinds, found = inspect.Parameter, []
    for p in plan.parameters:
        placed = kinds.VAR_POSITIONAL if p.many else kinds.POSITIONAL_OR_KEYWORD
        default = kinds.empty if p.required or p.many else Written(p.default)
        kind = kinds.KEYWORD_ONLY if p.named else placed
        found.append(kinds(p.name, kind, default=default))
    return inspect.Signature(found)


def doc_of(plan: UserPlan) -> str:
    """What a plan says of itself and of its arguments."""
    lines = [f"{plan.help}\n", f"Of {plan.origin}. {RUN_IT}.", ""]
    lines += [
        f"    {p.name:<10} {p.help or p.kind}{p.unit and f', {p.unit}'}" for p in plan.parameters
    ]
    return "\n".join(lines).strip()


class Written:
    """A default value as it is written in the source."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class Decorated:
    """A plan defined here under a decorator of `bpp`; calling it makes a `PlanCall`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> PlanCall:
        """The plan, not run. Raises: TypeError when the arguments do not fit."""
        inspect.signature(self.function).bind(*args, **kwargs)
        return PlanCall(self, args, kwargs)

    def __repr__(self) -> str:
        return self.function.__name__


def _shown(value: Any) -> str:
    if isinstance(value, Named):
        return value.device_name
    if isinstance(value, list):
        return f"[{', '.join(_shown(inner) for inner in value)}]"
    return repr(value)
