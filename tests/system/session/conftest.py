"""One beamline with a shared prompt for the tests of this folder that leave it as it was."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from undula.session.kernel.places import KernelPlaces
from undula.testing.beamline import NAME, LocalBeamline, local_beamline
from undula.testing.law import until
from undula.testing.terminal import PtyPerson

UNDULA = shutil.which("undula", path=str(Path(sys.executable).parent)) or "undula"


@pytest.fixture(scope="module")
def prompt() -> Iterator[LocalBeamline]:
    """A simulated beamline with kernel and session service."""
    with local_beamline(prompt=True) as beamline:
        yield beamline


@pytest.fixture
def sit_down(prompt: LocalBeamline) -> Iterator[Callable[..., PtyPerson]]:
    """People who open a terminal on the shared prompt; their processes end with the test."""
    people: list[PtyPerson] = []

    def person(name: str = "anna", size: tuple[int, int] = (30, 80), **more: str) -> PtyPerson:
        env = {"LOGNAME": name, "USER": name, **more}
        made = PtyPerson([UNDULA, "shell", "--beamline", NAME], env, size)
        people.append(made)
        made.see(r"In \[\d+\]:")
        return made

    places = KernelPlaces.of(prompt.paths)
    until(lambda: places.holder() is not None, "the kernel does not start")
    yield person
    for made in people:
        made.close()
