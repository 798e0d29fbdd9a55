"""Words of the shared prompt, on a real beamline."""

from __future__ import annotations

from collections.abc import Callable

from undula.processes import supervisor_client
from undula.testing.beamline import LocalBeamline
from undula.testing.law import until
from undula.testing.terminal import PtyPerson

SitDown = Callable[..., PtyPerson]


def test_what_is_measured_holds_for_every_prompt_and_program(
    sit_down: SitDown, prompt: LocalBeamline
) -> None:
    anna = sit_down("anna")
    anna.enter("newproposal p77; newsample Fe2O3; md['temperature_K'] = 12.5")
    anna.see(r"sample Fe2O3\n  next file  .*/p77/Fe2O3/dataset/NNNNN_s")
    with prompt.connect() as client:
        assert dict(client.metadata) == {
            "proposal": "p77", "sample": "Fe2O3", "temperature_K": 12.5,
        }  # fmt: skip
        run = client.scan("samx", -0.1, 0.1, 3).run
        assert run is not None
        assert run.record.metadata["temperature_K"] == 12.5
        assert run.path.parent == prompt.settings.data / "p77" / "Fe2O3" / "dataset"
        with_own = client.scan("samx", -0.1, 0.1, 3, metadata={"sample": "air"}).run
        assert with_own is not None
        assert with_own.path.parent.parent.name == "air"
        client.metadata.clear()


def test_a_line_as_in_spec_is_shown_as_it_was_typed(sit_down: SitDown) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    anna.enter("umv samx 0.5")
    anna.see(r"samx 0\.5 mm")
    ben.see(r"<terminal:anna>: umv samx 0\.5")
    anna.enter("with scan_group('pair'):")
    anna.type("scan(M.samx, 0, 1, 3)\rscan(M.samx, 0, 1, 3)\r\r")
    anna.see(r"success, 3 of 3 points(.|\n)*success, 3 of 3 points")
    anna.enter("[len(runs.group('pair')), runs[-1].record.command]")
    anna.see(r"\[2, 'scan\(M.samx, 0, 1, 3\)'\]")


def test_each_path_reaches_its_device_and_names_follow_the_configuration(
    sit_down: SitDown,
) -> None:
    anna = sit_down()
    anna.enter("{str(eval(i.path) == devices[i.name]) for i in devices.table()}")
    anna.see(r"\{'True'\}")
    anna.enter(
        "keys = {'deviceClass': 'ophyd.Signal', 'readoutPriority': 'baseline', 'enabled': True}"
    )
    anna.enter("r = config.add({'samq': keys}); str(samq) + ' is ' + samq.device_path")
    anna.see("samq is M.samq")
    anna.enter("r = config.remove(samq); 'sam' + 'q' in globals()")
    anna.see(r"Out\[\d+\]: False")


def test_tw_asks_the_terminal_that_typed_it(sit_down: SitDown) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    anna.enter("umv samx 1")
    anna.see(r"samx 1 mm")
    anna.enter("tw samx 0.25")
    anna.see(r"samx step 0\.25  \[p n number q\]:")
    ben.type("half ")
    anna.type("p\r")
    anna.see(r"samx 1\.25 mm\n.*\[p n number q\]:")
    anna.type("q\r")
    anna.enter("wm samx")
    anna.see(r"M\.samx +1\.25 ")
    assert not any("p n number" in line for line in ben.lines)
    ben.see("half")


def test_the_last_commands_become_a_macro_that_runs_again(
    sit_down: SitDown, prompt: LocalBeamline
) -> None:
    anna, ben = sit_down("anna"), sit_down("ben")
    anna.enter("umv samy 0.5; again = 'fi' + 'rst'")
    anna.see(r"samy 0\.5 mm")
    anna.enter("umv samy 9999")
    anna.see("Remedy")
    ben.enter("bens = 1")
    anna.see("terminal:ben>: bens = 1")
    anna.enter("'log' + 'ged'")
    anna.see("logged")
    anna.enter("%script 2 night.py")
    anna.see(r"2 commands in \S+")
    made = (prompt.paths.plans / "scripts" / "night.py").read_text()
    assert made.splitlines()[1:] == ["umv(samy, 0.5); again = 'fi' + 'rst'", "'log' + 'ged'"]
    anna.enter("umv samy 0; again = 'none'")
    anna.see(r"samy 0 mm")
    anna.enter("load_script night.py")
    anna.see(r"samy 0\.5 mm")
    anna.enter("again")
    anna.see("Out.*first")


def test_a_start_up_file_gives_names_and_its_fault_is_told(
    sit_down: SitDown, prompt: LocalBeamline
) -> None:
    def restart() -> None:
        before = prompt.pid("kernel")
        supervisor_client.ask(prompt.paths, {"do": "restart", "name": "kernel"}, timeout_s=60.0)
        until(lambda: prompt.pid("kernel") not in (0, before), "the kernel does not come back")

    file = prompt.paths.state / "startup.py"
    file.write_text("def align():\n    return 'al' + 'igned'\n\n1 / 0\n")
    try:
        restart()
        anna = sit_down("anna")
        anna.see(r"start-up file: .*startup\.py, line 4: 1 / 0")
        anna.enter("align()")
        anna.see("Out.*aligned")
        file.write_text("import os; os._exit(1)\n")
        restart()
        anna.see("The shared prompt is back")
        anna.enter("'still' + ' here'")
        anna.see("Out.*still here")
        ben = sit_down("ben")
        ben.see(r"start-up file: \[startup.py\] a prompt ended in the middle of it")
    finally:
        file.unlink()
