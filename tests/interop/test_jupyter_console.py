"""Jupyter's own terminal on the shared prompt, beside ours."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from undula.session.bridge.log import read_log
from undula.session.kernel.places import KernelPlaces
from undula.testing.beamline import NAME, local_beamline
from undula.testing.law import until
from undula.testing.terminal import PtyPerson

pytestmark = pytest.mark.interop


def program(name: str) -> str:
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


def test_jupyter_console_attaches_and_is_credited() -> None:
    with local_beamline(prompt=True) as beamline:
        places = KernelPlaces.of(beamline.paths)
        until(lambda: places.holder() is not None, "no kernel")
        file = str(places.connection)
        other = PtyPerson([program("jupyter"), "console", "--existing", file], size=(40, 100))
        ours = PtyPerson([program("undula"), "shell", "--beamline", NAME])
        try:
            ours.see(r"In \[\d+\]:")
            ours.type("half = 1")
            other.see(r"In \[\d+\]:", timeout_s=60)
            other.enter("mv(M.samx, 0.5)")
            other.see("samx 0.5 mm")
            ours.see(r"<jupyter:\w+>: mv\(M.samx, 0.5\)")
            ours.see("samx 0.5 mm")
            ours.type("7; half\r")
            ours.see(r"Out\[\d+\]: 17")
            other.enter("half")
            other.see(r"Out\[\d+\]: 17")
        finally:
            other.close()
            ours.close()
        rows = read_log(beamline.paths.commands, 10, "mv(")
        assert [(row["origin"], row["status"]) for row in rows] == [("jupyter", "ok")]
