"""The base of all messages: frozen, tagged, versioned, described.

A message class has a `tag` (its name on the wire, never reused) and a `version`. Commands forbid
unknown fields and non-finite numbers, events ignore unknown fields, so that an old reader lives.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

REGISTRY: dict[str, type[Message]] = {}


class Message(BaseModel):
    """Everything on the bus derives from this class, by way of `Event` or `Command`."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    tag: ClassVar[str] = ""
    version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.tag:
            return
        known = REGISTRY.get(cls.tag)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise TypeError(f"tag {cls.tag!r} belongs to {known.__qualname__}")
        REGISTRY[cls.tag] = cls


class Event(Message):
    """Something that happened or is. Unknown fields are ignored; NaN may pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Command(Message):
    """Something to be done. A typo must fail: unknown fields and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
