"""Names of devices at a prompt follow the devices of the beamline."""

from __future__ import annotations

from typing import Any

from undula.bus.endpoints import DEVICE_TABLE
from undula.client import Client
from undula.core.clock import Deadline
from undula.messages import DeviceTable
from undula.session.commands import Shell
from undula.session.shell import make_ipython
from undula.testing.toy_engine import ToyEngine


def _told(engine: ToyEngine, **names: str) -> None:
    samx = engine._infos()[0]
    devices = [samx.model_copy(update={"name": n, "path": p}) for n, p in names.items()]
    engine.bus.put(DEVICE_TABLE, DeviceTable(devices=devices, source="toy"))


def _until(condition: Any) -> None:
    deadline = Deadline(60.0)
    while not condition():
        assert not deadline.passed


def test_a_new_device_is_a_name_and_one_that_goes_is_none(
    client: Client, engine: ToyEngine
) -> None:
    ipython, _ = make_ipython(client, plot=False)
    names = ipython.user_ns
    ipython.run_cell("diode = 'my own'; samz = 'mine'")

    _told(engine, samy="M.samy", samz="M.samz", scan="S.scan", key="S.key")
    _until(lambda: "samy" in names)

    assert names["samy"] == eval("M.samy", names)
    assert "samx" not in names
    assert (names["diode"], names["samz"]) == ("my own", "mine")
    assert callable(names["scan"])
    assert eval("S.key", names).device_path == "S.key"
    ipython.run_cell("del samz")
    _told(engine, samz="M.samz")
    _until(lambda: "samy" not in names)
    assert names["samz"] == eval("M.samz", names)


def test_the_record_of_a_scan_has_the_paths(shell: Shell, client: Client) -> None:
    names = shell.namespace()
    accepted = names["scan"](names["samx"], -1, 1, 3, detectors=names["diode"]).accepted
    assert accepted.command == "scan(M.samx, -1, 1, 3, detectors=[D.diode])"
    assert eval("M.samx", names).device_path == "M.samx"
    assert client.check("scan", "samx", -1, 1, 3).command == "scan('samx', -1, 1, 3)"
