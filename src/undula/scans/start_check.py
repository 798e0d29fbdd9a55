"""Room: scans. What a start document can hold: asked beforehand of metadata, at last of each run.

In: metadata of a request, or all that a plan gives a run that it opens. Out: nothing, or an
`InputError` that names the key, before the run has begun. Touches no device.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import event_model

from undula.core.errors import InputError
from undula.core.run_keys import IDENTITY, refuse_taken

_START = event_model.schema_validators[event_model.DocumentNames.start]
_TEXTS = ("plan_name", "command", "user")
SHOWN = 60
"""Characters of a wrong value."""


def check_given(values: Mapping[str, Any]) -> None:
    """Raise InputError when somebody gives what a run says itself, or what none can hold.

    >>> check_given({"sample": "Fe2O3", "temperature_K": 12.5})
    """
    refuse_taken(values)
    refuse_unfit(values)


def refuse_unfit(values: Mapping[str, Any]) -> None:
    """Raise InputError for keys and values that event-model does not allow, with their place."""
    try:
        _refuse_unfit(values)
    except TypeError as exc:  # of the schema's own search
        raise InputError(
            f"a key of the metadata is no text: {exc}", remedy="use names as keys"
        ) from exc


def _refuse_unfit(values: Mapping[str, Any]) -> None:
    for fault in _START.iter_errors({"uid": "-", "time": 0.0, **values}):
        inside = ".".join(map(str, fault.absolute_path))
        if fault.validator == "additionalProperties" and isinstance(fault.instance, Mapping):
            wrong = [key for key in fault.instance if not _is_key(key)]
            raise InputError(
                f"{(wrong or ['?'])[0]!r} is no key of {inside or 'metadata'}",
                remedy="use names without dots and slashes; what belongs together goes into a dict",
            )
        raise InputError(
            f"{inside or 'metadata'}: {fault.message[:200]}",
            remedy="use names without dots and slashes, and numbers, texts, lists and dicts",
        )


def fit_for_runs(values: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What a run can say of metadata that an earlier program took, and a notice of the rest.

    >>> fit_for_runs({"sample": "Fe2O3", "scan_id": 7})
    ({'sample': 'Fe2O3'}, 'scan_id is taken out of its metadata: each run says its scan_id itself')
    """
    kept, told = dict[str, Any](), list[str]()
    for key, value in values.items():
        try:
            check_given({key: value})
            kept[key] = value
        except InputError as error:
            told.append(f"{key} is taken out of its metadata: {error.what}")
    return kept, "; ".join(told)


def _is_key(key: object) -> bool:
    return isinstance(key, str) and bool(key) and not {".", "/"} & set(key)


def check_start(values: Mapping[str, Any], number: int) -> None:
    """The last look at what a run will say, before it begins.

    Args:
        values: all metadata of the run, also what its plan, hooks and preprocessors gave.
        number: the one that it was given; as `scan_id` among the values.
    Raises: InputError when something else gives the run its number, uid or time, or what no start
        document can hold.
    """
    given = set(values) - ({"scan_id"} if _same(values.get("scan_id"), number) else set())
    if found := sorted(given & IDENTITY):
        raise InputError(
            f"each run says its {found[0]} itself",
            remedy=f"take {found[0]} out of the metadata that the plan, a hook or a preprocessor "
            "gives its runs",
        )
    points = values.get("num_points")
    if points is not None and not (_whole(points) and points >= 0):
        raise InputError(
            f"num_points is {str(points)[:SHOWN]!r}",
            remedy="give a number of points, or leave it out",
        )
    for key in _TEXTS:
        if not isinstance(values.get(key, ""), str):
            raise InputError(f"{key} is {str(values[key])[:SHOWN]!r}", remedy="give a text")
    refuse_unfit({key: value for key, value in values.items() if key != "scan_id"})


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _same(value: Any, number: int) -> bool:
    return _whole(value) and value == number
