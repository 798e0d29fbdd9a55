"""What was probably meant: the error for an option that does not exist. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from undula.core.errors import InputError

COMMON = ("time", "detectors", "metadata")
"""What every scan takes beside its own options."""


def unknown_option(
    plan: str,
    given: Iterable[str],
    known: Iterable[str],
    elsewhere: Mapping[str, str] | None = None,
) -> InputError:
    """The error for options that a plan does not take, with the ones that were probably meant.

    Args:
        elsewhere: options that others have, and what to do here in their place.

    >>> print(unknown_option("scan", ["tme"], ["time", "detectors"]))
    scan has no option 'tme'. Remedy: did you mean time?
    """
    wrong, known = sorted(given), sorted(set(known))
    told = [elsewhere[w] for w in wrong if w in elsewhere] if elsewhere else []
    near = [n for w in wrong for n in difflib.get_close_matches(w, known, 1, 0.5)]
    names = " and ".join(repr(w) for w in wrong)
    return InputError(
        f"{plan} has no option{'s' if len(wrong) > 1 else ''} {names}",
        remedy="; ".join(dict.fromkeys(told))
        if told
        else f"did you mean {', '.join(dict.fromkeys(near))}?"
        if near
        else f"it takes {', '.join(known)}",
    )


def near(word: str, known: Iterable[str]) -> str:
    """The known word that is most alike; '' when none is.

    >>> near("samxx", ["samx", "diode"])
    'samx'
    """
    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")


def named_twice(names: Iterable[str]) -> str:
    """Those that stand there more than once, in words.

    >>> named_twice(["samx", "samy", "samx"])
    'samx'
    """
    named = list(names)
    return ", ".join(dict.fromkeys(name for name in named if named.count(name) > 1))
