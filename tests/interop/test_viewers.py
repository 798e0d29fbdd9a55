"""What other viewers draw from our files is what the documents said: values, units, axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from nexusformat.nexus import nxload
from silx.io import nxdata
from silx.io import open as silx_open

from undula.client import Client
from undula.testing.beamline import local_beamline

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_beamline() as beamline, beamline.connect() as client:
        yield client


def _taken(client: Client, plan: str, *args: Any) -> tuple[str, list[dict[str, Any]], dict]:
    """Path of the file, the points as they were told live, and the data keys."""
    scan = client.run_plan(plan, *args, detectors=["diode"], wait=False)
    points, keys, primary = [], {}, ""
    for name, doc in scan.documents():
        if name == "descriptor" and doc["name"] == "primary":
            keys, primary = doc["data_keys"], doc["uid"]
        elif name == "event" and doc["descriptor"] == primary:
            points.append(doc["data"])
        elif name == "event_page" and doc["descriptor"] == primary:
            columns = doc["data"]
            points += [{k: columns[k][i] for k in columns} for i in range(len(doc["seq_num"]))]
    run = scan.wait().run
    assert run is not None
    return str(run.path), points, keys


def test_a_line_is_drawn_as_it_was_told(client: Client) -> None:
    path, points, keys = _taken(client, "scan", "samx", -1, 1, 15)
    x, y = [p["samx"] for p in points], [p["diode"] for p in points]
    plotted = nxload(path).plottable_data
    assert plotted.nxsignal.nxdata.tolist() == y
    assert plotted.nxaxes[0].nxdata.tolist() == x
    assert plotted.nxaxes[0].attrs["units"] == keys["samx"]["units"] == "mm"
    assert plotted.nxsignal.attrs["units"] == keys["diode"]["units"]
    with silx_open(path) as file:
        drawn = nxdata.get_default(file)
        assert drawn.signal[()].tolist() == y
        assert drawn.axes[0][()].tolist() == x
        assert drawn.axes[0].attrs["units"] == "mm"
        assert drawn.is_curve


def test_a_map_is_drawn_as_it_was_told(client: Client) -> None:
    rows, columns = 3, 5
    line = ("samy", 0, 1, rows, "samx", 0, 2, columns)
    path, points, _ = _taken(client, "grid_scan", *line)
    told = np.array([p["diode"] for p in points]).reshape(rows, columns)
    plotted = nxload(path).plottable_data
    assert np.array_equal(plotted.nxsignal.nxdata, told)
    with silx_open(path) as file:
        drawn = nxdata.get_default(file)
        assert np.array_equal(drawn.signal[()], told)
        assert [np.shape(axis) for axis in drawn.axes] == [(rows,), (columns,)]
        assert np.allclose(drawn.axes[0][()], np.linspace(0, 1, rows), atol=0.02)
        assert np.allclose(drawn.axes[1][()], np.linspace(0, 2, columns), atol=0.02)
