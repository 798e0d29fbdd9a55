"""Room: pipes. Parameters that a class of nodes declares: checked, in use, changed. Pure.

In: values by name. Out: attributes of the node, or which value is wrong and why. What a node does
with frames is in `base`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, get_type_hints
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from undula.core.errors import InputError
from undula.pipes.nodes.ports import Misfit
from undula.pipes.wrong_values import wrong_values


class Declared:
    """What has parameters: class attributes made by `parameter`."""

    name: ClassVar[str] = ""
    declared: ClassVar[Mapping[str, FieldInfo]] = {}

    def __init_subclass__(cls) -> None:
        own = {key: value for key, value in vars(cls).items() if isinstance(value, FieldInfo)}
        for key in own:
            delattr(cls, key)
        cls.declared = {**cls.declared, **own}

    @classmethod
    def model(cls) -> type[BaseModel]:
        """The parameters as a pydantic model: types, bounds, help, JSON schema."""
        if cls not in _models:
            _models[cls] = _model(cls)
        return _models[cls]

    @classmethod
    def checked(cls, **parameters: Any) -> BaseModel:
        """The parameters with defaults; nothing is made. Raises: InputError naming which.

        A graph is checked by it before it runs. What must hold between parameters says `conflicts`.
        """
        try:
            values = cls.model().model_validate(parameters)
        except ValidationError as exc:
            place, what, remedy = wrong_values(exc, parameters, cls.model(), cls.name)[0]
            raise InputError(what, remedy=remedy, where=f"{cls.name}.{place}") from exc
        for place, what, remedy in cls.conflicts(values):
            raise InputError(what, remedy=remedy, where=f"{cls.name}.{place}")
        return values

    @classmethod
    def conflicts(cls, values: Any) -> Iterable[Misfit]:
        """Parameters that do not fit each other: which one, what is wrong, the remedy.

        Asked for all ways in which parameters are given: a graph, a change while it runs.

        Args:
            values: of its parameters, each of them right by itself.
        """
        return ()

    @classmethod
    def wrong(cls, parameters: Mapping[str, Any]) -> list[Misfit]:
        """All that is wrong with parameters: which one, what, the remedy."""
        try:
            values = cls.model().model_validate(dict(parameters))
        except ValidationError as exc:
            return wrong_values(exc, parameters, cls.model(), cls.name)
        return list(cls.conflicts(values))

    @property
    def parameters(self) -> dict[str, Any]:
        """The values in use, by name, plain enough for JSON."""
        return self._values.model_dump(mode="json")

    def change(self, **parameters: Any) -> None:
        """Change parameters while it runs: all of them or, when one is wrong, none.

        They hold from the next frame on. Raises: InputError naming the parameter.
        """
        before = self._values
        given = {key: getattr(self, key) for key in self.declared} | parameters
        names = frozenset(parameters)
        self._use(self.checked(**given), names)
        try:
            self.changed(names)
        except Exception:  # e.g. a file that it names is not there
            self._use(before, names)
            self.changed(names)
            raise

    def _use(self, values: BaseModel, names: Collection[str]) -> None:
        self._values = values
        for key in names:
            setattr(self, key, getattr(values, key))

    def changed(self, names: frozenset[str]) -> None:
        """Parameters were changed; a node that has made something of them makes it anew."""


_models: WeakKeyDictionary[type[Declared], type[BaseModel]] = WeakKeyDictionary()


def _model(cls: type[Declared]) -> type[BaseModel]:
    hints = get_type_hints(cls, include_extras=True)
    fields: Any = {key: (hints.get(key, Any), value) for key, value in cls.declared.items()}
    return create_model(
        f"{cls.__name__}Parameters",
        __config__=ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False),
        **fields,
    )
