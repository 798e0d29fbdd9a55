"""What ends a scan ends the cell, the line, the loop, the macro that it stands in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from undula.client import Client
from undula.testing.beamline import LocalBeamline
from undula.testing.law import until
from undula.testing.terminal import CTRL_C, PtyPerson

SitDown = Callable[..., PtyPerson]


@pytest.fixture
def client(prompt: LocalBeamline) -> Iterator[Client]:
    with prompt.connect() as client:
        yield client


def numbers(client: Client) -> set[int]:
    return {run.number for run in client.runs.search()}


def test_a_stop_in_a_scan_ends_the_macro_it_stands_in(
    sit_down: SitDown, client: Client, tmp_path: Path
) -> None:
    macro = tmp_path / "mac.py"
    macro.write_text(
        "for z in (0, 1):\n    umv(samy, z)\n    scan(samx, -1, 1, 200, time=0.2)\n"
        "print('far' + 'end')\n"
    )
    anna = sit_down()
    before = numbers(client)
    anna.enter(f"load_script({str(macro)!r})")
    anna.see(r"\n +2 ")
    client.stop()
    anna.see(r"line 3: .*\] run \d+ ended as abort: stopped")
    anna.enter("'still ' + 'here'")
    anna.see("still here")
    assert "farend" not in "\n".join(anna.lines)
    assert len(numbers(client) - before) == 1
    assert client.read("samy")["samy"]["samy"]["value"] == pytest.approx(0, abs=0.01)


def test_ctrl_c_ends_the_line_and_resume_goes_on_with_its_scan_alone(
    sit_down: SitDown, client: Client
) -> None:
    anna = sit_down()
    anna.enter("scan(M.samx, -1, 1, 60, time=0.2); print('ran ' + 'on')")
    anna.see(r"\n +2 ")
    anna.type(CTRL_C)
    anna.see(r"scan paused: resume\(\)")
    anna.enter("ct(0.1)")
    anna.see(r"is paused, and this would wait behind it")
    anna.enter("resume()")
    until(lambda: client.queue.list().state == "running", "it does not go on")
    client.queue.complete()
    anna.see(r"success, \d+ of 60 points")
    anna.enter("'still ' + 'here'")
    anna.see("still here")
    text = "\n".join(anna.lines)
    assert "ran on" not in text
    assert "Traceback" not in text
    assert "KeyboardInterrupt" not in text


def test_ctrl_c_takes_a_scan_that_waits_out_of_the_queue_and_ends_its_loop(
    sit_down: SitDown, client: Client
) -> None:
    blocks = client.submit("ct", 60)
    before = numbers(client)
    anna = sit_down()
    anna.enter("for _ in range(3): scan(M.samx, -1, 1, 3, time=0.1)")
    until(lambda: bool(client.queue.list().waiting), "the scan does not wait")
    anna.type(CTRL_C)
    anna.see("the scan was taken out of the queue before it began")
    blocks.cancel()
    blocks.wait(check=False)
    anna.enter("'still ' + 'here'")
    anna.see("still here")
    assert not client.queue.list().waiting
    assert numbers(client) - before <= set(blocks.run_numbers)


def test_a_cell_that_prints_for_ever_is_interrupted_and_harms_no_other_terminal(
    sit_down: SitDown,
) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    ben.type("half = 6 ")
    anna.enter("while True: print('for ever', 'y' * 60, flush=True)")
    anna.type("\r")
    ben.see("for ever y")
    anna.see("for ever y")
    anna.type(CTRL_C)
    anna.see("KeyboardInterrupt")
    ben.see("KeyboardInterrupt")
    ben.type("* 7; half\r")
    ben.see(r"Out\[\d+\]: 42")
