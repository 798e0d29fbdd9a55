"""People at real pseudo-terminals, on one real kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Callable

from jupyter_client.blocking.client import BlockingKernelClient

from undula.session.bridge.log import read_log
from undula.session.kernel.places import KernelPlaces
from undula.session.rpc.client import RpcClient
from undula.testing.beamline import LocalBeamline
from undula.testing.law import until
from undula.testing.terminal import CTRL_C, CTRL_D, TAB, PtyPerson

SitDown = Callable[..., PtyPerson]


def test_others_see_a_command_with_its_author_and_their_half_typed_line_stays(
    sit_down: SitDown, prompt: LocalBeamline
) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    ben.type("b_half = 6 ")
    ben.see(r"b_half = 6")
    with RpcClient(prompt.paths.run) as rpc:
        typist = f"terminal:{rpc.call('rpc/ping')['user']}"
        until(lambda: rpc.call("cmd/list")["typing"] == [typist], "nobody hears that he types")
    anna.enter("print('from a' + 'nna'); 41 + 1")
    anna.see(r"from anna\n.*Out\[\d+\]: 42")
    ben.see(r"<terminal:anna>: print\('from a' \+ 'nna'\); 41 \+ 1\nfrom anna\n.*: 42")
    ben.type("* 7\r")
    anna.see(r"<terminal:ben>: b_half = 6 \* 7")
    anna.enter("b_half")
    anna.see(r"Out\[\d+\]: 42")


def test_a_scan_shows_table_plot_and_progress_and_completion_answers_meanwhile(
    sit_down: SitDown,
) -> None:
    anna = sit_down()
    anna.enter("scan(M.samx, -1, 1, 40, time=0.2)")
    anna.see(r"\n +3 ")
    anna.see(r"diode \(counts\)\n[\s\S]*└[\s\S]*\nrun \d+ \d+/40 .* left by anna \| ring_current")
    anna.type("wm(M.sam" + TAB)
    anna.see("samy")
    anna.type(CTRL_C)  # clears the line, and interrupts nothing
    anna.see("success, 40 of 40 points")


def test_ctrl_c_pauses_a_scan_and_it_can_go_on(sit_down: SitDown, prompt: LocalBeamline) -> None:
    anna = sit_down()
    anna.enter("s = scan(M.samx, -1, 1, 60, time=0.2)")
    anna.see(r"\n +2 ")
    anna.type(CTRL_C)
    anna.see(r"scan paused: resume\(\)")
    anna.enter("resume()")
    with prompt.connect() as client:
        until(lambda: client.queue.list().state == "running", "it does not go on")
        client.queue.complete()
    anna.see(r"success, \d+ of 60 points")


def test_ctrl_c_right_after_enter_is_not_lost(sit_down: SitDown) -> None:
    anna = sit_down()
    anna.enter("import time; time.sleep(60)\r" + CTRL_C)
    anna.see(r"KeyboardInterrupt|not run: taken back")
    anna.enter("'a' + 'live'")
    anna.see("alive")


def test_questions_and_passwords_go_to_who_asked(sit_down: SitDown, prompt: LocalBeamline) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    ben.type("half")
    anna.enter("import getpass; secret = getpass.getpass('pass' + 'phrase? ')")
    anna.see(r"passphrase\?")
    anna.enter("Loesung-77")
    anna.enter("len(secret)")
    anna.see(r"Out\[\d+\]: 10")
    assert "Loesung-77" not in "\n".join(anna.lines + ben.lines)
    assert not any("passphrase" in line and "import" not in line for line in ben.lines)
    for path in prompt.paths.state.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a journal of a database comes and goes
            assert not path.is_file() or b"Loesung-77" not in path.read_bytes(), path


def test_a_question_ends_with_the_terminal_that_would_answer_it(sit_down: SitDown) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    anna.enter("input('to no' + 'body? ')")
    anna.see(r"to nobody\?")
    anna.close()
    ben.see("KeyboardInterrupt")
    ben.enter("'goes' + ' on'")
    ben.see("goes on")


def test_stop_pause_and_abort_of_others_act_at_once(sit_down: SitDown) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    anna.enter("scan(M.samx, -1, 1, 200, time=0.2)")
    ben.see(r"\n +2 ")
    ben.enter("waits = 1")
    ben.see("waits for terminal:anna; stop")
    ben.enter("abort")
    anna.see(r"abort, \d+ of 200 points")
    anna.enter("umv(M.samx, -40)")
    ben.enter("'then ' + str(waits)")
    ben.see("then 1")
    anna.enter("scan(M.samx, -1, 1, 200, time=0.2)")
    ben.see(r"\n +2 ")
    ben.enter("stop()")
    anna.see(r"abort, \d+ of 200 points")


def test_a_name_of_a_device_is_not_given_away(sit_down: SitDown) -> None:
    anna = sit_down()
    anna.enter("M.samx = 4")
    anna.see(r"cannot be set. Remedy: to move it: mv\(M")


def test_interrupting_what_others_run_takes_two_keys(sit_down: SitDown) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    anna.enter("import time; time.sleep(60)")
    ben.see("terminal:anna: running")
    ben.type(CTRL_C)
    ben.see("terminal:anna runs this; Ctrl-C again interrupts it")
    ben.type(CTRL_C)
    anna.see("KeyboardInterrupt")


def test_leaving_ends_the_terminal_and_not_the_prompt(sit_down: SitDown) -> None:
    anna = sit_down("anna")
    anna.enter("kept = 'still here'")
    anna.type(CTRL_D)
    assert anna.leave() == 0
    ben = sit_down("ben")
    ben.see(r"<terminal:anna> kept = 'still here'")
    ben.enter("kept")
    ben.see("still here")
    ben.enter("exit")
    assert ben.leave() == 0


def test_blocks_are_typed_over_several_lines(sit_down: SitDown) -> None:
    anna = sit_down()
    anna.enter("def four_times(x):")
    anna.type("x = 2 * x\rreturn 2 * x\r\r")
    anna.enter("four_times(10.5)")
    anna.see(r"Out\[\d+\]: 42.0")


def test_a_line_that_a_cell_prints_bit_by_bit_stays_one_line(sit_down: SitDown) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    ben.type("half = 6 ")
    anna.enter("import time")
    anna.enter("for i in (0, 1): print(i, end=' ', flush=True); time.sleep(600 * i + 0.3)")
    anna.type("\r")
    ben.see(r"\n0 1 ?\nIn \[\d+\]: half = 6")
    anna.see(r"\n0 1 ?\nIn")
    anna.type(CTRL_C)
    ben.see(r"\n0 1 ?\n-+\nKeyboardInterrupt")
    anna.enter("print('which', end=' '); input('one? ')")
    anna.see(r"which ?\none\?")
    anna.type("this\r")
    anna.see("Out.*this")
    ben.type("* 7; half\r")
    ben.see("Out.*42")


def test_a_terminal_that_can_nothing_is_no_less_useful(sit_down: SitDown) -> None:
    anna = sit_down("anna", TERM="dumb")
    anna.type("wm sam")
    ben = sit_down("ben")
    ben.enter("'from' + ' ben'")
    anna.see(r"<terminal:ben>: 'from' \+ ' ben'\nOut\[\d+\]: 'from ben'\nIn \[\d+\]: wm sam")
    anna.type("x\r")
    anna.see(r"axis +position +low +high +unit\n(In \[\d+\]:\n)?M.samx")
    anna.enter("input('what' + '? ')")
    anna.see("press Enter")
    anna.type("\r")
    anna.see(r"what\?")
    anna.type("that\r")
    anna.see("Out.*that")


def test_a_killed_kernel_is_told_restarted_and_the_scan_goes_on(
    sit_down: SitDown, prompt: LocalBeamline
) -> None:
    anna = sit_down()
    anna.enter("lost = 1; scan(M.samx, -1, 1, 300, time=0.2)")
    anna.see(r"\n +2 ")
    os.kill(prompt.pid("kernel"), signal.SIGKILL)
    anna.see("The shared prompt has ended.*SIGKILL")
    anna.see("The shared prompt is back")
    anna.enter("lost")
    anna.see("there is no 'lost' here")
    with prompt.connect() as client:
        assert client.queue.list().running is not None
    rows = read_log(prompt.paths.commands, 50, "lost = 1")
    assert [row["status"] for row in rows] == ["died"]
    prompt.calm()


def test_the_sockets_are_the_groups_only(prompt: LocalBeamline) -> None:
    places = KernelPlaces.of(prompt.paths)
    assert stat.S_IMODE(places.folder.stat().st_mode) == 0o2770
    for path in places.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path


def test_a_killed_terminal_leaves_nothing_in_the_kernel(
    sit_down: SitDown, prompt: LocalBeamline
) -> None:
    connection = str(KernelPlaces.of(prompt.paths).connection)
    client = BlockingKernelClient(connection_file=connection)
    client.load_connection_file()
    client.start_channels()

    def subshells() -> int:
        client.control_channel.send(client.session.msg("list_subshell_request", {}))
        reply = client.control_channel.get_msg(timeout=60)
        return len(reply["content"]["subshell_id"])

    try:
        anna = sit_down("anna")  # in a subshell of its own it asks for the number of its line
        before = subshells()
        people = [sit_down(name) for name in ("ben", "eva")]
        assert subshells() == before + 2
        people[0].close()  # kills it
        people[1].type(CTRL_D)
        people[1].leave()
        until(lambda: subshells() == before, "what they used stays")
        anna.enter("'a' + 'live'")
        anna.see("alive")
    finally:
        client.stop_channels()
