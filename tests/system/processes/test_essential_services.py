"""A service that is not essential takes nothing down, and is waited for by nobody."""

import sys

from undula.processes import supervisor_client
from undula.processes.bringup import bring_up
from undula.processes.supervisor_model import ServiceSpec
from undula.testing.law import until


def test_a_broken_extra_leaves_the_beamline_up_and_says_why(beamline) -> None:
    argv = (sys.executable, "-c", "raise SystemExit('no names today')")
    extra = ServiceSpec("extra", argv, needs=("engine",), essential=False)
    status = bring_up(beamline.paths, lambda: [*beamline.all(), extra], lambda _: None)
    try:
        assert status["state"] == "up"

        def told() -> bool:
            rows = supervisor_client.ask(beamline.paths, {"do": "status"}, timeout_s=5.0)
            row = next(r for r in rows["services"] if r["name"] == "extra")
            return bool(row["reason"] == "ended with code 1" and row["restarts"] > 0)

        until(told, "the broken service is not tried again, or does not say why")
    finally:
        supervisor_client.take_down(beamline.paths)
