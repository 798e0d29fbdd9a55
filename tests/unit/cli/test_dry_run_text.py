"""What a dry run prints."""

from __future__ import annotations

import pytest

from undula.cli.scans import _dry_run
from undula.client.scans import Accepted


@pytest.mark.parametrize(("total", "said"), [(200_000, "... 199,997 more"), (3, "point")])
def test_points_that_are_not_printed_are_counted(
    capsys: pytest.CaptureFixture[str], total: int, said: str
) -> None:
    points = [[0.0], [0.5], [1.0]]
    _dry_run(Accepted("i", "scan", num_points=total, axes=["samx"], points=points), as_json=False)
    lines = capsys.readouterr().out
    assert said in lines
    assert (" more" in lines) == (total > 3)
