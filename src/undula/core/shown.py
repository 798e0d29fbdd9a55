"""Values as people read them. Pure, standard library only."""

from __future__ import annotations

from typing import Any


def number_text(value: Any) -> str:
    """A value for people: six digits, arrays by their shape.

    >>> number_text(0.1 + 0.2), number_text(3), number_text(float("nan"))
    ('0.3', '3', 'nan')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if getattr(value, "shape", ()):
        return f"array {value.shape}"
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"array ({len(value)},)"
    return str(value)
