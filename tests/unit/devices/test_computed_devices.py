"""Devices that are computed from others: counters, BEC's computed signals, pseudo axes."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core.errors import DeviceError, InputError, LimitError
from undula.devices.description import DeviceEntry, load_device_file
from undula.devices.errors import DeviceFileError
from undula.devices.formula import Formula
from undula.devices.loaded import LoadedDevice
from undula.devices.motor import MotorView
from undula.devices.pseudo import D_SPACING_ANGSTROM, Energy
from undula.devices.pseudo_axis import real_moves
from undula.devices.registry import Registry

AXIS = """{name}:
  deviceClass: undula.devices.sim.SimPositioner
  deviceConfig: {{limits: [-10, 10], start: {start}}}
  readoutPriority: baseline
  enabled: true
"""
_AXIS_ENTRY = DeviceEntry(
    name="bragg", deviceClass="ophyd.Signal", readoutPriority="baseline", enabled=True
)
BLADES = AXIS.format(name="top", start=2) + AXIS.format(name="bottom", start=-1)


def _entry(name: str, cls: str, config: str) -> str:
    return (
        f"{name}:\n  deviceClass: undula.devices.{cls}\n  deviceConfig: {config}\n"
        "  readoutPriority: baseline\n  enabled: true\n"
    )


SLITS = BLADES + _entry("gap", "pseudo.SlitGap", "{plus: top, minus: bottom}")
SLITS += _entry("offset", "pseudo.SlitOffset", "{plus: top, minus: bottom}")


def _loaded(tmp_path: Path, text: str) -> Registry:
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    registry = Registry(load_device_file(path))
    registry.connect()
    return registry


def _positions(registry: Registry, *names: str) -> list[float]:
    return [registry[n].position() for n in names]


def test_a_gap_and_an_offset_move_both_blades_and_hold_each_other(tmp_path: Path) -> None:
    devices = _loaded(tmp_path, SLITS)
    assert _positions(devices, "gap", "offset") == [3.0, 0.5]
    assert devices["gap"].obj.set(1.0).success
    assert _positions(devices, "top", "bottom", "offset") == [1.0, 0.0, 0.5]
    devices["offset"].obj.set(2.0)
    assert _positions(devices, "top", "bottom", "gap") == [2.5, 1.5, 1.0]


@pytest.mark.parametrize("order", [("gap", "offset"), ("offset", "gap")])
def test_targets_of_both_lie_one_upon_the_other_in_any_order(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    devices = _loaded(tmp_path, SLITS)
    targets = {"gap": np.array([1.0, 2.0]), "offset": np.array([0.0, 5.0])}
    found = {d.name: t for d, t in real_moves((devices[n], targets[n]) for n in order)}
    assert np.allclose(found["top"], [0.5, 6.0])
    assert np.allclose(found["bottom"], [-0.5, 4.0])


def test_limits_of_the_real_axes_hold(tmp_path: Path) -> None:
    devices = _loaded(tmp_path, SLITS)
    with pytest.raises(LimitError, match="go to 15") as caught:
        devices["gap"].obj.set(29.0)
    assert caught.value.device == "top"
    assert _positions(devices, "top", "bottom") == [2.0, -1.0]


def test_how_far_a_pseudo_axis_could_go_follows_from_its_real_ones(tmp_path: Path) -> None:
    devices = _loaded(tmp_path, SLITS)
    # both blades -10..10: with the middle at 0.5 the gap may be -19..19; with a gap of 3 the
    # middle -8.5..8.5
    assert devices["gap"].reach() == pytest.approx((-19.0, 19.0), abs=1e-5)
    assert devices["offset"].reach() == pytest.approx((-8.5, 8.5), abs=1e-5)
    assert MotorView(devices["gap"]).parameters()["high_limit"]["value"] == pytest.approx(19.0)
    assert devices["top"].reach() is None  # it has limits of its own


def test_the_reach_of_an_energy_ends_where_its_axes_end(tmp_path: Path) -> None:
    text = AXIS.format(name="bragg", start=14).replace("[-10, 10]", "[5, 60]")
    devices = _loaded(tmp_path, text + _entry("mono", "pseudo.Energy", "{bragg: bragg}"))
    low, high = devices["mono"].reach() or (0.0, 0.0)
    devices["mono"].obj.set(low + 1e-3)
    assert devices["bragg"].position() == pytest.approx(60.0, abs=0.1)
    devices["mono"].obj.set(high - 1e-3)
    assert devices["bragg"].position() == pytest.approx(5.0, abs=0.1)


def test_a_real_axis_that_is_moved_by_itself_as_well_is_refused(tmp_path: Path) -> None:
    devices = _loaded(tmp_path, SLITS)
    with pytest.raises(InputError, match="moved by a pseudo axis as well"):
        real_moves([(devices["gap"], 1.0), (devices["top"], 1.0)])


def test_energy_follows_braggs_law_and_takes_the_undulator_along(tmp_path: Path) -> None:
    text = AXIS.format(name="bragg", start=14).replace("[-10, 10]", "[5, 60]")
    text += AXIS.format(name="und_gap", start=10).replace("[-10, 10]", "[5, 40]")
    config = "{bragg: bragg, crystal: Si111, unit: eV, follow: {und_gap: 'energy / 1000 + 2'}}"
    devices = _loaded(tmp_path, text + _entry("mono", "pseudo.Energy", config))
    devices["mono"].obj.set(7112.0)
    # 2 d sin(theta) = hc / E with d = 3.1356 Å: sin(theta) = 0.27799 at the iron K edge
    assert devices["bragg"].position() == pytest.approx(16.140, abs=1e-3)
    assert devices["und_gap"].position() == pytest.approx(9.112)
    assert devices["mono"].position() == pytest.approx(7112.0)
    with pytest.raises(InputError, match="cannot be reached"):
        devices["mono"].obj.set(1000.0)


def test_a_pseudo_axis_may_move_another_one(tmp_path: Path) -> None:
    config = "{value: gap / 2, moves: {gap: 2 * value}}"
    devices = _loaded(tmp_path, SLITS + _entry("half", "PseudoAxis", config))
    found = {d.name: t for d, t in real_moves([(devices["half"], 2.0)])}
    assert found == {"top": 2.5, "bottom": -1.5}
    assert devices["half"].obj.set(2.0).success
    assert _positions(devices, "gap", "half", "top") == [4.0, 2.0, 2.5]
    assert devices["half"].obj.locate() == {"setpoint": 2.0, "readback": 2.0}
    with pytest.raises(LimitError):
        devices["half"].obj.set(15.0)


def test_an_undulator_follows_the_energy_by_a_table(tmp_path: Path) -> None:
    text = AXIS.format(name="bragg", start=14).replace("[-10, 10]", "[5, 60]")
    text += AXIS.format(name="und_gap", start=10).replace("[-10, 10]", "[5, 40]")
    table = "{und_gap: 'interp(energy, [5, 7, 9], [6, 8, 12])'}"
    devices = _loaded(
        tmp_path, text + _entry("mono", "Energy", f"{{bragg: bragg, follow: {table}}}")
    )
    devices["mono"].obj.set(8.0)
    assert devices["und_gap"].position() == pytest.approx(10.0)
    with pytest.raises(InputError, match="und_gap has no place for it"):
        devices["mono"].obj.set(9.5)


def test_a_real_axis_that_is_disabled_is_named_and_may_come_back(tmp_path: Path) -> None:
    devices = _loaded(tmp_path, SLITS)
    devices.disable("top")
    assert not devices["gap"].connected
    assert devices["gap"].problem == "it needs top, which does not answer"
    devices.enable("top")
    assert devices["gap"].connected
    assert devices["gap"].position() == 3.0


TABLE = "front: plus, back: minus"
ALL = {
    "gap": _entry("gap", "SlitGap", "{plus: plus, minus: minus}"),
    "offset": _entry("offset", "SlitOffset", "{plus: plus, minus: minus}"),
    "height": _entry("height", "TableHeight", f"{{{TABLE}}}"),
    "pitch": _entry("pitch", "TablePitch", f"{{{TABLE}, distance: 500}}"),
}
HELD = {"gap": "offset", "offset": "gap", "height": "pitch", "pitch": "height"}
PLACE = st.floats(-40, 40)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    wide = AXIS.replace("[-10, 10]", "[-500, 500]")
    text = wide.format(name="plus", start=1) + wide.format(name="minus", start=-1)
    return _loaded(tmp_path_factory.mktemp("all"), text + "".join(ALL.values()))


@given(st.lists(st.tuples(st.sampled_from(sorted(ALL)), PLACE), min_size=1, max_size=8))
def test_each_goes_where_it_is_sent_and_the_other_one_stays(
    everything: Registry, moves: list[tuple[str, float]]
) -> None:
    for name, target in moves:
        before = everything[HELD[name]].position()
        assert everything[name].obj.set(target).success
        assert everything[name].position() == pytest.approx(target, abs=1e-6)
        assert everything[HELD[name]].position() == pytest.approx(before, abs=1e-6)


@given(st.floats(2.3, 40.0), st.sampled_from(["Si111", "Si220", "Si311", "Ge111"]))
def test_an_energy_is_that_of_braggs_law(energy: float, crystal: str) -> None:
    axis = Energy("mono", bragg="bragg", crystal=crystal)
    axis.bind({"bragg": LoadedDevice(_AXIS_ENTRY)})
    targets: dict[str, Any] = {"bragg": 10.0}
    if 12.39842 / energy > 2 * D_SPACING_ANGSTROM[crystal]:
        with pytest.raises(InputError, match="cannot be reached"):
            axis.onto(targets, energy)
        return
    axis.onto(targets, energy)
    wavelength = 2 * D_SPACING_ANGSTROM[crystal] * np.sin(np.radians(targets["bragg"]))
    assert 12.398419843 / wavelength == pytest.approx(energy)


WRONG_WAYS = [
    ("{value: 2 * top, moves: {top: value * 2}}", 1.0, "bring it to 4"),
    ("{value: top - bottom, moves: {top: bottom - value}}", 1.0, "bring it to -1"),
    ("{value: top, moves: {bottom: value}}", 5.0, "bring it to 2"),
]


@pytest.mark.parametrize(("config", "target", "what"), WRONG_WAYS)
def test_expressions_that_do_not_fit_together_move_nothing(
    tmp_path: Path, config: str, target: float, what: str
) -> None:
    devices = _loaded(tmp_path, BLADES + _entry("p", "PseudoAxis", config))
    with pytest.raises(InputError, match=f"asked for {target:g} mm, .* {what} mm"):
        devices["p"].obj.set(target)
    with pytest.raises(InputError, match="do not fit together"):
        real_moves([(devices["p"], np.array([target, target + 1]))])
    assert _positions(devices, "top", "bottom") == [2.0, -1.0]


def test_a_bragg_axis_in_radians_is_refused_with_the_way_out(tmp_path: Path) -> None:
    text = AXIS.format(name="bragg", start=0.2).replace("start: 0.2", "start: 0.2, unit: mrad")
    devices = _loaded(tmp_path, text + _entry("mono", "Energy", "{bragg: bragg}"))
    assert "bragg is in mrad, not in degrees" in devices["mono"].problem


def test_a_flag_names_the_reading_that_is_to_blame(tmp_path: Path) -> None:
    text = COUNTERS.replace("value: 4.0", "value: .nan")
    devices = _loaded(tmp_path, text + _entry("ratio", "Calculated", "{expression: i1 / i0}"))
    assert devices.reading("ratio").flags == ["ratio: not a number", "i0: not a number"]


def test_a_table_tilts_in_mrad_and_holds_its_height(tmp_path: Path) -> None:
    text = AXIS.format(name="front", start=1) + AXIS.format(name="back", start=1)
    legs = "front: front, back: back"
    text += _entry("pitch", "pseudo.TablePitch", f"{{{legs}, distance: 1000}}")
    text += _entry("height", "pseudo.TableHeight", f"{{{legs}}}")
    devices = _loaded(tmp_path, text)
    devices["pitch"].obj.set(2.0)
    assert _positions(devices, "front", "back") == pytest.approx([2.0, 0.0], abs=1e-5)
    assert devices["height"].position() == pytest.approx(1.0)
    assert devices["pitch"].unit == "mrad"


COUNTERS = """i0: {deviceClass: ophyd.Signal, deviceConfig: {value: 4.0}, readoutPriority: baseline,
     enabled: true}
