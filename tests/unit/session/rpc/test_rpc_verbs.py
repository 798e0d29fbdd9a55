"""Namespaces: how verbs are found, put together, and checked; plugins that fail alone."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from undula.core.errors import ConfigError, InputError
from undula.session.bridge.model import Outcome, Path
from undula.session.rpc.commands import arguments, raise_for
from undula.session.rpc.errors import ZError
from undula.session.rpc.verbs import Ask, Verbs, verb


class Two:
    """A namespace."""

    def __init__(self, offer: Any = None) -> None:
        self.offer = offer

    @verb()
    def one(self, ask: Ask, number: float, words: list[str] | None = None) -> None:
        """Does one thing."""

    @verb("")
    def itself(self, ask: Ask) -> None:
        """The namespace as a verb."""

    def not_a_verb(self) -> None:
        raise AssertionError


def test_only_marked_methods_can_be_asked_for() -> None:
    verbs = Verbs()
    verbs.add("two", Two())
    assert sorted(verbs.table()) == ["two", "two/one"]
    assert verbs.table()["two/one"]["about"] == "Does one thing."
    with pytest.raises(InputError, match="there is no verb two/not_a_verb"):
        verbs.find("two/not_a_verb")


def test_fields_are_checked_by_their_annotations() -> None:
    verbs = Verbs()
    verbs.add("two", Two())
    one = verbs.find("two/one")
    assert one.arguments({"number": 3}) == {"number": 3.0}
    for wrong in ({}, {"number": "3"}, {"number": True}, {"number": 1, "words": "abc"}):
        with pytest.raises(InputError, match="two/one does not take this") as caught:
            one.arguments(wrong)
        assert caught.value.remedy == "two/one takes number, words"


def test_a_verb_that_is_there_is_not_replaced() -> None:
    verbs = Verbs()
    verbs.add("two", Two())
    with pytest.raises(ConfigError, match="the RPC verb two is there already"):
        verbs.add("two", Two())
    with pytest.raises(ConfigError, match="has no verb"):
        verbs.add("empty", object())


def test_a_plugin_that_fails_is_named_and_the_others_work(monkeypatch) -> None:
    module = types.ModuleType("beamline_verbs")
    module.make = Two  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "beamline_verbs", module)
    verbs = Verbs()
    listed = ["a=no_such_module:make", "b=beamline_verbs:absent", "two=beamline_verbs:make", "c"]
    faults = verbs.add_plugins(listed, offer="the offer")
    assert sorted(verbs.table()) == ["two", "two/one"]
    assert verbs.find("two/one").call.__self__.offer == "the offer"
    assert [fault.partition(":")[0] for fault in faults] == [
        "RPC plugin a=no_such_module",
        "RPC plugin b=beamline_verbs",
        "RPC plugin c=",
    ]


def test_devices_in_arguments_are_paths_however_deep() -> None:
    given = [{"dev": "M.samx"}, {"axes": [{"dev": "M.samy"}], "dev": 1}, {"dev": "a", "b": 2}]
    assert arguments(given) == [
        Path("M.samx"),
        {"axes": [Path("M.samy")], "dev": 1},
        {"dev": "a", "b": 2},
    ]


@pytest.mark.parametrize(
    ("outcome", "code", "text"),
    [
        (Outcome("error", error="ZError", message="busy: not now"), "busy", "not now"),
        (Outcome("error", error="ZError", message="no code"), "exc", "ZError: no code"),
        (Outcome("error", error="KeyboardInterrupt"), "exc", "KeyboardInterrupt"),
        (Outcome("died", message="the kernel ended"), "died", "the kernel ended"),
        (Outcome("aborted"), "aborted", "the command aborted"),
        (Outcome("aborted", message="no prompt. Remedy: try again."), "aborted", "no prompt"),
    ],
)
def test_a_command_that_failed_raises_what_it_raised(outcome, code, text) -> None:
    with pytest.raises(ZError) as caught:
        raise_for(outcome)
    assert (caught.value.code, caught.value.text) == (code, text)
