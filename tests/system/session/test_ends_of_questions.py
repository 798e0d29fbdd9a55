"""What ends a question, and what does not end the prompt. Slow: a kernel is restarted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from undula.session.kernel.link import KernelLink
from undula.session.kernel.places import KernelPlaces
from undula.testing.beamline import LocalBeamline
from undula.testing.law import until
from undula.testing.terminal import CTRL_C, PtyPerson

SitDown = Callable[..., PtyPerson]


def test_a_front_end_that_wants_to_end_the_kernel_is_refused(prompt: LocalBeamline) -> None:
    async def ask() -> dict[str, Any]:
        places = KernelPlaces.of(prompt.paths)
        link = KernelLink(places, "terminal:anna", published=lambda _: None)
        await link.open()
        try:
            reply = await link.request("shutdown_request", {"restart": False}, on="control")
            await link.request("kernel_info_request", {})
            return reply
        finally:
            await link.close()

    before = prompt.pid("kernel")
    assert "undula restart kernel" in asyncio.run(ask())["evalue"]
    assert prompt.pid("kernel") == before


def test_a_question_ends_with_its_cell_when_somebody_else_interrupts_it(sit_down: SitDown) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    anna.enter("x = input('Na' + 'me? ')")
    anna.see(r"Name\?")
    ben.see("terminal:anna>: x = input")
    ben.type(CTRL_C)
    ben.see("Ctrl-C again")
    ben.type(CTRL_C)
    anna.see("question has ended")
    anna.enter("20 + 22")
    anna.see(r"Out\[\d+\]: 42")


def test_a_question_ends_with_the_kernel_and_the_terminal_stays(
    prompt: LocalBeamline, sit_down: SitDown
) -> None:
    anna = sit_down("anna")
    anna.enter("x = input('Na' + 'me? ')")
    anna.see(r"Name\?")
    before = prompt.pid("kernel")
    anna.type("half")
    anna.see(r"Name\? half")
    os.kill(before, signal.SIGKILL)
    until(lambda: prompt.pid("kernel") not in (0, before), "the kernel did not come back")
    anna.see("prompt is back", 60.0)
    anna.enter("20 + 22")
    anna.see(r"Out\[\d+\]: 42")
