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


def counted(number: int, what: str) -> str:
    """How many there are of something, whose plural ends in s; that of an axis is axes.

    >>> counted(1, "point"), counted(0, "point"), counted(2, "axis"), counted(1, "retaken point")
    ('1 point', '0 points', '2 axes', '1 retaken point')
    """
    if number == 1:
        return f"{number} {what}"
    return f"{number} {what.removesuffix('is') + 'es' if what.endswith('axis') else what + 's'}"


def duration_text(seconds: float) -> str:
    """A duration for people.

    >>> duration_text(0.01), duration_text(4.25), duration_text(75), duration_text(7300)
    ('under 0.1 s', '4.2 s', '1 min 15 s', '2 h 01 min')
    """
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
