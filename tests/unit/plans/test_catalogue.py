"""The catalogue of plans: every example runs as it stands, every plan is described whole."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest

from undula.cli import parsing
from undula.core.errors import InputError
from undula.messages import PlanTable
from undula.plans import FORMS, StepForm, catalogue, parse_form
from undula.plans.declared import DeclaredPlan


def read(node: ast.expr) -> Any:
    """A value of an example; names are names of devices."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.List):
        return [read(item) for item in node.elts]
    return ast.literal_eval(node)


def called(plan: DeclaredPlan) -> StepForm:
    """The example in the shell's words."""
    call = ast.parse(plan.example, mode="eval").body
    assert isinstance(call, ast.Call)
    kwargs = {str(k.arg): read(k.value) for k in call.keywords if k.arg != "time"}
    return parse_form(plan.name, [read(arg) for arg in call.args], kwargs)


def same(one: StepForm, other: StepForm) -> bool:
    if one.parts:
        return len(one.parts) == len(other.parts) and all(map(same, one.parts, other.parts))
    if one.path is None or other.path is None:
        return one.num == other.num
    return np.array_equal(one.path.points, other.path.points)


@pytest.mark.parametrize("name", FORMS)
def test_the_example_of_each_plan_is_a_call_that_it_takes(name: str) -> None:
    form = called(FORMS[name])

    assert form.plan == name
    assert form.parts or form.num or form.path or form.watch
    for part in form.parts or (form,):
        if part.trajectory is not None:
            assert part.num == part.trajectory.num_points > 0
            assert np.all(np.isfinite(part.trajectory.points))
            assert part.returns is part.trajectory.relative


@pytest.mark.parametrize("name", FORMS)
def test_the_example_at_a_command_line_means_the_same(name: str) -> None:
    plan = FORMS[name]
    words = shlex.split(catalogue.typed(plan))[1:]
    assert words[0] == (plan.command or "plan")
    words = words[1:] if plan.command else words[2:]
    if "--time" in words:
        at = words.index("--time")
        del words[at : at + 2]
    kinds = {a.name: a.kind for a in plan.arguments if a.kind != "axis"}
    args, kwargs = parsing.plan_arguments(words, kinds)

    assert same(parse_form(name, args, kwargs), called(plan))


@pytest.mark.parametrize("name", FORMS)
def test_each_plan_without_arguments_says_how_it_is_called(name: str) -> None:
    try:
        parse_form(name, [], {})
    except InputError as error:
        assert name in error.remedy  # noqa: PT017  # those with defaults alone take nothing


def test_every_plan_travels_as_a_message() -> None:
    table = PlanTable.model_validate_json(catalogue.table().model_dump_json())

    assert [plan.name for plan in table.plans] == list(FORMS)
    scan = next(plan for plan in table.plans if plan.name == "grid_scan")
    assert [a.name for a in scan.repeated] == ["axis", "start", "stop", "num"]
    assert (scan.repeated[1].unit, scan.repeated[3].low) == ("axis", 1)
    assert all(a.help for p in table.plans for a in (*p.first, *p.repeated, *p.arguments))


def test_declared_plans_have_the_arguments_of_their_namesakes_in_bluesky() -> None:
    elsewhere = {"detectors", "md", "per_step", "per_shot", "args", "cycler"}
    for plan in FORMS.values():
        function = getattr(bp, plan.name, None)
        if plan.family != "bluesky" or function is None or plan.name == "scan_nd":
            continue
        code = function.__code__
        theirs = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - elsewhere
        ours = {a.name for a in (*plan.first, *plan.arguments)}
        assert theirs <= ours, plan.name
        assert ours - theirs <= {"max_points", "num"}, plan.name


def test_a_mistyped_plan_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(InputError, match="did you mean grid_scan"):
        catalogue.named("gridscan")


def test_the_catalogue_comes_without_numpy_and_bluesky() -> None:
    code = (
        "import sys; from undula.plans import catalogue; catalogue.table();"
        "print([n for n in ('bluesky', 'numpy', 'scipy', 'scanspec') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_words_behind_the_count_time_name_what_is_read() -> None:
    form = parse_form("ascan", ["samx", 0, 1, 10, 0.1, "diode", "ion1"], {})
    assert form.detectors == ("diode", "ion1")


def test_blisss_scans_of_several_axes_want_just_so_many() -> None:
    assert parse_form("a2scan", ["x", 0, 1, "y", 0, 2, 4, 0.1], {}).axes == ("x", "y")
    with pytest.raises(InputError, match="a3scan wants 3 axes"):
        parse_form("a3scan", ["x", 0, 1, "y", 0, 2, 4, 0.1], {})


def test_a_mesh_may_run_back_by_either_word() -> None:
    args = ["x", 0, 1, 1, "y", 0, 1, 1, 0.1]
    forms = [parse_form("amesh", args, {word: True}) for word in ("snake", "backnforth")]
    assert same(*forms)
    assert not same(forms[0], parse_form("amesh", args, {}))
