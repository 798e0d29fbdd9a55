"""Plans of packages at the prompt: names that follow the engine, and give way to others."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from undula.bus.endpoints import PLANS
from undula.core.errors import InputError
from undula.messages import PlanTable
from undula.messages.plans import PlanParameter, UserPlan
from undula.session.commands import Shell
from undula.session.planning.functions import raw
from undula.session.planning.pack import Packer, packed
from undula.session.planning.packages import by_name
from undula.testing.law import until


def _plan(name: str = "shine", **fields: Any) -> UserPlan:
    parameters = [
        PlanParameter(name="detectors", kind="detectors"),
        PlanParameter(name="num", kind="whole", required=False, default="2", help="how often"),
        PlanParameter(name="time", kind="number", required=False, default="1.0", named=True),
    ]
    given = {"help": "Read in the light.", "parameters": parameters, **fields}
    return UserPlan(name=name, origin="beam-plans", imported=f"beam_plans:{name}", **given)


def _publish(shell: Shell, *plans: UserPlan) -> None:
    shell.client.link.connector.put(PLANS, PlanTable(plans=[], packaged=list(plans)))


@pytest.fixture
def names(shell: Shell) -> dict[str, Any]:
    """The prompt of a beamline with one package that gives one plan."""
    _publish(shell, _plan())
    return shell.namespace()


def test_a_plan_of_a_package_is_a_name_with_arguments_and_help(names: dict[str, Any]) -> None:
    shine = names["shine"]
    assert str(shine.__signature__) == "(detectors, num=2, *, time=1.0)"
    assert "Read in the light." in shine.__doc__
    assert "how often" in shine.__doc__
    call = shine([names["diode"]], num=3)
    assert repr(call) == "shine([diode], num=3)"
    assert by_name(call) == ("beam-plans.shine", [["diode"], 3], {})
    with pytest.raises(InputError, match=r"use shine\(detectors, num=2"):
        shine()


def test_in_a_plan_of_ones_own_it_is_imported_where_that_runs(names: dict[str, Any]) -> None:
    calls = names["shine"]([names["diode"]], time=0.5)
    assert by_name(calls) is None  # time would be the count time of the scan
    source = packed(calls, Packer(names, {}, lambda device: f"D.{device.device_name}"))
    (part,) = source.parts
    assert (part.kind, part.code) == ("import", "from beam_plans import shine as shine")
    assert source.call == "shine([D.diode], time=0.5)"


def test_the_names_follow_what_the_engine_imports(shell: Shell, names: dict[str, Any]) -> None:
    with closing(shell.prompt.packages.follow()):
        before = names["shine"]
        _publish(shell, _plan(revision="2"), _plan("glow"))
        until(lambda: "glow" in names, "the new plan is no name")
        assert names["shine"] is not before
        _publish(shell)
        until(lambda: not {"shine", "glow"} & set(names), "a plan that is gone has its name still")


def test_an_engine_that_has_not_read_its_packages_yet_takes_no_names_away(
    shell: Shell, names: dict[str, Any]
) -> None:
    before = names["shine"]
    shell.client.link.connector.put(PLANS, PlanTable(plans=[], packaged=None))
    shell.prompt.packages.update()
    assert names["shine"] is before


def test_what_has_the_name_goes_before_and_that_is_said_once(
    shell: Shell, names: dict[str, Any]
) -> None:
    packages = shell.prompt.packages

    def shine() -> None: ...

    names["shine"] = shine
    _publish(shell, _plan(), _plan("samx"), _plan("wa"))
    packages.update()
    assert names["shine"] is shine
    assert names["samx"].device_name == "samx"
    assert raw(names["shine"]) is shine
    told = packages.look().splitlines()
    assert told == [
        "shine of beam-plans is hidden by a function of the same name, test_package_plans.py: "
        'run("beam-plans.shine", ...) runs it',
        'samx of beam-plans is hidden by the device samx: run("beam-plans.samx", ...) runs it',
        'wa of beam-plans is hidden by what has that name here: run("beam-plans.wa", ...) runs it',
    ]
    assert packages.look() == ""
    assert packages.look(again=True).splitlines() == told
    del names["shine"]
    assert packages.look() == ""
    assert names["shine"].plan.imported == "beam_plans:shine"
