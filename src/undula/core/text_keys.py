"""Mappings whose keys are all text, as documents and JSON want them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_text_keys(value: Any) -> Any:
    """The same with every key of a mapping as text, at any depth of mappings and lists.

    >>> with_text_keys({"faults": {3: "missing"}})
    {'faults': {'3': 'missing'}}
    """
    if isinstance(value, Mapping):
        return {str(key): with_text_keys(item) for key, item in value.items()}
    return [with_text_keys(item) for item in value] if isinstance(value, list) else value