i1: {deviceClass: ophyd.Signal, deviceConfig: {value: 2.0}, readoutPriority: baseline,
     enabled: true}
"""


def test_a_calculated_counter_is_as_old_as_the_oldest_it_comes_from(tmp_path: Path) -> None:
    config = "{expression: 'i1 / i0', unit: ''}"
    devices = _loaded(tmp_path, COUNTERS + _entry("ratio", "computed.Calculated", config))
    reading = devices["ratio"].read()["ratio"]
    assert reading["value"] == 0.5
    stamps = [devices[n].read()[n]["timestamp"] for n in ("i0", "i1")]
    assert reading["timestamp"] == min(stamps)
    assert devices["ratio"].entry.needs == ["i0", "i1"]


def test_readings_of_the_same_point_are_used_when_they_are_offered(tmp_path: Path) -> None:
    config = "{expression: i1 / i0}"
    ratio = _loaded(tmp_path, COUNTERS + _entry("ratio", "computed.Calculated", config))["ratio"]
    for key, value in (("i0", 8.0), ("i1", 2.0)):
        ratio.obj.offer({key: {"value": value, "timestamp": 5.0}})
    assert ratio.obj.read() == {"ratio": {"value": 0.25, "timestamp": 5.0}}
    assert ratio.obj.read()["ratio"]["value"] == 0.5


def test_a_counter_whose_condition_rests_on_no_number_is_a_gap(tmp_path: Path) -> None:
    config = "{expression: 'i1 / i0 if i0 > 1 else 0'}"
    ratio = _loaded(tmp_path, COUNTERS + _entry("ratio", "computed.Calculated", config))["ratio"]
    for key, value in (("i0", np.nan), ("i1", 2.0)):
        ratio.obj.offer({key: {"value": value, "timestamp": 5.0}})
    assert np.isnan(ratio.obj.read()["ratio"]["value"])
    assert ratio.obj.read()["ratio"]["value"] == 0.5


BEC = """pseudo_signal:
  deviceClass: ophyd_devices.ComputedSignal
  deviceConfig:
    compute_method: |
      def compute_signals(signal1, signal2):
          both = signal1.get() + signal2.get()
          return both / 2
    input_signals: [i0_readback, i1_readback]
  readoutPriority: monitored
  enabled: true
