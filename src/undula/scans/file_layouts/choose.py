"""Which layout a run gets: by its technique, else by the first rule that holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undula.core.suggest import near
from undula.messages.layouts import FileLayout, LayoutRule


def techniques(metadata: Mapping[str, Any]) -> list[str]:
    """What a run says its technique is, in small letters: a text, a list, or a dict with a name.

    >>> techniques({"technique": ["XAS", "NXstxm"]})
    ['xas', 'nxstxm']
    """
    said = metadata.get("technique")
    if isinstance(said, Mapping):
        said = said.get("name")
    words = said if isinstance(said, list | tuple) else [said]
    return [str(word).strip().lower() for word in words if word]


def unknown_technique(layouts: Sequence[FileLayout], metadata: Mapping[str, Any]) -> str:
    """What to tell of a technique that is nearly one of a layout; '' when there is nothing to tell.

    One of the beamline's own, which no layout is for, is no fault.

    >>> unknown_technique([], {"technique": "ptycho-xrf"})
    ''
    """
    said = techniques(metadata)
    known = {w.lower() for layout in layouts for w in (layout.name, *layout.technique)}
    if not said or known & set(said):
        return ""
    meant = near(said[0], sorted(known))
    if not meant:
        return ""
    named = ", ".join(map(repr, said))
    return f"no file layout is for the technique {named}: did you mean {meant}?"


def roles_of(name: str, about: Mapping[str, Any]) -> set[str]:
    """Every word by which a device is found: its role, its tags, its name."""
    role = about.get("role") or ()
    return {name, *([role] if isinstance(role, str) else role), *(about.get("tags") or ())}


def _holds(rule: LayoutRule, plan: str, start: Mapping[str, Any]) -> bool:
    about = start.get("devices") or {}

    def found(words: Iterable[str], names: Sequence[str]) -> bool:
        known = {role for n in names for role in roles_of(n, about.get(n) or {})}
        return set(words) <= known

    shape = start.get("shape") or ()
    return (
        (not rule.plans or plan in rule.plans)
        and found(rule.axes, start.get("motors") or ())
        and found(rule.detectors, start.get("detectors") or ())
        and (rule.dimensions is None or len(shape) == rule.dimensions)
    )


def choose(layouts: Sequence[FileLayout], plan: str, start: Mapping[str, Any]) -> FileLayout | None:
    """The layout of a run.

    Args:
        layouts: in the order in which rules are tried.
        plan: name of the plan.
        start: what the start document is going to say.
    """
    for word in techniques(start):
        for layout in layouts:
            if word in (layout.name.lower(), *(t.lower() for t in layout.technique)):
                return layout
    if techniques(start):
        return None
    ruled = (layout for layout in layouts if layout.rule is not None)
    return next((x for x in ruled if x.rule is not None and _holds(x.rule, plan, start)), None)
