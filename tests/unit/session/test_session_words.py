"""What the shell says of itself: signatures, suggestions, positions, the history."""

from __future__ import annotations

import inspect
import types
from typing import Any

import pytest

from undula.client import Client, StopReport
from undula.client.devices import NoSuchDeviceError
from undula.core.errors import InputError, UndulaError
from undula.plans import FORMS
from undula.session.commands import Shell
from undula.session.plans import PLANS, help_text, signature
from undula.session.shell import make_ipython


@pytest.mark.parametrize("name", PLANS)
def test_each_plan_shows_the_arguments_that_it_takes(shell: Shell, name: str) -> None:
    shown = inspect.signature(shell.namespace()[name])
    options = [p.name for p in shown.parameters.values() if p.kind is p.KEYWORD_ONLY]

    assert shown == signature(name)
    assert options[-6:] == ["time", "detectors", "metadata", "fit", "sample", "front"]
    assert all(f"\n    {a.name} " in help_text(name) for a in FORMS[name].every)
    assert "seconds" in help_text(name)


def test_the_scans_of_bec_are_under_one_name(shell: Shell) -> None:
    scans = shell.namespace()["scans"]
    names = [name.removeprefix("scans.") for name in FORMS if name.startswith("scans.")]

    assert len(names) >= 14
    assert all(callable(getattr(scans, name)) for name in [*names, "mv", "umv"])
    assert "steps" in inspect.signature(scans.line_scan).parameters


def test_a_mistyped_option_is_refused_with_the_right_one(shell: Shell) -> None:
    with pytest.raises(InputError) as caught:
        shell.namespace()["scan"]("samx", -1, 1, 3, tiem=0.1)
    assert str(caught.value) == "scan has no option 'tiem'. Remedy: did you mean time?"


def test_a_mistyped_device_is_one_line_with_the_right_one(client: Client, capsys: Any) -> None:
    ipython, _ = make_ipython(client, plot=False)

    ipython.run_cell("dev.samz")
    ipython.run_cell("devices.samz")

    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "dev has no device 'samz'. Remedy: did you mean dev.samx?",
        "there is no device 'samz'. Remedy: did you mean samx?",
    ]
    assert "Traceback" not in shown.out


def test_an_unknown_name_is_one_line_with_the_right_one(client: Client, capsys: Any) -> None:
    ipython, _ = make_ipython(client, plot=False)

    ipython.run_cell("scna(samx, -1, 1, 5)")
    ipython.run_cell("qqqqq")

    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "there is no 'scna' here: did you mean scan?",
        "there is no 'qqqqq' here: dev lists the devices",
    ]
    assert "Traceback" not in shown.out


def test_a_name_that_a_macro_lacks_keeps_its_traceback(client: Client, capsys: Any) -> None:
    ipython, _ = make_ipython(client, plot=False)
    macro = types.ModuleType("macro")
    exec("def measure():\n    return absent_name\n", macro.__dict__)
    ipython.push({"measure": macro.measure})

    ipython.run_cell("measure()")

    assert "NameError" in capsys.readouterr().out


def test_a_mistyped_attribute_is_not_set_unnoticed(client: Client) -> None:
    with pytest.raises(NoSuchDeviceError, match="did you mean velocity"):
        client.devices.samx.velocty = 3  # type: ignore[attr-defined]  # that is the point


def test_a_stop_is_said_in_words(client: Client) -> None:
    assert repr(StopReport(stopped=["samx"])) == "stopped samx"


def test_a_move_says_where_the_axes_are(shell: Shell, capsys: Any) -> None:
    shell.mv("samx", 1.5)
    shell.mvr("samx", -0.5)
    assert capsys.readouterr().out.splitlines() == ["samx 1.5 mm", "samx 1 mm"]


def test_a_sentence_ends_once() -> None:
    error = UndulaError("no such prefix..", remedy="did you mean samx, samy?")
    assert str(error) == "no such prefix. Remedy: did you mean samx, samy?"
    assert str(UndulaError("it failed.", remedy="try again.")).endswith("Remedy: try again.")
