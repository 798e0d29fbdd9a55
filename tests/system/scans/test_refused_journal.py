"""Somebody writes over a run's journal in the broker: the run says so, the next one is whole."""

from __future__ import annotations

from undula.bus import broker
from undula.bus.endpoints import RUN_DOCUMENTS
from undula.bus.link import Link
from undula.core.errors import InputError
from undula.testing.beamline import local_beamline
from undula.testing.law import until

PATIENCE_S = 60.0


def test_a_run_whose_journal_is_written_over_ends_as_failed_and_says_why() -> None:
    """Starts a beamline of its own: nobody else could use one whose broker is meddled with."""
    with local_beamline() as beamline, beamline.connect() as client:
        scan = client.scan("samx", -1, 1, 400, time=0.02, detectors=["diode"], wait=False)
        until(lambda: client.queue.list().points_done >= 3, "the scan does not begin")
        uid = client.queue.list().run_uid
        link = Link(broker.address(beamline.paths, beamline.settings, "service", "meddler"))
        key = RUN_DOCUMENTS.key(uid=str(uid))
        link.pipe([("MULTI",), ("DEL", key), ("SET", key, "x"), ("EXEC",)])
        finished = scan.wait(PATIENCE_S, check=False).finished
        assert finished is not None
        assert finished.exit_status == "fail"
        assert "refused document" in finished.reason
        assert scan.file_closed(finished.run_uids[0]) is not None
        record = client.runs[finished.run_numbers[0]].record
        assert (record.exit_status, "refused document" in record.reason) == ("fail", True)
        following = client.scan("samx", -1, 1, 5, time=0.01, detectors=["diode"])
        try:
            assert len(following.run.data["diode"]) == 5
        except InputError as exc:
            raise AssertionError("the writer is held up") from exc
        link.close()
