"""What the command line says of plans, without a beamline."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from undula.cli.application import build
from undula.messages import PlanInfo
from undula.plans import FORMS


@pytest.mark.parametrize("name", ["grid_scan", "exafs_scan", "scans.fermat_scan", "a3scan"])
def test_help_of_a_plan_names_each_argument_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(build(("scans",)), ["plan", name, "--help"])
    assert shown.exit_code == 0
    assert all(f" {a.name} " in shown.output for a in FORMS[name].every)
    assert "Example: undula " in shown.output


def test_a_command_of_its_own_shows_the_arguments_of_its_plan() -> None:
    shown = CliRunner().invoke(build(("scans",)), ["grid", "--help"])
    assert shown.exit_code == 0
    assert "AXIS START STOP NUM" in shown.output
    assert "snake_axes" in shown.output
    assert "--show" in shown.output


def test_a_shipped_plan_is_told_as_text_and_as_json_without_a_beamline() -> None:
    app = build(("plans",))
    told = CliRunner().invoke(app, ["plans", "spiral"])
    assert told.exit_code == 0
    assert "in the shell: spiral(samx" in told.output
    data = CliRunner().invoke(app, ["plans", "spiral", "--json"])
    info = PlanInfo.model_validate(json.loads(data.output))
    assert [a.name for a in info.arguments][:2] == ["x_motor", "y_motor"]


def test_every_command_of_a_plan_is_loaded_quickly() -> None:
    from undula.cli.main import QUICK

    assert {plan.command for plan in FORMS.values() if plan.command} <= set(QUICK)
