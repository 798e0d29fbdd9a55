"""The metadata of all further runs from a client: a dict that the beamline keeps.

`client.metadata["sample"] = "Fe2O3"`. Every start document has it, whoever starts the scan.
"""

from __future__ import annotations

import contextvars
import copy
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from undula.bus.endpoints import ENGINE_METADATA, METADATA
from undula.client.arguments import plain
from undula.client.link import Link
from undula.core.errors import InputError
from undula.core.ids import new_id
from undula.messages import BeamlineMetadata, MetadataKey, MetadataKeys

WIDTH = 80
_group: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar(
    "scan_group", default=None
)


class Schema:
    """The keys that runs are to have, as a table for people; `keys` and `other_keys` as data."""

    def __init__(self, said: MetadataKeys) -> None:
        self.said = said
        self.keys = said.keys
        self.other_keys = said.other_keys

    def __repr__(self) -> str:
        others = "any other" if self.other_keys else "no other"
        if not self.keys:
            return f"the beamline asks for no key; {others} is allowed"
        rows = [(k.key, _when(k), k.wanted, k.description) for k in self.keys]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            "  ".join(word.ljust(n) for word, n in zip(row, [*widths, 0], strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, f"{others} key is allowed"])

    __str__ = __repr__


def _when(key: MetadataKey) -> str:
    if key.required:
        return "required"
    return f"for {', '.join(key.required_for)}" if key.required_for else ""


class Metadata(MutableMapping[str, Any]):
    """Keys and values for the start documents of all further runs.

    Each change is one request, and holds for every prompt and program. What a scan says itself
    (`metadata={...}`) goes first. Values are copies: give a key its new value as a whole.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def _now(self) -> BeamlineMetadata:
        known = self._link.connector.get(METADATA)
        if known is not None:
            return known
        return BeamlineMetadata.model_validate(self._link.ask(ENGINE_METADATA, action="show"))

    @property
    def next_file(self) -> str:
        """Where the file of a scan would go now."""
        return self._now().next_file

    @property
    def schema(self) -> Schema:
        """What the beamline wants runs to say: shows itself as a table; `schema.keys` for programs.

        Raises: ConfigError when the beamline's file is wrong.
        """
        return Schema(MetadataKeys.model_validate(self._link.ask(ENGINE_METADATA, action="schema")))

    def change(self, values: Mapping[str, Any], remove: tuple[str, ...] = ()) -> BeamlineMetadata:
        """Remove keys and set others, in one step, all or nothing.

        Raises: InputError for what is no plain data, and for keys that a run sets itself.
        """
        for key in values:
            if not isinstance(key, str):
                raise InputError(f"{key!r} is no name of a key", remedy="give a text")
        result = self._link.ask(
            ENGINE_METADATA, action="change", values=plain(values), remove=list(remove)
        )
        return BeamlineMetadata.model_validate(result)

    def __getitem__(self, key: str) -> Any:
        return copy.deepcopy(self._now().values[key])

    def __setitem__(self, key: str, value: Any) -> None:
        self.change({key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self._now().values:
            raise KeyError(key)
        self.change({}, (key,))

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._now().values))

    def __len__(self) -> int:
        return len(self._now().values)

    def update(self, *args: Any, **values: Any) -> None:
        """As of a dict, in one step."""
        self.change(dict(*args, **values))

    def clear(self) -> None:
        """Remove all keys, in one step."""
        self.change({}, tuple(self))

    def __repr__(self) -> str:
        now = self._now()
        wide = max(map(len, now.values), default=0)
        lines = [f"{key:<{wide}}  {value!r}" for key, value in now.values.items()]
        lines = lines or ["no metadata; md['sample'] = 'Fe2O3' goes into every further run"]
        cut = [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in lines]
        return "\n".join([*cut, f"next file  {now.next_file}"])


@contextmanager
def scan_group(name: str) -> Iterator[str]:
    """Runs asked for inside belong together: `with scan_group("knife edge"): ...`.

    Each start document has `scan_group` with the group's `uid` and `name`; inside another group it
    has the inner one, and that has the outer one's uid as `parent`. Yields the uid.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{name!r} is no name of a group", remedy='e.g. scan_group("knife edge")')
    outer, uid = _group.get(), new_id()
    group = {"uid": uid, "name": name.strip()}
    before = _group.set(group if outer is None else {**group, "parent": outer["uid"]})
    try:
        yield uid
    finally:
        _group.reset(before)


def group_now() -> dict[str, Any]:
    """Metadata of the group in which this is asked; {} outside of any."""
    group = _group.get()
    return {} if group is None else {"scan_group": dict(group)}
