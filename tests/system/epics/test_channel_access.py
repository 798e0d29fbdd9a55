"""Devices over Channel Access, against IOCs that others wrote, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from undula.devices.demo_ioc import MINI_BEAMLINE_FILE

Run = Callable[[str, str], str]


def _motor(cls: str = "ophyd.EpicsMotor", name: str = "mtr", record: str = "mtr1") -> str:
    return f"""
{name}:
  deviceClass: {cls}
  deviceConfig: {{prefix: "sim:{record}"}}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 30
"""


def _absent(name: str) -> str:
    return f"""
{name}:
  deviceClass: ophyd.EpicsSignalRO
  deviceConfig: {{read_pv: "sim:not:there:{name}"}}
  readoutPriority: monitored
  enabled: true
  connectionTimeout: 1.0
"""


@pytest.mark.parametrize(
    "cls", ["ophyd.EpicsMotor", "ophyd_devices.EpicsMotor", "ophyd_async.epics.motor.Motor"]
)
def test_a_motor_record_moves_is_read_and_has_live_limits(with_motor: Run, cls: str) -> None:
    with_motor(
        _motor(cls),
        """
        import bluesky.plan_stubs as bps
        m = registry["mtr"]
        assert m.connected, m.problem
        here = m.position()
        target = here + (0.2 if here < 5 else -0.2)
        engine(bps.mv(m.obj, target))
        end = time.monotonic() + 60  # caproto's record answers a put before the motor arrives
        while abs(m.position() - target) > 0.05 and time.monotonic() < end:
            engine(bps.sleep(0.02))
        assert abs(m.position() - target) < 0.05, m.position()
        assert m.move_duration_s(0.0, 1.0) > 0
        assert m.unit == "mm", m.unit
        info = m.info()
        assert (info.kind, info.path, info.limits) == ("positioner", "M.mtr", (0.0, 10.0)), info
        reading = registry.reading("mtr")
        assert reading.units["mtr"] == "mm", reading
        assert not reading.flags, reading.flags
        """,
    )


def test_absent_pvs_take_only_their_timeout_together_and_the_others_work(with_motor: Run) -> None:
    with_motor(
        "".join(_absent(f"gone{i}") for i in range(60)) + _motor(),
        """
        assert took_s < 30.0, took_s  # one after the other, they would take a minute
        assert registry["mtr"].connected, registry["mtr"].problem
        for i in range(60):
            info = registry[f"gone{i}"].info()
            assert not info.enabled and not info.connected
            assert info.problem == f"no answer from sim:not:there:gone{i} within 1 s", info.problem
        """,
    )


def test_the_stopper_stops_a_motor_on_its_way_over_its_own_connection(with_motor: Run) -> None:
    with_motor(
        _motor(record="mtr3", name="mtr"),
        """
        import threading
        from ophyd import EpicsSignalRO
        m = registry["mtr"]
        here = m.position()
        target = 30.0 if here < 15 else 0.0
        moving, still = threading.Event(), threading.Event()
        m.obj.motor_is_moving.subscribe(lambda value, **_: (moving if value else still).set())
        assert still.wait(60.0)
        m.obj.velocity.put(0.5, wait=True)  # it is on its way for half a minute
        status = m.obj.set(target)
        assert moving.wait(60.0)
        still.clear()
        pairs = stop_pvs(m.entry)
        assert pairs == [("sim:mtr3.STOP", 1)], pairs
        assert stop_all(pairs, 30.0) == {"sim:mtr3.STOP": None}
        assert still.wait(60.0), "the IOC still moves"
        assert abs(m.position() - target) > 1.0, m.position()
        """,
    )


def test_a_pv_that_the_stopper_does_not_reach_is_named(with_motor: Run) -> None:
    with_motor(
        _motor(),
        """
        begin = time.monotonic()
        result = stop_all([("sim:gone.STOP", 1), ("sim:mtr1.STOP", 1)], 2.0)
        assert time.monotonic() - begin < 30.0
        assert result["sim:gone.STOP"], result
        assert result["sim:mtr1.STOP"] is None, result
        """,
    )


def test_the_mini_beamline_shows_its_peak_in_a_stock_scan(with_beamline: Run) -> None:
    with_beamline(
        MINI_BEAMLINE_FILE.read_text(),
        """
        import bluesky.plan_stubs as bps
        import bluesky.plans as bp
        for name in registry.names():
            assert registry[name].connected, registry[name].problem
        mtr, det = registry["ph_mtr"], registry["ph_det"]
        assert mtr.info().path == "M.ph_mtr" and mtr.limits() == (-50.0, 50.0), mtr.info()
        assert det.info().path == "D.ph_det"
        assert stop_pvs(mtr.entry) == []
        counts = []
        def settled(detectors, *args):
            yield from bps.sleep(0.6)  # the IOC measures twice a second by itself
            return (yield from bps.trigger_and_read([*detectors, mtr.obj]))
        def one(detectors, step, pos_cache):
            yield from bps.mv(*[x for pair in step.items() for x in pair])
            return (yield from settled(detectors))
        def keep(kind, doc):
            if kind == "event":
                counts.append(doc["data"]["ph_det"])
        engine(bps.mv(registry["ph_velocity"].obj, 100))
        engine(bp.scan([det.obj], mtr.obj, -12, 12, 5, per_step=one), keep)
        assert max(counts) == counts[2] > 4 * max(counts[0], counts[4]), counts
        """,
    )
