"""Words of the shared prompt, on a real beamline."""

from __future__ import annotations

from collections.abc import Callable

from undula.testing.beamline import LocalBeamline
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
