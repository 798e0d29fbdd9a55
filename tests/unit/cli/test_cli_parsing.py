"""Words of a command line become arguments; what does not fit is refused with a remedy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from undula.cli import parsing
from undula.cli.application import build
from undula.core.errors import InputError


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_as_it_was_written(number: float) -> None:
    assert parsing.value(repr(number)) == number


def test_ranges_lists_names_and_keywords() -> None:
    args, kwargs = parsing.arguments(["samx", "0:1:3", "[1,-2]", "a,b", "delay=-0.5", "snake=true"])

    assert args == ["samx", [0.0, 0.5, 1.0], [1, -2], ["a", "b"]]
    assert kwargs == {"delay": -0.5, "snake": True}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "0 words do not make a scan"),
        (["samx", "-1", "1"], "3 words do not make a scan"),
        (["samx", "-1", "1", "2.5"], "the number of points is 2.5"),
        (["samx", "-1", "1", "0"], "the number of points is 0"),
        (["1", "-1", "1", "5"], "1 stands where an axis is expected"),
        (["samx", "a", "1", "5"], "a is no position of samx"),
        (["samx", "nan", "1", "5"], "word 2: nan is not a finite number"),
        (["samx", "--tme", "1", "5"], "--tme is neither an option nor a number"),
        (["samx", "-1", "1", "5", "samy", "0", "2", "5"], "that is a grid"),
    ],
)
def test_a_scan_that_does_not_fit_names_the_word(words: list[str], what: str) -> None:
    with pytest.raises(InputError) as caught:
        parsing.line_arguments(words)
    assert what in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("words", [["samx"], [], ["3", "samx"], ["samx", "1", "samx", "2"]])
def test_a_move_that_does_not_fit_is_refused(words: list[str]) -> None:
    with pytest.raises(InputError):
        parsing.move_arguments(words)


def invoke(*words: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(build(), list(words), env=environment)
    return result.exit_code, result.output


def test_negative_numbers_need_no_quoting(tmp_path: object) -> None:
    code, output = invoke(
        "scan", "samx", "-1", "-.5e-1", "21", "--time", "0.1", XDG_STATE_HOME=str(tmp_path)
    )
    assert "is not running. Remedy: start it: undula up" in output
    assert code == 3


def test_wrong_words_exit_with_2_and_one_line() -> None:
    code, output = invoke("scan", "samx", "-1", "1", "x")
    assert code == 2
    assert output.startswith("error: the number of points is x. Remedy: write AXIS START STOP")
    assert len(output.splitlines()) == 1


def test_an_error_is_json_when_a_program_listens() -> None:
    code, output = invoke("mv", "samx", "--json")
    assert code == 2
    assert '"category": "input"' in output


@pytest.mark.parametrize(
    "name",
    ["scan", "plan", "grid", "count", "mv", "mvr", "read", "devices", "queue", "runs", "shell",
     "demo"],
)  # fmt: skip
def test_every_command_has_a_help_page(name: str) -> None:
    code, output = invoke(name, "--help")
    assert code == 0
    assert "Usage" in output


def test_devices_are_found_by_a_part_of_what_is_said_of_them() -> None:
    from undula.cli.devices import matching
    from undula.messages import DeviceInfo

    def info(name: str, **more: object) -> DeviceInfo:
        given = {"path": f"M.{name}", "device_class": "Axis", "kind": "positioner"}
        state = {"readout_priority": "baseline", "enabled": True, "connected": True}
        return DeviceInfo.model_validate({"name": name, **given, **state, **more})

    table = [info("samx", tags=["sample"]), info("gap", description="opening of the slits")]
    found = [[i.name for i in matching(table, text)] for text in ("SAM", "slit", "axis", "none")]
    assert found == [["samx"], ["gap"], ["samx", "gap"], []]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--speed", "3"], "there is no option --speed"),
        (["--num"], "--num has no value"),
        (["--num", "3", "num=4"], "num is given twice"),
        (["--num", "3", "--num=4"], "--num=4 is given twice"),
        (["[[1,2]"], "do not match"),
    ],
)
def test_a_wrong_option_of_a_plan_is_refused(words: list[str], text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        parsing.plan_arguments(words, {"num": "int", "snake": "bool"})


def test_options_of_a_plan_may_be_written_in_three_ways() -> None:
    kinds = {"snake_axes": "plan", "num": "int", "relative": "bool"}
    for words in (["--num", "3"], ["--num=3"], ["num=3"]):
        assert parsing.plan_arguments(words, kinds) == ([], {"num": 3})
    assert parsing.plan_arguments(["--snake-axes"], kinds)[1] == {"snake_axes": True}
    assert parsing.plan_arguments(["--snake-axes", "samx,samy"], kinds)[1] == {
        "snake_axes": ["samx", "samy"]
    }
    assert parsing.plan_arguments(["--no-relative", "--num", "3"], kinds)[1] == {
        "relative": False, "num": 3,
    }  # fmt: skip


def test_metadata_words_are_numbers_or_texts_and_anything_else_is_refused() -> None:
    said = ["sample=Fe2O3, annealed", "temperature_K=-12.5", "note=a=b"]
    assert parsing.metadata(said) == {
        "sample": "Fe2O3, annealed", "temperature_K": -12.5, "note": "a=b",
    }  # fmt: skip
    assert parsing.metadata(None) is None
    for wrong in (["sample"], ["=3"], ["a=1", "a=2"]):
        with pytest.raises(InputError):
            parsing.metadata(wrong)
