"""Jupyter's Qt console on the shared prompt, without a screen.

It lives in an environment of its own: Qt is heavy and no part of the development set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from undula.session.bridge.log import read_log
from undula.session.kernel.places import KernelPlaces
from undula.testing.beamline import NAME, LocalBeamline, local_beamline
from undula.testing.law import until
from undula.testing.terminal import PtyPerson

pytestmark = pytest.mark.interop

TYPIST = """
import json, os, sys
from qtpy import QtCore
from qtconsole.qtconsoleapp import JupyterQtConsoleApp

app = JupyterQtConsoleApp()
app.initialize(["--existing", sys.argv[1], "--JupyterWidget.include_other_output=True"])
front = app.window.active_frontend
steps = [("", "In ["), *json.loads(sys.argv[2])]
seen = 0

def look():
    global seen
    text = front._control.toPlainText()
    if steps[0][1] in text[seen:]:
        steps.pop(0)
        if not steps:
            print(json.dumps(text), flush=True)
            os._exit(0)  # without the question whether the kernel shall end
        elif steps[0][0]:
            seen = len(text)
            front.execute(steps[0][0])
        else:
            print("waits", flush=True)

timer = QtCore.QTimer()
timer.timeout.connect(look)
timer.start(50)
app.start()
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the Qt console."""
    place = tmp_path_factory.mktemp("qt")
    uv, found = str(Path(sys.executable).with_name("uv")), str(place / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
    wanted = ["qtconsole>=5.6", "PySide6-Essentials>=6.8"]
    done = subprocess.run(
        [uv, "pip", "install", "-q", "--python", found, *wanted],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"the Qt console cannot be installed: {done.stderr[-300:]}"
    return found


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    with local_beamline(prompt=True) as running:
        yield running


def test_it_attaches_moves_is_credited_and_sees_what_others_do(
    python: str, beamline: LocalBeamline
) -> None:
    places = KernelPlaces.of(beamline.paths)
    until(lambda: places.holder() is not None, "no kernel")
    undula = str(Path(sys.executable).with_name("undula"))
    steps = [("mv(M.samx, 0.5)", "samx 0.5 mm"), ("M.nope", "has no device"), ("", "from anna")]
    argv = [python, "-c", TYPIST, str(places.connection), json.dumps(steps)]
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    with closing(PtyPerson([undula, "shell", "--beamline", NAME])) as anna:
        anna.see(r"In \[\d+\]:")
        other = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
        try:
            anna.see(r"<jupyter:\w+>: mv\(M.samx, 0.5\)\nsamx 0.5 mm", timeout_s=120)
            assert other.stdout is not None
            assert other.stdout.readline() == "waits\n"
            anna.enter("print('from a' + 'nna')")
            shown = json.loads(other.stdout.readline())
            assert "from anna" in shown
            assert other.wait(60) == 0
        finally:
            other.kill()
            other.wait()
    rows = read_log(beamline.paths.commands, 10, "mv(")
    assert [(row["origin"], row["status"]) for row in rows] == [("jupyter", "ok")]