"""


def test_a_computed_signal_of_bec_is_read_as_arithmetic(tmp_path: Path) -> None:
    devices = _loaded(tmp_path, COUNTERS + BEC)
    device = devices["pseudo_signal"]
    assert device.connected, device.problem
    assert device.read()["pseudo_signal"]["value"] == 3.0


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import os", "not one function"),
        ("def f(a):\n    import os\n    return a", "line 2: import is not read"),
        ("def f(a):\n    return open('x')", "line 2: .*no function open"),
        ("def f(a):\n    for i in a: pass\n    return a", "line 2: for is not read"),
        ("def f(a):\n    return a.put(3)", "line 2"),
        ("def f(a):\n    b = a", "returns nothing"),
        ("def f(a):\n    return a\n    return 3", "line 3: nothing is done after return"),
        ("def f(a, a):\n    return a", "one name"),
        (
            "def f(a):\n    if a.get() > 3:\n        return 1\n    return 2",
            "line 2: if is not read",
        ),
        ("def f(a):\n    return " + "-" * 900 + "a", "line 2: it is nested too deeply"),
        ("def f(a):\n    return a" + ".b" * 2000, "nested too deeply|no a.b"),
        ("def f(a):\n" + "    a = a + a\n" * 200 + "    return a", "201 lines"),
        ("def f(a):\n    return a" + " " * 20000, "characters"),
        ("def f(a):\n    return np.random.rand()", "line 2: .*no function np.random.rand"),
        ("def f(a):\n    a.x = 3\n    return a", "line 2: assign is not read"),
        ("def f(a", "line 1: it is no Python"),
        ("def f(*a):\n    return 1", "more than plain arguments"),
    ],
)
def test_what_is_no_arithmetic_is_refused_with_its_line(source: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        Formula(source)
    assert "device class" in caught.value.remedy


@pytest.mark.parametrize(
    "body",
    [
        "import numpy as np\n    return np.sqrt(a.get() ** 2 + 16.0)",
        "import math, numpy\n    return numpy.arctan2(0, 1) + math.sqrt(25)",
        "b: float = a.value\n    b += 2\n    return b",
        "'A sum.'\n    return a.get() + 2 if a.get() > 1 else np.pi",
        "np = a.get()\n    return np + 2",
        "return np.maximum(a.get(), np.power(5, 1))",
    ],
)
def test_usual_ways_to_write_a_compute_method_are_read(body: str) -> None:
    assert Formula(f"def compute(a):\n    {body}")([3.0]) == 5.0


@given(st.text(max_size=80) | st.text("abf():=\n +-*.return get,'[]1", max_size=80))
def test_any_compute_method_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        Formula(text)
    with contextlib.suppress(InputError):
        Formula(f"def f(a):\n    return {text}")([1.0])


WRONG: list[tuple[str, str]] = [
    (_entry("r", "computed.Calculated", "{expression: 'i1 /'}"), "devices.yaml:7: r: 'i1 /'"),
    (_entry("r", "computed.Calculated", "{expression: 'i1 / i9'}"), "r needs i9"),
    (_entry("r", "computed.Calculated", "{expression: '3'}"), "names no device"),
    (_entry("r", "pseudo.PseudoAxis", "{value: i1, moves: {}}"), "names no real axis"),
    (_entry("r", "pseudo.Energy", "{bragg: i1, crystal: Si999}"), "crystal 'Si999' is not known"),
    (_entry("r", "pseudo.Energy", "{bragg: i1, unit: J}"), "no unit of energy"),
    (BEC.replace("[i0_readback, i1_readback]", "[i0_readback]"), "takes 2 signals"),
    (BEC.replace("return both / 2", "return both.x"), "line 3"),
]


@pytest.mark.parametrize(("text", "what"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_expression_is_a_fault_of_the_file(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(COUNTERS + text)
    with pytest.raises(DeviceFileError, match=what):
        load_device_file(path)


class Far:
    """A device that does not answer."""

    def __init__(self, name: str) -> None:
        self.name, self.connected = name, False

    def wait_for_connection(self, timeout: float = 1.0) -> None:
        raise TimeoutError("no answer")

    def read(self) -> dict[str, Any]:
        raise DeviceError("no answer", remedy="switch it on", device=self.name)


def test_a_pseudo_axis_whose_real_axis_is_away_says_so(tmp_path: Path) -> None:
    text = SLITS.replace("undula.devices.sim.SimPositioner", f"{__name__}.Far", 1)
    text = text.replace("  deviceConfig: {limits: [-10, 10], start: 2}\n", "", 1)
    devices = _loaded(tmp_path, text)
    assert not devices["gap"].connected
    assert "it needs top, which does not answer" in devices["gap"].problem
    assert devices["bottom"].connected
