"""BEC's forms measure what a real BEC server measured: as many points, in the same order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undula.plans import FORMS, parse_form
from undula.plans.families.bec import PREFIX

RECORD = json.loads((Path(__file__).parents[2] / "data" / "bec_scan_forms.json").read_text())
BEYOND = ("bec-server", "bec-lib", "ophyd-devices")


def positions(recorded: dict[str, Any]) -> np.ndarray[Any, Any]:
    """What our form visits, columns in the order of BEC's."""
    form = parse_form(PREFIX + recorded["scan"], recorded["args"], recorded["kwargs"])
    path = form.trajectory
    if form.sweep is not None and form.sweep.num is not None:
        start, stop = recorded["args"][1:3]
        return np.linspace(start, stop, form.sweep.num)[:, None]
    assert path is not None
    columns = [path.axes.index(axis) for axis in recorded["axes"]]
    points = path.points[:, columns]
    return points + recorded["begins"] if path.relative else points


@pytest.mark.parametrize("name", RECORD["forms"])
def test_a_form_of_bec_has_as_many_points_in_the_same_order(name: str) -> None:
    recorded = RECORD["forms"][name]
    form = parse_form(PREFIX + recorded["scan"], recorded["args"], recorded["kwargs"])

    assert form.num == recorded["num_points"]
    if recorded["axes"]:
        burst = recorded["kwargs"].get("burst_at_each_point", 1)
        theirs = np.repeat(np.array(recorded["positions"]), burst, axis=0)
        assert np.allclose(positions(recorded), theirs, rtol=0, atol=1e-9)


def test_the_record_says_where_it_comes_from_and_has_ten_forms() -> None:
    assert set(RECORD["versions"]) == set(BEYOND)
    assert {"date", "made_by", "what"} <= set(RECORD["origin"])
    scans = {form["scan"] for form in RECORD["forms"].values()}
    assert len(scans) >= 10
    assert {PREFIX + scan for scan in scans} <= set(FORMS)
