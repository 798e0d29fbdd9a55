"""The configuration changes whole or not at all, whatever is wrong with what is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ophyd import Component, Device, Signal

from undula.core.errors import BusyError, InputError, UndulaError
from undula.core.ids import new_id
from undula.devices.opening import open_configuration
from undula.devices.registry import Registry
from undula.devices.revisions import Revisions
from undula.messages import ConfigRequest
from undula.scans.configuration import Configuration
from undula.scans.leases import Leases

HERE = __name__


class Recorded(Signal):
    """A signal that remembers everything it was ever told."""

    told: ClassVar[list[float]] = []

    def put(self, value: float, **kwargs: Any) -> None:
        self.told.append(value)
        super().put(value, **kwargs)


class Furnace(Device):
    """An ophyd device with a signal that refuses what is too hot, and counts who lets go."""

    setpoint = Component(Recorded, value=20.0)
    destroyed: ClassVar[list[str]] = []

    def __init__(self, prefix: str = "", *, fails: bool = False, **kwargs: Any) -> None:
        if fails:
            raise RuntimeError("no such controller")
        super().__init__(prefix, **kwargs)

    def heat(self, target: float) -> None:
        if target > 1000:
            raise ValueError(f"{target:g} is too hot")

    def destroy(self) -> None:
        self.destroyed.append(self.name)
        super().destroy()


class Silent(Device):
    """An ophyd device that never answers."""

    def wait_for_connection(self, timeout: float = 2.0) -> None:
        raise TimeoutError("no answer")


GOOD = """samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline,
       enabled: true, deviceConfig: {limits: [-5, 5]}}
samy: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, enabled: true}
diode: {deviceClass: undula.devices.sim.SimMonitor, readoutPriority: monitored, enabled: true}
"""
KEYS: dict[str, Any] = {"readoutPriority": "baseline", "enabled": True}
OVEN = {**KEYS, "deviceClass": f"{HERE}.Furnace"}


class Bench:
    """A configuration over real simulated devices."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "devices.yaml"
        self.path.write_text(GOOD)
        self.revisions, self.leases = Revisions(folder / "r"), Leases()
        self.opening = open_configuration(self.path, self.revisions)
        self.devices = Registry(self.opening.file)
        self.devices.connect()
        self.changes = threading.Semaphore(0)
        self.chosen: list[Path] = []
        self.configuration = Configuration(
            self.devices, self.revisions, self.opening, leases=self.leases,
            changed=self.changes.release, chosen=self.chosen.append,
        )  # fmt: skip

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        request = ConfigRequest.model_validate(
            {"request_id": new_id(), "user": "anna", "deadline": 2e9, "action": action, **fields}
        )
        return self.configuration.answer(request)

    def state(self) -> tuple[Any, ...]:
        """Everything that a refused change must leave as it was."""
        objects = [
            (n, id(self.devices[n].obj), self.devices[n].entry) for n in self.devices.names()
        ]
        return objects, self.devices["samx"].limits(), self.revisions.numbers(), self.leases.held()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _file(text: str) -> Callable[[Bench], dict[str, Any]]:
    def ask(bench: Bench) -> dict[str, Any]:
        path = bench.folder / "other.yaml"
        path.write_text(text)
        return bench.ask("load", path=str(path))

    return ask


def _add(name: str = "oven", **keys: Any) -> Callable[[Bench], dict[str, Any]]:
    return lambda bench: bench.ask("add", devices={name: {**OVEN, **keys}})


def _update(name: str, **values: Any) -> Callable[[Bench], dict[str, Any]]:
    return lambda bench: bench.ask("update", devices={name: values})


