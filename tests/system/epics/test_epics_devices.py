"""Motor, scaler, MCA and camera of our own against IOC processes on loopback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[[str, str], str]

MOTOR = """
samx:
  deviceClass: undula.devices.epics.EpicsMotor
  deviceConfig: {prefix: "MOT:m1"}
  readoutPriority: baseline
  enabled: true
  connectionTimeout: 30
"""
COUNTING = """
card:
  deviceClass: undula.devices.epics.Scaler
  deviceConfig:
    prefix: "CNT:scaler1"
    protocol: PROTOCOL
    separator: ":"
    channels: {clock: 1, i0: 2, it: 3}
  readoutPriority: monitored
  enabled: true
  connectionTimeout: 30
gated:
  deviceClass: undula.devices.epics.Scaler
  deviceConfig:
    prefix: "CNT:scaler1"
    separator: ":"
    channels: {i0: 2, it: 3}
    presets: {i0: 2500}
  readoutPriority: on_request
  enabled: true
  connectionTimeout: 30
mca:
  deviceClass: undula.devices.epics.Mca
  deviceConfig:
    prefix: "CNT:mca1"
    protocol: PROTOCOL
    separator: ":"
    rois: {line: [190, 210], all: [0, 511]}
    preset: live
  readoutPriority: monitored
  enabled: true
  connectionTimeout: 30
"""
CAMERA = """
cam:
  deviceClass: undula.devices.epics.AreaDetector
  deviceConfig: {prefix: "CAM:", frame_timeout: 0.5, file_timeout: 0.3}
  readoutPriority: monitored
  enabled: true
  connectionTimeout: 30
"""
CAMERA_HEAD = """
        import pathlib, sys
        import h5py
        import bluesky.plans as bp
        from caproto.sync.client import write
        run = pathlib.Path(sys.argv[1]).with_name("00007_scan.nxs")
        cam = registry["cam"]
        assert cam.connected, cam.problem
        cam.obj.set_run_path(run)
        registry["cam"].set_count_time(0.02)
        docs = []
        def fault(word):
            write("CAM:SIM:Fault", word, repeater=False, notify=True, timeout=30)
        def count(num, finish=True):
            docs.clear()
            try:
                engine(bp.count([cam.obj], num), lambda name, doc: docs.append((name, doc)))
            except Exception as exc:
                return str(exc.__cause__ or exc)
            try:
                if finish:
                    registry["cam"].call(cam.obj.finish_data())
            except Exception as exc:
                return str(exc)
            return ""
