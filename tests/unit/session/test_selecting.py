"""Devices at a glance, and which signals count first."""

from __future__ import annotations

from typing import Any

import pytest

from undula.analysis.view import RunView
from undula.core.errors import InputError
from undula.session.commands import Shell


def test_devices_are_listed_by_name_or_path(shell: Shell, capsys: Any) -> None:
    lsdev = shell.namespace()["lsdev"]
    lsdev()
    lsdev("M.*")
    with pytest.raises(InputError, match="no device fits 'nothing'"):
        lsdev("nothing")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "path", "value", "unit", "state"]
    assert [line.split()[:2] for line in lines[1:3]] == [["samx", "M.samx"], ["diode", "D.diode"]]
    assert [line.split()[0] for line in lines[3:]] == ["name", "samx"]
    assert max(map(len, lines)) <= 80


def _view() -> RunView:
    view = RunView()
    keys = ("samx", "diode", "i0", "cam_sum")
    about = {n: {"kind": "detector", "keys": [n]} for n in ("diode", "i0")}
    about["cam"] = {"kind": "detector", "keys": ["cam_sum"]}
    view.feed("start", {"uid": "u", "time": 0.0, "motors": ["samx"], "devices": about})
    data_keys = {k: {"dtype": "number", "shape": [], "units": ""} for k in keys}
    view.feed("descriptor", {"uid": "d", "name": "primary", "data_keys": data_keys})
    return view


def test_what_is_selected_counts_first() -> None:
    view = _view()
    assert view.signals == ["diode", "i0", "cam_sum"]
    view.start["plotselect"] = ["i0"]
    assert view.signals == ["i0", "diode", "cam_sum"]
    view.first = ["cam", "i0"]
    assert view.signals == ["cam_sum", "i0", "diode"]


def test_a_selection_goes_into_the_runs_of_its_prompt(shell: Shell, capsys: Any) -> None:
    names = shell.namespace()
    names["plotselect"](names["diode"])
    names["scan"]("samx", -1, 2, 11)
    assert shell.view is not None
    assert shell.view.start["plotselect"] == ["diode"]
    assert names["cen"](names["diode"]) == names["cen"]()
    with pytest.raises(InputError, match="i0 was not measured by the last scan"):
        names["fwhm"]("i0")
    with pytest.raises(InputError, match="there is no device 'diod'"):
        names["plotselect"]("diod")
    names["plotselect"]()
    names["plotselect"](None)
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["first: diode", "first: as the detectors are named"]
