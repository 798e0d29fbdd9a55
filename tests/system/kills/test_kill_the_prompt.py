"""Kernel, session service and a terminal, killed at each of their points in mid-command.

The others go on, the log tells how each command ended, and the scan is untouched.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.core.clock import Deadline
from undula.core.errors import UndulaError
from undula.core.faults import POINTS
from undula.session.bridge.log import read_log
from undula.session.rpc.client import RpcClient, ZError
from undula.testing.beamline import (
    LATER,
    NAME,
    LocalBeamline,
    fault_environment,
    local_beamline,
)
from undula.testing.law import until
from undula.testing.terminal import PtyPerson

UNDULA = shutil.which("undula", path=str(Path(sys.executable).parent)) or "undula"
SCAN_POINTS = 80
ENDINGS = {
    "kernel.cell_taken": {"died"},
    "kernel.cell_done": {"died"},
    "session.command_accepted": {"died"},
    "session.command_sent": {"died"},
    "session.command_finished": {"died"},
}
"""What the log says of the command in which the process was killed: that nobody saw its end."""


@contextlib.contextmanager
def scanning(beamline: LocalBeamline) -> Iterator[None]:
    """A scan that must be untouched by whatever happens meanwhile."""
    with beamline.connect() as client:
        scan = client.submit("scan", "samx", -1, 1, SCAN_POINTS, time=0.05)
        yield
        scan.wait(timeout_s=100).check()
        assert scan.run is not None
        assert len(scan.run.data["samx"]) == SCAN_POINTS


@contextlib.contextmanager
def person(env: dict[str, str] | None = None) -> Iterator[PtyPerson]:
    """Somebody at a terminal."""
    made = PtyPerson([UNDULA, "shell", "--beamline", NAME], env)
    try:
        made.see(r"In \[\d+\]:")
        yield made
    finally:
        made.close()


def answers(client: RpcClient) -> bool:
    """Whether the prompt does what it is asked."""
    try:
        return bool(client.call("cmd", cmd="6 * 7", policy="queue", timeout_s=20.0) == "42")
    except (UndulaError, ZError):
        return False


EVERY_TIME = ("kernel.cell_taken", "session.command_sent")
"""Struck at each change; the others in the long tests."""


@pytest.fixture(scope="module")
def beamline() -> Iterator[LocalBeamline]:
    """One for all tests of this file."""
    with local_beamline(prompt=True, faults={"kernel": LATER, "session": LATER}) as made:
        yield made


@pytest.mark.parametrize(
    "fault",
    [f if f in EVERY_TIME else pytest.param(f, marks=pytest.mark.soak) for f in sorted(ENDINGS)],
)
def test_a_service_of_the_prompt_is_killed_in_mid_command(
    beamline: LocalBeamline, fault: str
) -> None:
    service = fault.partition(".")[0]
    beamline.arm(service, f"{fault}:4")
    with RpcClient(beamline.paths.run) as client, person() as anna:
        until(lambda: answers(client), "the prompt does not answer")
        anna.type("half = ")
        with scanning(beamline):
            sent, deadline = 0, Deadline(60.0)
            while beamline.token(service).exists():
                assert not deadline.passed, f"{sent} commands were sent, and nobody was killed"
                sent += 1
                with contextlib.suppress(UndulaError, ZError):
                    client.call("cmd", cmd=f"'{fault}' + '{sent}'", policy="queue", timeout_s=3.0)
            until(lambda: answers(client), "the prompt is not back")
        anna.enter("'ha' + 'lf'")
        anna.see("half = 'half'|Out.*'half'|In.*half = 'ha' \\+ 'lf'")
        until(
            lambda: all(
                row["status"] != "open" for row in read_log(beamline.paths.commands, 50, fault)
            ),
            "a command is open for ever",
        )
        rows = read_log(beamline.paths.commands, 50, f"'{fault}' + ")
        assert rows[-1]["status"] in ENDINGS[fault], rows
        assert {row["status"] for row in rows[:-1]} <= {"ok"}


def test_a_terminal_is_killed_in_mid_command(beamline: LocalBeamline, tmp_path: Path) -> None:
    with person() as ben:
        ben.type("half = 'ben' ")
        with scanning(beamline):
            for fault in ("terminal.line_sent", "terminal.reply_received"):
                with person(fault_environment(tmp_path, "terminal", f"{fault}:1")) as anna:
                    anna.enter(f"'said at ' + '{fault}'")
                    assert anna.leave() == -signal.SIGKILL
        ben.see("'said at terminal.reply_received'")
        ben.enter("; half")
        ben.see("Out.*'ben'")

        def ended() -> dict[str, str]:
            rows = read_log(beamline.paths.commands, 50, "'said at '")
            return {row["line"]: row["status"] for row in rows}

        until(lambda: "open" not in ended().values(), "a command is open for ever")
        assert set(ended().values()) == {"ok"}
        # a line that its terminal had only just sent may have died with it, on its way out
        assert "'said at ' + 'terminal.reply_received'" in ended()


def test_every_point_of_the_prompt_is_tried_here() -> None:
    mine = {p for p in POINTS if p.partition(".")[0] in ("kernel", "session", "terminal")}
    assert mine == {*ENDINGS, "terminal.line_sent", "terminal.reply_received"}
