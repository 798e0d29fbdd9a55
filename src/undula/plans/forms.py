"""What people type, parsed: plan name and arguments become a `StepForm`.

Bluesky's names (`num` counts points), the SPEC/BLISS forms, which have a signature of their own
(`ascan samx 0 1 10 0.1` has 10 intervals, so 11 points, and 0.1 s count time), and BEC's. In: names
and numbers. Out: `StepForm`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from undula.plans.declared import DeclaredPlan
from undula.plans.families import bec, bluesky, energy, on_the_way, several, spec
from undula.plans.form import StepForm

FORMS: Mapping[str, DeclaredPlan] = {
    plan.name: plan
    for family in (bluesky, energy, on_the_way, several, spec, bec)
    for plan in family.PLANS
}
"""Plans that are declared: everything is known of them before they start."""


def parse_form(plan: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> StepForm:
    """The declared plan that was asked for.

    A list of names as first argument names the detectors, as in Bluesky. Raises: InputError, naming
    what is wrong and the usage.

    >>> parse_form("ascan", ["samx", 0, 1, 10, 0.1], {}).num
    11
    >>> parse_form("scan", [["diode"], "samx", 0, 1, 5], {}).detectors
    ('diode',)
    """
    declared, options, rest = FORMS[plan], dict(kwargs), list(args)
    detectors = options.pop("detectors", None)
    if rest and not declared.words and _names_detectors(declared, rest[0]):
        detectors = rest.pop(0)
    call = declared.bind(rest, options)
    form = replace(declared.build(call), arguments=dict(call.values))
    named = detectors if detectors is not None else call.detectors
    return form if named is None else replace(form, detectors=tuple(named))


def _names_detectors(declared: DeclaredPlan, first: Any) -> bool:
    wanted = [a.kind for a in (*declared.first, *declared.repeated, *declared.arguments)][:1]
    return isinstance(first, list | tuple) and wanted not in (["names"], ["table"], ["plan"])
