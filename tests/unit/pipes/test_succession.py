"""Who may take a consumer's place between hosts."""

from __future__ import annotations

import pytest

from undula.core.errors import InputError
from undula.pipes.errors import PipeError
from undula.pipes.link.far import each_port
from undula.pipes.link.succession import Claim, judge

FIRST = Claim("a", "farm", 0)


@pytest.mark.parametrize("present", [True, False])
def test_a_successor_with_the_same_key_takes_over_at_once(present: bool) -> None:
    judge("low", FIRST, present, Claim("b", "farm", 1))


def test_a_second_consumer_that_is_no_successor_is_refused_while_the_first_is_there() -> None:
    for other in (Claim("b", "farm", 0), Claim("b", "elsewhere", 1)):
        with pytest.raises(PipeError, match="already"):
            judge("low", FIRST, True, other)
        judge("low", FIRST, False, other)


@pytest.mark.parametrize("present", [True, False])
def test_one_that_was_taken_for_dead_does_not_take_its_place_back(present: bool) -> None:
    with pytest.raises(PipeError, match="a successor has taken the place"):
        judge("low", Claim("b", "farm", 1), present, FIRST)


def test_a_new_connection_of_the_same_consumer_is_no_other_consumer() -> None:
    judge("low", None, False, FIRST)
    judge("low", FIRST, True, FIRST)


@pytest.mark.parametrize("ports", ["7099-7000", "0-5", "65000-70000"])
def test_a_range_of_ports_that_cannot_be_is_refused(ports: str) -> None:
    with pytest.raises(InputError, match="no range of ports"):
        each_port(f"tcp://127.0.0.1:{ports}")