ONE = "samx: {deviceClass: undula.devices.sim.SimPositioner, readoutPriority: baseline, "
WRONG: dict[str, tuple[Callable[[Bench], dict[str, Any]], str]] = {
    "no file": (lambda b: b.ask("load", path="/nowhere/x.yaml"), "cannot be read"),
    "a folder": (lambda b: b.ask("load", path=str(b.folder)), "cannot be read"),
    "empty": (_file(""), "other.yaml:1: the file is empty"),
    "a list": (_file("- samx\n"), "other.yaml:1: the file is not a mapping"),
    "tabs": (_file("samx:\n\tenabled: true\n"), "other.yaml:2: YAML"),
    "half a line": (_file("samx: {enabled: true\n"), "other.yaml:2: YAML"),
    "not a mapping below": (_file("samx: [1, 2]\n"), "other.yaml:1: samx is not a mapping"),
    "a device that is a number": (_file(f"{ONE}enabled: true}}\nsamy: 3\n"), "other.yaml:2: samy"),
    "twice": (_file(f"{ONE}enabled: true}}\n{ONE}enabled: true}}\n"), "other.yaml:2: samx stands"),
    "enabled missing": (_file(f"{ONE.rstrip(', ')}}}\n"), "other.yaml:1: samx: enabled is missing"),
    "enabled maybe": (_file(f"{ONE}enabled: maybe}}\n"), "enabled is 'maybe'"),
    "unknown key": (_file(f"{ONE}enabled: true, readOnyl: true}}\n"), "did you mean readOnly"),
    "unknown tag": (_file(f"{ONE}enabled: !!python/name:os.system }}\n"), "unknown tag"),
    "includes nothing": (_file("more: !include none.yaml\n"), "cannot be read"),
    "includes itself": (_file("more: !include other.yaml\n"), "other.yaml:1"),
    "needs nobody": (_file(f"{ONE}enabled: true, needs: [samz]}}\n"), "needs samz"),
    "needs itself": (_file(f"{ONE}enabled: true, needs: [samx]}}\n"), "circle"),
    "limits turned round": (_update("samx", **{"deviceConfig.limits": [5, -5]}), "low then high"),
    "limits of words": (_update("samx", **{"deviceConfig.limits": "wide"}), "low then high"),
    "no such device": (_update("samz", readOnly=True), "there is no device 'samz'"),
    "no such key": (_update("samx", readOnyl=True), "no key readOnyl"),
    "no such argument": (_update("samx", **{"deviceConfig.velocty": 3}), "takes no velocty"),
    "wrong type": (_update("samx", connectionTimeout="long"), "connectionTimeout is 'long'"),
    "remove nobody": (lambda b: b.ask("remove"), "no device was named"),
    "remove a stranger": (lambda b: b.ask("remove", names=["nobody"]), "no device 'nobody'"),
    "remove all": (lambda b: b.ask("remove", names=b.devices.names()), "no device would be left"),
    "add nothing": (lambda b: b.ask("add"), "nothing to add"),
    "no class": (_add(deviceClass=f"{HERE}.Oven"), "no class Oven"),
    "no package": (_add(deviceClass="no.such.Oven"), "cannot be imported"),
    "a name with a dot": (_add("oven.1"), "is no Python name"),
    "a reserved name": (_add("read"), "reserved"),
    "constructor fails": (_add(deviceConfig={"fails": True}), "oven: RuntimeError: no such contr"),
    "does not answer": (_add(deviceClass=f"{HERE}.Silent"), "oven: TimeoutError: no answer"),
    "setting refused": (_add(deviceConfig={"heat": 2000}), "oven: ValueError: 2000 is too hot"),
    "undo of nothing": (lambda b: b.ask("undo"), "nothing was changed yet"),
    "no such revision": (lambda b: b.ask("restore", revisions=[9]), "there are 1 to 1"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_is_wrong_is_named_and_nothing_changes(bench: Bench, wrong: str) -> None:
    ask, text = WRONG[wrong]
    before = bench.state()
    with pytest.raises(UndulaError) as caught:
        ask(bench)
    assert text in str(caught.value), str(caught.value)
    assert "Remedy: " in str(caught.value)
    assert bench.state() == before


def test_all_faults_of_an_update_are_named_at_once(bench: Bench) -> None:
    devices = {"samx": {"readOnly": "perhaps"}, "samy": {"deviceConfig.velocty": 1}}
    with pytest.raises(UndulaError) as caught:
        bench.ask("update", devices=devices)
    assert len(caught.value.details) == 2


def test_a_module_that_ends_the_process_is_not_imported(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "deadly.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.syspath_prepend(str(bench.folder))
    monkeypatch.setenv("PYTHONPATH", str(bench.folder))
    before = bench.state()
    with pytest.raises(UndulaError, match=r"importing deadly ends the process \(exit code 3\)"):
        bench.ask("add", devices={"oven": {**OVEN, "deviceClass": "deadly.Oven"}})
    assert bench.state() == before


def test_an_update_changes_one_device_and_keeps_the_objects_of_the_others(bench: Bench) -> None:
    samx, samy = bench.devices["samx"].obj, bench.devices["samy"].obj
    result = bench.ask("update", devices={"samx": {"readOnly": True}})
    assert result["changes"] == ["~ samx readOnly: False -> True"]
    assert bench.devices["samx"].obj is samx
    assert bench.devices["samx"].read_only
    bench.ask("update", devices={"samx": {"deviceConfig.limits": [-1, 1]}})
    assert bench.devices["samx"].obj is not samx
    assert bench.devices["samx"].limits() == (-1.0, 1.0)
    assert bench.devices["samy"].obj is samy
    assert bench.configuration.status().edited


def test_undo_goes_back_step_by_step_and_the_history_tells(bench: Bench) -> None:
    bench.ask("add", devices={"oven": OVEN})
    bench.ask("update", devices={"oven": {"description": "hot"}})
    bench.ask("remove", names=["samy"])
    assert bench.devices.names() == ["samx", "diode", "oven"]
    bench.ask("undo")
    assert "samy" in bench.devices.names()
    bench.ask("undo")
    assert bench.devices["oven"].entry.description == ""
    bench.ask("undo")
    assert bench.devices.names() == ["samx", "samy", "diode"]
    told = [(r["user"], r["action"]) for r in bench.ask("history")["revisions"]]
    assert told[1:] == [("anna", a) for a in (
        "add oven", "update oven description", "remove samy", "undo to 3", "undo to 2", "undo to 1",
    )]  # fmt: skip
    assert bench.ask("diff", revisions=[1, 3])["changes"] == ["+ oven"]
    with pytest.raises(InputError, match="nothing was changed yet"):
        bench.ask("undo")  # back at the start; not forward again


def test_undo_of_a_restore_goes_back_to_before_it(bench: Bench) -> None:
    bench.ask("add", devices={"oven": OVEN})
    bench.ask("remove", names=["samy"])
    bench.ask("restore", revisions=[1])
    assert bench.devices.names() == ["samx", "samy", "diode"]
    bench.ask("undo")
    assert bench.devices.names() == ["samx", "diode", "oven"]


def test_a_removed_device_is_let_go(bench: Bench) -> None:
    bench.ask("add", devices={"oven": OVEN})
    bench.ask("remove", names=["oven"])
    assert "oven" in Furnace.destroyed


def test_a_dry_run_says_what_would_change(bench: Bench) -> None:
    before = bench.state()
    result = bench.ask("remove", names=["samy"], dry_run=True)
    assert result["changes"] == ["- samy"]
    assert bench.state() == before


def test_what_a_refused_change_had_set_is_put_back(bench: Bench) -> None:
    """The second setting is refused after the first has been written."""
    bench.ask("add", devices={"oven": OVEN})
    Recorded.told.clear()
    with pytest.raises(UndulaError, match="too hot"):
        bench.ask("update", devices={"oven": {"deviceConfig": {"setpoint": 80.0, "heat": 5000}}})
    assert Recorded.told == [80.0, 20.0]


def test_a_device_that_another_needs_is_not_removed(bench: Bench) -> None:
    bench.ask("add", devices={"oven": {**OVEN, "needs": ["samy"]}})
    before = bench.state()
    with pytest.raises(UndulaError, match="oven needs samy, which is not described"):
        bench.ask("remove", names=["samy"])
    assert bench.state() == before


def test_a_device_in_use_is_refused_with_who_uses_it(bench: Bench) -> None:
    bench.leases.take(["samx"], "scan 12 of ben")
    before = bench.state()
    with pytest.raises(BusyError, match="in use by scan 12 of ben") as caught:
        bench.ask("update", devices={"samx": {"readOnly": True}})
    assert "--when-free" in str(caught.value)
    assert bench.state() == before
    assert bench.ask("update", devices={"samy": {"readOnly": True}})["changes"]


def test_a_change_may_wait_for_the_end_of_a_run(bench: Bench) -> None:
    bench.leases.take(["samx"], "scan 12 of ben")
    result = bench.ask("update", devices={"samx": {"readOnly": True}}, when_free=True)
    assert "samx is in use by scan 12 of ben" in result["pending"]
    assert bench.changes.acquire(timeout=60.0)
    with pytest.raises(BusyError, match="a change waits already"):
        bench.ask("remove", names=["samy"])
    assert not bench.devices["samx"].read_only
    bench.leases.release("scan 12 of ben")
    assert bench.changes.acquire(timeout=60.0)
    assert bench.devices["samx"].read_only
    assert bench.configuration.status().pending == ""


def test_a_waiting_change_can_be_dropped(bench: Bench) -> None:
    bench.leases.take(["samx"], "scan 12 of ben")
    bench.ask("remove", names=["samx"], when_free=True)
    assert bench.changes.acquire(timeout=60.0)
    assert "samx" in bench.ask("cancel")["cancelled"]
    assert bench.changes.acquire(timeout=60.0)
    bench.leases.release("scan 12 of ben")
    assert "samx" in bench.devices.names()


def test_another_file_is_remembered_and_left_out_devices_go(bench: Bench) -> None:
    other = bench.folder / "other.yaml"
    other.write_text(GOOD.splitlines(keepends=True)[2])
    result = bench.ask("load", path=str(other))
    assert result["changes"] == ["- samx", "- diode"]
    assert bench.chosen == [other]
    bench.ask("undo")
    assert bench.chosen == [other, bench.path]
    assert bench.devices["samx"].connected


def test_devices_that_do_not_answer_are_disabled_when_a_file_is_loaded(bench: Bench) -> None:
    other = bench.folder / "other.yaml"
    other.write_text(GOOD + f"cold: {{deviceClass: {HERE}.Silent, readoutPriority: baseline, "
                     "enabled: true}\n")  # fmt: skip
    result = bench.ask("load", path=str(other))
    assert "no answer" in result["absent"]["cold"]
    assert bench.devices["samx"].connected
