"""Batches of scans: what a file says is what is queued, and every fault has its line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.client.batch import read_batch, write_batch
from undula.client.queue_edits import QueuedScan, edited, options_of, written
from undula.core.errors import InputError
from undula.messages import PlanSource, QueueItem, ScanRequest

CSV = """# tonight
plan, args, time, detectors, sample, repeats, md.temperature
scan, samx -1 1 21, 0.1, diode, S1, 3, 12.5

count, 5, , "diode, ion", , ,
list_scan, "samx 0,0.5,2", 0.2, , , ,
"""
YAML = """
- scan samx -1 1 21 time=0.1
- plan: grid_scan
  args: [samy, 0, 2, 5, samx, -1, 1, 21]
  kwargs: {snake_axes: true}
  metadata: {temperature: 4.2}
  hold: sample dries
"""


def _queued(scan: ScanRequest) -> QueuedScan:
    options = scan.queue
    item = QueueItem(
        item_id=scan.request_id, command=scan.command, plan=scan.plan, user="u", submitted=0.0,
        repeats=options.repeats, sample=options.sample,
        held_by="" if options.hold is None else "u", hold_reason=options.hold or "",
        needs_approval=options.needs_approval,
    )  # fmt: skip
    return QueuedScan(item=item, scan=scan)


def _meant(scan: ScanRequest) -> dict[str, Any]:
    return scan.model_dump(exclude={"request_id", "sent", "deadline", "user"})


def test_a_csv_file_has_a_scan_on_each_line() -> None:
    batch = read_batch(CSV, ".csv")
    assert batch.faults == {}
    first, second, third = (row.scan for row in batch.rows)
    assert [row.line for row in batch.rows] == [3, 5, 6]
    assert (first.args, first.count_time_s, first.detectors) == (
        ["samx", -1, 1, 21],
        0.1,
        ["diode"],
    )
    assert (first.queue.sample, first.queue.repeats) == ("S1", 3)
    assert first.metadata == {"temperature": 12.5}
    assert first.command == "scan('samx', -1, 1, 21, time=0.1, detectors=['diode'])"
    assert (second.detectors, second.count_time_s) == (["diode", "ion"], None)
    assert third.args == ["samx", [0, 0.5, 2]]


def test_a_yaml_file_has_lines_or_mappings() -> None:
    batch = read_batch(YAML, ".yaml")
    first, second = batch.rows
    assert (first.line, first.scan.args, first.scan.count_time_s) == (2, ["samx", -1, 1, 21], 0.1)
    assert (second.line, second.scan.kwargs) == (3, {"snake_axes": True})
    assert (second.scan.metadata, second.scan.queue.hold) == ({"temperature": 4.2}, "sample dries")


def test_every_fault_is_told_with_its_line_and_what_to_do() -> None:
    lines = ["scan,samx -1,abc,", ",samx,,", "count,5,0.1,-1", "count,1,,,,", "count,3,,"]
    text = "\n".join(["plan,args,time,repeats", *lines])
    batch = read_batch(text, ".csv")
    assert [row.line for row in batch.rows] == [6]
    told = batch.told()
    assert [line.split(":")[0] for line in told] == ["line 2", "line 3", "line 4", "line 5"]
    assert "time: 'abc' is not a number" in told[0]
    assert "no plan was named" in told[1]
    assert "repeats: -1 is less than 0" in told[2]
    assert "6 cells, the head 4" in told[3]
    assert all("Remedy:" in line for line in told)
    assert (
        read_batch("- count 1\n- {plann: x}\n- 7\n", ".yml")
        .told()[0]
        .startswith("line 2: there is no key 'plann'")
    )


@pytest.mark.parametrize(
    ("text", "suffix", "what"),
    [
        ("plan,arg\nscan,1\n", ".csv", "no column 'arg'"),
        ("args\n1\n", ".csv", "no column plan"),
        ("", ".csv", "holds no scan"),
        ("a: 1\n", ".yaml", "no list of scans"),
        ("- [1\n", ".yaml", "no YAML"),
        ("x", ".txt", "no batch"),
    ],
)
def test_a_file_that_is_no_batch_says_why(text: str, suffix: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_batch(text, suffix)


_NUMBER = st.integers(-999, 999) | st.floats(-1e6, 1e6).filter(lambda x: x != int(x))
_SCANS = st.builds(
    lambda args, kwargs, time, detectors, metadata, queue: ScanRequest(
        request_id="r",
        deadline=2e9,
        plan="scan",
        args=args,
        kwargs=kwargs,
        count_time_s=time,
        detectors=detectors,
        metadata=metadata,
        command="as it was typed",
        queue=options_of(queue, None),
    ),
    st.lists(
        st.sampled_from(["samx", "samy"]) | _NUMBER | st.lists(_NUMBER, min_size=1, max_size=3),
        max_size=5,
    ),
    st.dictionaries(st.sampled_from(["num", "snake_axes"]), st.booleans() | _NUMBER),
    st.none() | st.floats(0.01, 9.0),
    st.none() | st.lists(st.sampled_from(["diode", "ion"]), min_size=1, unique=True),
    st.dictionaries(st.sampled_from(["temperature", "note"]), _NUMBER | st.just("hot, wet")),
    st.fixed_dictionaries(
        {}, optional={"repeats": st.integers(0, 5), "sample": st.just("S3"), "hold": st.just("why")}
    ),
)


@given(st.lists(_SCANS, min_size=1, max_size=4), st.sampled_from([".csv", ".yaml"]))
def test_what_was_saved_loads_again(scans: list[ScanRequest], suffix: str) -> None:
    try:
        text = write_batch(map(_queued, scans), suffix)
    except InputError:  # some values have no word: then it says so, and YAML has them
        assert suffix == ".csv"
        text, suffix = write_batch(map(_queued, scans), ".yaml"), ".yaml"
    batch = read_batch(text, suffix)
    assert batch.faults == {}
    as_run = [scan.model_copy(update={"command": written(scan)}) for scan in scans]
    assert [_meant(row.scan) for row in batch.rows] == [_meant(scan) for scan in as_run]


def test_a_plan_of_ones_own_is_saved_as_yaml_only() -> None:
    scan = ScanRequest(
        request_id="r", deadline=2e9, plan="mine", source=PlanSource(name="mine", call="mine()")
    )
    with pytest.raises(InputError, match="does not fit into CSV"):
        write_batch([_queued(scan)], ".csv")
    (row,) = read_batch(write_batch([_queued(scan)], ".yaml"), ".yaml").rows
    assert row.scan.source == scan.source


def test_an_edit_says_its_new_arguments_in_the_line_for_the_record() -> None:
    scan = ScanRequest(request_id="r", deadline=2e9, plan="scan", args=["samx", 0, 1, 3])
    new = edited(scan, ["samx", 0, 2, 5], {"time": 0.5, "detectors": "diode", "sample": "S1"})
    assert new.command == "scan('samx', 0, 2, 5, time=0.5, detectors=['diode'])"
    assert (new.request_id, new.queue.sample) == ("r", "S1")
    assert edited(new, (), {"time": None}).count_time_s is None
    mounted = new.model_copy(update={"metadata": {"sample": "S1", "note": "x"}})
    assert edited(mounted, (), {"sample": None}).metadata == {"note": "x"}
    with pytest.raises(InputError, match="time: -1 is less than 0"):
        edited(scan, (), {"time": -1})


def test_a_file_of_a_spreadsheet_is_read_with_its_mark_and_its_separator() -> None:
    for separator in (";", "\t"):
        head, row = separator.join(["plan", "args", "time"]), separator.join(["ct", "", "0.5"])
        found = read_batch(f"\ufeff{head}\n{row}\n", ".csv")
        assert [(r.scan.plan, r.scan.count_time_s) for r in found.rows] == [("ct", 0.5)]


def test_the_command_of_a_changed_row_says_what_is_run() -> None:
    text = "- {plan: scan, args: [samx, -1, 1, 7], command: 'scan(samx, -1, 1, 21)'}\n"
    assert "21" not in read_batch(text, ".yaml").rows[0].scan.command
