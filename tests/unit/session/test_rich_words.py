"""Runs, queue and devices at a prompt: 80 columns, and tables for Jupyter."""

from __future__ import annotations

from pathlib import Path

from undula.catalogue import RunRecord, SqliteCatalogue
from undula.client.queue import LONGEST, queue_text
from undula.client.runs import Runs
from undula.messages import QueueItem, QueueStatus
from undula.session.commands import Shell

LONG = "grid_scan(M.samy, 0, 2, 5, M.samx, -1, 1, 21, snake_axes=True, metadata={'a': '<b>'})"


def test_runs_fit_80_columns_and_are_found_by_group(tmp_path: Path) -> None:
    catalogue = SqliteCatalogue(tmp_path / "c.sqlite")
    groups = [{"scan_group": {"uid": "g1", "name": "knife"}}, {}, {"scan_group": {"uid": "g2"}}]
    for number, metadata in enumerate([*groups, groups[0]], 1):
        catalogue.open_run(
            RunRecord(uid=f"u{number}", number=number, command=LONG, metadata=metadata)
        )
    catalogue.close()
    runs = Runs(tmp_path / "c.sqlite")
    assert [run.number for run in runs.group("knife")] == [1, 4]
    assert [run.number for run in runs.group("g2")] == [3]
    assert runs.group("kni") == []
    assert max(map(len, repr(runs).splitlines())) <= 80
    assert "&lt;b&gt;" in runs._repr_html_()
    assert "<b>" not in runs._repr_html_()


def test_the_queue_fits_80_columns() -> None:
    item = QueueItem(
        item_id="0123456789", command=LONG, plan="grid_scan", user="anna", submitted=0.0,
        num_points=105,
    )  # fmt: skip
    status = QueueStatus(state="running", running=item, run_number=12345, waiting=[item] * 12)
    text = queue_text(status, LONGEST)
    assert max(map(len, text.splitlines())) <= 80
    assert LONG in queue_text(status)


def test_devices_are_a_table_for_jupyter(shell: Shell) -> None:
    shown = shell.namespace()["dev"]._repr_html_()
    assert shown.startswith("<table><tr><th>device</th>")
    assert "<td>M.samx</td><td>positioner</td><td>mm</td>" in shown
