"""After `undula stop`, everybody who looks is told: the scan's terminal, the stop, the queue.

Starts the real services once: more than 5 s.
"""

from __future__ import annotations

import os
import subprocess
import sys

from undula.testing.beamline import NAME, local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0
UNDULA = [sys.executable, "-c", "from undula.cli import main; main()"]


def _env() -> dict[str, str]:
    return {**os.environ, "UNDULA_BEAMLINE": NAME, "COLUMNS": "200"}


def _undula(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNDULA, *words], env=_env(), capture_output=True, text=True, timeout=120, check=False
    )


def test_the_scan_the_stop_and_the_queue_say_what_happened_and_what_is_accepted() -> None:
    with local_beamline() as beamline, beamline.connect() as client:
        scan = subprocess.Popen(
            [*UNDULA, "scan", "samx", "-2", "2", "400", "--time", "0.05", "--detectors", "diode"],
            env=_env(),
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: client.queue.list().points_done >= 3, "the scan does not begin")
        stopped = _undula("stop")
        assert stopped.returncode == 0, stopped.stderr
        assert "samx" in stopped.stdout
        assert "New scans and moves are accepted now" in stopped.stdout
        output, _ = scan.communicate(timeout=PATIENCE_S)
        assert scan.returncode == 1
        last = output.rstrip().splitlines()[-1]
        assert "undula scan samx -2 2 400" in last
        assert "abort, stopped by undula stop (" in last
        queue = _undula("queue")
        assert "stopped by undula stop (" in queue.stdout
        assert "new scans are accepted" in queue.stdout
        again = _undula("stop")
        assert "nothing was moving" in again.stdout
        assert _undula("scan", "samx", "0", "1", "3", "--detectors", "diode").returncode == 0
        assert "undula stop" not in _undula("queue").stdout
