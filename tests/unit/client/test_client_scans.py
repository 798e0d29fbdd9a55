"""A client against an engine that answers by the contract, over the in-memory bus."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest

from undula.client import Client
from undula.client.arguments import plain
from undula.core.errors import InputError, LimitError, UndulaError
from undula.messages import PlanList, Readback
from undula.messages.plans import PlanParameter, UserPlan
from undula.testing.law import until


def test_a_scan_waits_for_its_end_and_gives_its_run_number(client: Client) -> None:
    handle = client.scan("samx", -1, 2, 7, detectors="diode")

    assert handle.status == "success"
    assert handle.run_numbers == [1]


def test_events_are_the_points_in_order(client: Client) -> None:
    handle = client.scan(client.devices.samx, 0, 1, 3, wait=False)

    rows = list(handle.events())

    assert [row["seq_num"] for row in rows] == [1, 2, 3]
    assert [row["samx"] for row in rows] == [0, 0.5, 1]
    assert rows[1]["diode"] == pytest.approx(100)


def test_documents_of_a_scan_that_has_ended_are_still_there(client: Client) -> None:
    handle = client.count(num=2)

    names = [name for name, _ in handle.documents()]

    assert names[0] == "start"
    assert names[-1] == "stop"


def test_only_the_documents_of_the_own_scan_are_followed(client: Client) -> None:
    first = client.count(num=1, wait=False)
    second = client.count(num=3, wait=False)

    assert len(list(second.events())) == 3
    assert len(list(first.events())) == 1


def test_an_unknown_device_is_refused_and_nothing_is_queued(client: Client) -> None:
    with pytest.raises(InputError, match="there is no device 'samq'"):
        client.scan("samq", 0, 1, 3)

    assert len(client.queue) == 0


def test_a_check_reports_points_and_queues_nothing(client: Client) -> None:
    checked = client.check("scan", "samx", 0, 2, 3)

    assert checked.num_points == 3
    assert checked.points == [[0.0], [1.0], [2.0]]
    assert len(client.queue) == 0


def test_the_command_for_the_record_is_the_call_as_typed(client: Client) -> None:
    handle = client.scan(client.devices.samx, -1, 1, 3, detectors=[client.devices.diode])

    assert handle.accepted.command == "scan(M.samx, -1, 1, 3, detectors=[D.diode])"


def test_cancel_takes_out_a_waiting_scan_and_wait_says_so(client: Client, engine: Any) -> None:
    engine.diode.exposure_time = 0.02
    running = client.count(num=2000, wait=False)  # longer than any machine takes to cancel it
    waiting = client.count(num=1, wait=False)
    until(lambda: running.status == "running", "the scan does not begin")

    waiting.cancel()
    running.cancel("enough")

    with pytest.raises(UndulaError, match="ended as abort: enough"):
        running.wait(60.0)
    assert waiting.wait(10, check=False).status == "removed"


def test_a_move_gives_the_readback_and_tells_of_the_way(client: Client) -> None:
    seen: list[Readback] = []
    told = threading.Event()

    def progress(readback: Readback) -> None:
        seen.append(readback)
        told.set()

    found = client.mv(client.devices.samx, 3, progress=progress)

    assert found == {"samx": {"value": 3, "unit": "mm"}}
    assert told.wait(60.0)
    assert seen[0].values == {"samx": 3}


def test_a_relative_move_begins_at_the_readback(client: Client) -> None:
    client.mv(samx=1)
    assert client.mvr("samx", 0.5)["samx"]["value"] == 1.5


def test_a_move_outside_the_limits_raises_the_engines_error(client: Client) -> None:
    with pytest.raises(LimitError) as caught:
        client.mv("samx", 99)
    assert caught.value.device == "samx"


@pytest.mark.parametrize("args", [("samx",), (), (3, "samx"), ("samx", 1, "samx", 2)])
def test_a_move_without_pairs_is_refused_before_the_wire(client: Client, args: Any) -> None:
    with pytest.raises(InputError):
        client.mv(*args)


def test_a_proxy_reads_moves_and_describes_its_device(client: Client) -> None:
    samx = client.devices["samx"]

    assert samx.move(2) == 2
    assert samx.position == 2
    assert samx.read()["samx"]["value"] == 2
    assert samx.limits == (-10, 10)
    assert repr(samx) == "<M.samx positioner, ophyd.sim.Toy, -10..10 mm>"


def test_an_unknown_device_is_named_with_what_comes_near(client: Client) -> None:
    with pytest.raises(InputError, match="did you mean samx"):
        client.devices["samxx"]
    assert not hasattr(client.devices, "nonsense")
    assert list(client.devices) == ["samx", "diode"]


@pytest.mark.parametrize(
    "value",
    [float("nan"), np.float64("inf"), np.float32("nan"), np.array([1.0, np.nan]), [[-np.inf]]],
)
def test_nan_and_infinity_never_leave_the_client(value: Any) -> None:
    with pytest.raises(InputError, match="not a finite number"):
        plain(value)


def test_the_argument_that_is_not_finite_is_named(client: Client) -> None:
    nan = float("nan")
    for call, said in (
        (lambda: client.scan("samx", 0, nan, 5), "argument 3 of scan is nan"),
        (lambda: client.scan("samx", 0, 1, num=nan), "num of scan is nan"),
        (
            lambda: client.list_scan("samx", [0, -math.inf]),
            "argument 2 of list_scan, its number 2 is -inf",
        ),
        (lambda: client.mv("samx", nan), "the target of samx is nan"),
        (lambda: client.count(num=1, metadata={"T_K": nan}), "metadata, T_K is nan"),
    ):
        with pytest.raises(InputError) as refused:
            call()
        assert refused.value.what == said


@pytest.mark.parametrize("time", [-1, float("nan")])
def test_a_count_time_is_nothing_or_more(client: Client, time: float) -> None:
    with pytest.raises(InputError) as refused:
        client.count(num=1, time=time)

    assert str(refused.value) == (
        f"the count time is {time:g} s. "
        "Remedy: give a time, or 0 for what is usual for each detector."
    )
    assert len(client.queue) == 0


@pytest.mark.parametrize("plan", ["align", "beam.align"])
def test_what_a_plan_takes_itself_goes_to_it_by_either_of_its_names(
    client: Client, engine: Any, plan: str
) -> None:
    words = [PlanParameter(name=name) for name in ("name", "sample", "front")]
    mine = UserPlan(name="align", origin="beam", parameters=words)
    engine.plans = PlanList(plans=[mine])
    with pytest.raises(InputError, match="there is no plan"):
        client.submit(plan, name="foo", sample="A", front=True)
    (asked,) = engine.asked
    assert asked.kwargs == {"name": "foo", "sample": "A", "front": True}
    assert "title" not in asked.metadata
    assert (asked.queue.sample, asked.queue.place.at) == ("", "end")