"""


@pytest.mark.parametrize("cls", ["EpicsMotor", "Motor"])
def test_a_motion_that_goes_wrong_says_what_the_hardware_says(
    with_faulty_motor: Run, cls: str
) -> None:
    with_faulty_motor(
        MOTOR.replace("EpicsMotor", cls),
        """
        from caproto.sync.client import write
        samx = registry["samx"]
        def put(field, value):
            write(f"MOT:m1{field}", value, repeater=False, notify=True, timeout=30)
        def go(target):
            try:
                samx.put(target, 60)
            except Exception as exc:
                return str(exc)
            return ""
        def expect(text, *words):
            for word in ("[samx]", "Remedy:", *words):
                assert word in text, (word, text)
        assert go(3) == "" and go(3) == "" and go(-2) == ""
        expect(go(25), "25 mm is above HLM 20 mm", "-20..20 mm")
        put(":SIM:HighSwitch", 5.0)
        expect(go(8), "high limit switch (HLS) at 5 mm on the way to 8 mm", "PLUS_LS", "HIHI MAJOR")
        assert go(2) == ""
        put(":SIM:LowSwitch", -5.0)
        expect(go(-8), "low limit switch (LLS) at -5 mm", "MINUS_LS", "above -5 mm")
        put(":SIM:HighSwitch", 1000.0), put(":SIM:LowSwitch", -1000.0)
        for bit, words in ((0x200, "reports a problem"), (0x1000, "does not answer the IOC"),
                           (0x40, "slipped or stalled")):
            put(":SIM:Fault", bit)
            expect(go(samx.position() + 1), words, "alarm")
        put(":SIM:Fault", 0)
        assert go(0) == ""
        """,
    )


STOPS = {
    "somebody stopped it": 'write("MOT:m2.STOP", 1, repeater=False, timeout=30)',
    "it was stopped": "device.call(device.obj.stop())",
}


@pytest.mark.parametrize("words", STOPS)
def test_a_lean_motor_knows_when_it_was_stopped_and_by_whom(
    with_faulty_motor: Run, words: str
) -> None:
    with_faulty_motor(
        MOTOR.replace("m1", "m2").replace("EpicsMotor", "Motor"),
        """
        import asyncio, threading
        from caproto.sync.client import write
        device = registry["samx"]
        here, target = device.position(), 15.0 if device.position() < 5 else 0.0
        begun = threading.Event()
        def told(reading):
            if not next(iter(reading.values()))["value"]:
                begun.set()
        async def go():
            device.obj.motor_done_move.subscribe_reading(told)
            await device.obj.set(target)
        future = asyncio.run_coroutine_threadsafe(go(), device.loop)
        assert begun.wait(60.0)
        STOP
        assert "WORDS" in str(future.exception(60.0)), future.exception(60.0)
        assert device.position() != target
        device.put(here, 60)
        assert abs(device.position() - here) < 1e-6
        """.replace("STOP\n", STOPS[words] + "\n").replace("WORDS", words),
    )


def test_a_lean_motor_that_is_late_is_stopped_when_the_plan_gives_up(
    with_faulty_motor: Run,
) -> None:
    with_faulty_motor(
        MOTOR.replace("m1", "m2").replace("EpicsMotor", "Motor"),
        """
        import asyncio
        device = registry["samx"]
        here, target = device.position(), 15.0 if device.position() < 5 else 0.0
        async def go():
            try:
                await device.obj.set(target, timeout=0.4)
            except Exception as exc:
                said = str(exc)
            await device.obj.stop(success=True)  # as the RunEngine does at the end of any plan
            while not await device.obj.motor_done_move.get_value():
                pass
            return said
        said = asyncio.run_coroutine_threadsafe(go(), device.loop).result(60.0)
        assert "did not say that the motion ended within 0.4 s" in said, said
        assert abs(device.position() - target) > 1, device.position()
        """,
    )


def test_a_motion_that_somebody_else_ends_is_not_taken_for_an_arrival(
    with_faulty_motor: Run,
) -> None:
    with_faulty_motor(
        MOTOR.replace("m1", "m2"),
        """
        import threading
        from caproto.sync.client import write
        samx = registry["samx"].obj
        begun = threading.Event()
        samx.motor_is_moving.subscribe(lambda value, **_: begun.set() if value else None)
        for stop, words in (
            (lambda: write("MOT:m2.STOP", 1, repeater=False, timeout=30), "somebody stopped it"),
            (samx.stop, "it was stopped"),
        ):
            begun.clear()
            status = samx.set(15.0 if samx.position < 5 else 0.0)
            assert begun.wait(60.0)
            stop()
            try:
                status.wait(60.0)
            except Exception as exc:
                assert words in str(exc), exc
            else:
                raise AssertionError("taken for an arrival")
        samx.low_limit_travel.put(-1.0, wait=True)
        samx.check_value = lambda _: None  # as if the limit had changed after the check
        try:
            samx.set(-4.0).wait(60.0)
        except Exception as exc:
            assert "outside its soft limits (LVIO)" in str(exc), exc
        else:
            raise AssertionError("outside the limits")
        """,
    )


@pytest.mark.parametrize("protocol", ["ca", "pva"])
def test_a_counting_card_counts_for_a_time_or_until_a_preset(
    with_counting: Run, protocol: str
) -> None:
    with_counting(
        COUNTING.replace("PROTOCOL", protocol),
        """
        import bluesky.plans as bp
        for name in registry.names():
            assert registry[name].connected, registry[name].problem
        events = []
        def count(name):
            events.clear()
            keep = lambda kind, doc: events.append(doc["data"]) if kind == "event" else None
            engine(bp.count([registry[name].obj], 2), keep)
            return events[-1]
        registry["card"].set_count_time(0.2)
        assert list(registry["card"].describe())[:3] == ["card_clock", "card_i0", "card_it"]
        assert registry["card"].obj.hints == {"fields": ["card_i0", "card_it"]}
        wanted = {"card_clock": 2e6, "card_i0": 1e4, "card_it": 4e3, "card_elapsed": 0.2}
        assert count("card") == wanted, events
        assert registry["card"].describe()["card_i0"]["units"] == "counts"
        # the gate: i0 has 2500 counts after 0.05 s
        assert count("gated") == {"gated_i0": 2500, "gated_it": 1000, "gated_elapsed": 0.05}, events
        registry["gated"].set_count_time(0.02)  # and whatever comes first ends it
        assert count("gated")["gated_elapsed"] == 0.02, events
        """,
    )


def test_a_connection_that_was_not_heard_of_yet_is_not_lost(with_counting: Run) -> None:
    """Whoever follows a PV over PVA is told first that it is not connected: it is not yet."""
    with_counting(
        COUNTING.replace("PROTOCOL", "pva"),
        """
        import asyncio
        from undula.devices.links import Link
        there, nobody = Link("pva://CNT:scaler1:CNT"), Link("pva://CNT:nobody")
        async def follow():
            await asyncio.gather(there.watch(), nobody.watch())
            for _ in range(1000):
                assert there.up and not nobody.up
                await asyncio.sleep(0)
            for link in (there, nobody):
                link.close()
        asyncio.run_coroutine_threadsafe(follow(), engine.loop).result(60.0)
        """,
    )


@pytest.mark.parametrize("protocol", ["ca", "pva"])
def test_an_mca_gives_regions_times_and_counts_corrected_for_dead_time(
    with_counting: Run, protocol: str
) -> None:
    with_counting(
        COUNTING.replace("PROTOCOL", protocol),
        """
        import bluesky.plans as bp
        mca = registry["mca"]
        assert mca.connected, mca.problem
        mca.set_count_time(0.2)  # live time
        events = []
        keep = lambda kind, doc: events.append(doc["data"]) if kind == "event" else None
        engine(bp.count([mca.obj], 2), keep)
        data = events[-1]
        assert abs(data["mca_live_time"] - 0.2) < 1e-6 and abs(data["mca_real_time"] - 0.25) < 1e-6
        assert abs(data["mca_dead_time"] - 20.0) < 1e-6
        spectrum = data["mca_spectrum"]
        assert spectrum.shape == (512,) and spectrum.sum() == data["mca_all"]
        assert data["mca_line"] == spectrum[190:211].sum() > 0.7 * data["mca_all"]
        # 40000 pulses a second arrive, 0.25 s long; a fifth of them meets a dead analyser
        assert abs(data["mca_all_corrected"] - 1e4) < 10, data["mca_all_corrected"]
        assert mca.describe()["mca_real_time"]["units"] == "s"
        """,
    )


def test_a_camera_names_one_frame_a_point_in_a_file_beside_the_run(with_camera: Run) -> None:
    with_camera(
        CAMERA,
        CAMERA_HEAD
        + """
        assert cam.describe()["cam"]["shape"] == [1, 24, 32]
        assert count(3) == ""
        names = [name for name, _ in docs]
        assert names.count("stream_resource") == 1 and names.count("stream_datum") == 3, names
        path = run.with_name("00007_scan_cam.h5")
        with h5py.File(path) as file:
            assert file["entry/data/data"][:, 0, 0].tolist() == [1, 2, 3]
        assert count(2) == ""  # never into an old file
        with h5py.File(run.with_name("00007_scan_cam_1.h5")) as file:
            assert file["entry/data/data"].shape == (2, 24, 32)
        """,
    )


def test_a_missing_frame_or_file_is_told_with_numbers_and_place(with_camera: Run) -> None:
    with_camera(
        CAMERA,
        CAMERA_HEAD
        + """
        fault("short")
        text = count(3)
        for word in ("[cam]", "expected 3 frames", "found 2", "00007_scan_cam.h5", "Remedy:"):
            assert word in text, (word, text)
        fault("no file")
        text = count(3)
        assert "[cam]" in text and "expected 3 frames" in text and "no file" in text, text
        fault("lost")
        cam.obj.on_failure = "raise"
        text = count(4)
        for word in ("[cam]", "expected 3 frames", "counted 2", "_cam_1.h5", "Remedy:"):
            assert word in text, (word, text)
        cam.obj.on_failure = "retry"  # the frame is taken once more, the spoiled one stays unnamed
        assert count(4) == ""
        assert sum(name == "stream_datum" for name, _ in docs) == 4
        cam.obj.on_failure = "buffer"
        assert count(4) == ""
        assert sum(name == "event" for name, _ in docs) == 4
        assert sum(name == "stream_datum" for name, _ in docs) == 3
        fault("slow")
        write("CAM:SIM:SlowBy", 0.3, repeater=False, notify=True, timeout=30)
        assert count(2) == ""
        """,
    )


def test_offset_limits_and_velocity_reach_the_record(with_faulty_motor: Run) -> None:
    """What people change is in the record, where every other program sees it."""
    with_faulty_motor(
        MOTOR,
        """
        from undula.devices.motor import MotorView
        view = MotorView(registry["samx"])
        before = view.parameters()
        assert before["acceleration"]["value"] == before["velocity"]["value"] / 0.05
        here = registry["samx"].position()
        view.set_position(here + 5.0)
        assert abs(registry["samx"].obj.user_offset.get(use_monitor=False) - 5.0) < 1e-9
        assert abs(view.parameters()["dial"]["value"] - here) < 1e-6, view.parameters()
        view.set_limits(-4.0, 9.0)
        assert registry["samx"].limits() == (-4.0, 9.0)
        view.set("velocity", 7.5)
        assert registry["samx"].obj.velocity.get(use_monitor=False) == 7.5
        view.set("acceleration", 75.0)
        assert abs(registry["samx"].obj.acceleration.get(use_monitor=False) - 0.1) < 1e-9
        """,
    )
