"""Files by technique: what a layout asks for, where it comes from, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import pytest
from bluesky.plans import grid_scan, scan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ophyd.sim import SynAxis, SynGauss

from undula.files import NexusFile, write_archive
from undula.messages import RunDocument
from undula.scans.file_layouts import choose, shipped
from undula.writer.rebuild import rebuild

Documents = list[tuple[str, dict[str, Any]]]


def _simulated() -> tuple[Any, Any, Any, Any]:
    mono, samx = SynAxis(name="mono"), SynAxis(name="samx")
    mono.set(7112.0)
    return (
        mono,
        samx,
        *(SynGauss(n, samx, "samx", center=0, Imax=m, sigma=1) for n, m in (("det", 2), ("ic", 5))),
    )


def _about(*names: str) -> dict[str, Any]:
    roles = {"mono": {"role": "energy"}, "ic": {"tags": ["i0"], "nx_class": "NXmonitor"}}
    return {name: {"keys": [name], **roles.get(name, {})} for name in names}


def _layout(technique: str, *more: dict[str, Any]) -> dict[str, Any]:
    layout = choose(shipped(), "scan", {"technique": technique})
    assert layout is not None
    fields = [f.model_dump(by_alias=True, exclude_defaults=True) for f in layout.fields]
    named = {"name": layout.name, "definition": layout.definition}
    return {"file_layout": {**named, "fields": [*more, *fields]}}


def _spectrum(documents_of: Callable[..., Documents], **metadata: Any) -> Documents:
    mono, samx, det, ic = _simulated()
    own = [
        {"path": "instrument/source/name", "value": "SLS"},
        {"path": "instrument/mirror", "class": "NXmirror", "attributes": {"default": "angle"}},
        {"path": "instrument/mirror/angle", "value": 2.5, "unit": "mrad"},
        {"path": "instrument/mirror/stripe", "from": "metadata optics.stripe", "value": "Rh"},
        {"path": "sample/position", "from": "device samx"},
        {"path": "notes/of_nobody", "from": ["device nobody", "key nothing"]},
        {"path": "title/inner", "value": 1},
        {"path": "instrument/mirror/mixed", "value": [1, "a", True]},
    ]
    return documents_of(
        scan([det, ic], mono, 7100, 7110, 3), baseline=[samx], scan_id=1,
        expects_streams=["primary", "baseline"], devices=_about("mono", "samx", "det", "ic"),
        beamline="x10", **_layout("xas", *own), **metadata,
    )  # fmt: skip


def _tree(path: Path) -> dict[str, Any]:
    """Every link, value, attribute and shape of a file, but not what names the file itself."""
    found: dict[str, Any] = {}

    def look(group: Any) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            place = f"{group.name}/{name}"
            if isinstance(link, h5py.SoftLink):
                found[place] = link.path
                continue
            node = group[name]
            found[place] = {k: str(v) for k, v in node.attrs.items()}
            if isinstance(node, h5py.Group):
                look(node)
            else:
                found[f"{place}="] = str(node[()])

    with h5py.File(path, "r") as file:
        look(file)
    return found


def test_a_spectrum_says_what_its_definition_asks_for(
    documents_of: Callable[..., Documents], write: Callable[..., Path]
) -> None:
    documents = _spectrum(documents_of, xas_mode="Transmission", optics={"stripe": "Si"})
    with h5py.File(write(documents), "r") as file:
        entry = file["entry"]
        assert entry["definition"].asstr()[()] == "NXxas"
        assert entry["instrument/monochromator"].attrs["NX_class"] == "NXmonochromator"
        assert entry["instrument/monochromator/energy"][()].tolist() == [7100, 7105, 7110]
        assert entry["instrument/absorbed_beam/data"] == entry["instrument/det/det"]
        assert entry["instrument/incoming_beam/data"] == entry["ic/ic"]
        assert entry["data/absorbed_beam"][()].tolist() == entry["data/det"][()].tolist()
        assert entry["data"].attrs["signal"] == "det"
        assert entry["data/mode"].asstr()[()] == "Transmission"
        assert entry["instrument/source/name"].asstr()[()] == "SLS"
        assert entry["instrument/mirror/angle"].attrs["units"] == "mrad"
        assert entry["instrument/mirror"].attrs["default"] == "angle"
        assert entry["instrument/mirror/stripe"].asstr()[()] == "Si"
        assert entry["sample/position"][()] == 0.0
        told = entry["collection/file_layout"]
        assert "missing" not in told
        left = [line.partition(":")[0] for line in told["left_out"].asstr()[()]]
        assert left == ["notes/of_nobody", "title/inner"]


def test_an_incomplete_one_is_a_sound_file_that_says_what_is_missing(
    documents_of: Callable[..., Documents], tmp_path: Path
) -> None:
    documents = _spectrum(documents_of)
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1])
    for name, doc in documents[1:-1]:
        file.write(name, doc)
    assert file.missing == ["data/mode: the metadata has no xas_mode"]
    with h5py.File(file.close(documents[-1][1]), "r") as opened:
        entry = opened["entry"]
        assert "definition" not in entry
        assert entry["collection/file_layout/definition"].asstr()[()] == "NXxas"
        missing = entry["collection/file_layout/missing"].asstr()[()].tolist()
        assert missing == ["data/mode: the metadata has no xas_mode"]
        assert entry["data/energy"].shape == (3,)


@pytest.mark.parametrize("live", [True, False])
def test_a_rebuilt_file_has_the_same_tree(
    documents_of: Callable[..., Documents], tmp_path: Path, live: bool
) -> None:
    documents = _spectrum(documents_of, xas_mode="Transmission")
    path = tmp_path / "a.nxs"
    file = NexusFile.create(path, documents[0][1], live=live)
    for name, doc in documents[1:-1]:
        file.write(name, doc)
        file.flush()
    file.close(documents[-1][1])
    before = _tree(path)
    journal = [RunDocument(index=i, name=n, doc=d) for i, (n, d) in enumerate(documents, start=1)]
    write_archive(path, journal)
    path.unlink()
    assert rebuild(tmp_path / "a.nxs.docs", path) == path
    assert _tree(path) == before


def test_what_is_read_late_is_filled_in_at_the_close(
    documents_of: Callable[..., Documents], tmp_path: Path
) -> None:
    mono, samx, det, _ = _simulated()
    field = {"path": "instrument/monochromator/energy", "from": "role energy", "required": True}
    layout = {"file_layout": {"definition": "NXxas", "fields": [field]}}
    documents = documents_of(
        scan([det], samx, 0, 1, 2), baseline=[mono], devices=_about("mono"), **layout
    )
    base = next(d["uid"] for n, d in documents if n == "descriptor" and d["name"] == "baseline")
    late = [e for e in documents if e[1].get("descriptor") == base or e[1]["uid"] == base]
    others = [e for e in documents[1:-1] if e not in late]
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1], live=True)
    for name, doc in others:
        file.write(name, doc)
    assert len(file.missing) == 1
    for name, doc in late:
        file.write(name, doc)
    with h5py.File(file.close(documents[-1][1]), "r") as opened:
        assert opened["entry/instrument/monochromator/energy"][()] == 7112.0
        assert opened["entry/definition"].asstr()[()] == "NXxas"
        assert "missing" not in opened["entry/collection/file_layout"]


def test_a_map_leads_to_its_cells_and_counts_grow_with_the_points(
    documents_of: Callable[..., Documents], tmp_path: Path
) -> None:
    mono, samx, det, ic = _simulated()
    samy = SynAxis(name="samy")
    grow = {"path": "instrument/detector/image_key", "from": "role image_key", "each_point": 0}
    documents = documents_of(
        grid_scan([det, ic], samy, 0, 1, 2, samx, 0, 2, 3, snake_axes=True), baseline=[mono],
        expects_streams=["primary", "baseline"], beamline="x10",
        devices=_about("mono", "samx", "samy", "det", "ic"), **_layout("stxm", grow),
    )  # fmt: skip
    file = NexusFile.create(tmp_path / "a.nxs", documents[0][1], live=True)
    for name, doc in documents[1:-1]:
        file.write(name, doc)
        file.flush()
    with h5py.File(file.path, "r", swmr=True) as opened:
        assert opened["entry/definition"].asstr()[()] == "NXstxm"
        assert opened["entry/data/data"].shape == (2, 3)
        assert opened["entry/instrument/detector/image_key"][()].tolist() == [0] * 6
    with h5py.File(file.close(documents[-1][1]), "r") as opened:
        entry = opened["entry"]
        assert entry["data/data"] == entry["data/det"]
        assert entry["data/sample_x"][()].tolist() == [0, 1, 2]
        assert entry["data/energy"][()] == 7112.0
        assert entry["instrument/sample_x/data"][()].tolist() == [0, 1, 2, 2, 1, 0]


def test_a_layout_that_makes_no_sense_does_not_cost_the_file(
    documents_of: Callable[..., Documents], write: Callable[..., Path]
) -> None:
    _, samx, det, _ = _simulated()
    documents = documents_of(scan([det], samx, 0, 1, 2), file_layout={"fields": [{"pth": 1}]})
    with h5py.File(write(documents), "r") as file:
        assert "file_layout" not in file["entry/collection"]
        assert file["entry/data/det"].shape == (2,)


PATHS = st.sampled_from(
    ["data", "data/x", "data/det", "title", "title/a", "a", "a/b", "a/b/c", "instrument/det/det",
     "instrument/det", "sample/name", "collection/primary/det", "end_time", "definition", "control"]
)  # fmt: skip
PLAIN = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.text(max_size=3))
SOURCES = st.sampled_from(
    ["axis 0", "axis 3", "signal 0", "signal 1", "frames", "device samx", "device det", "role i0",
     "class NXmonitor", "key mono", "key samx", "metadata note", "metadata devices", "config det.x",
     "link data/det", "link a/b", "link a", "plot signal 0", "plot axis 0", "metadata beamline"]
)  # fmt: skip
FIELD = st.one_of(
    st.builds(lambda p, c: {"path": p, "class": c}, PATHS, st.sampled_from(["NXnote", "NXdata"])),
    st.builds(lambda p, v: {"path": p, "value": v}, PATHS, st.one_of(PLAIN, st.lists(PLAIN))),
    st.builds(
        lambda p, s, r: {"path": p, "from": s, "required": r},
        PATHS, st.lists(SOURCES, min_size=1, max_size=2), st.booleans(),
    ),
    st.builds(lambda p, v: {"path": p, "each_point": v}, PATHS, st.sampled_from([0, 1.5])),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=st.lists(FIELD, max_size=6), live=st.booleans(), note=PLAIN)
def test_no_layout_costs_a_point_or_the_file(
    documents_of: Callable[..., Documents],
    tmp_path_factory: pytest.TempPathFactory,
    fields: list[dict[str, Any]],
    live: bool,
    note: Any,
) -> None:
    kept = _documents_once(documents_of)
    start = {**kept[0][1], "note": note, "file_layout": {"name": "l", "fields": fields}}
    file = NexusFile.create(tmp_path_factory.mktemp("l") / "a.nxs", start, live=live)
    for name, doc in kept[1:-1]:
        file.write(name, doc)
        file.flush()
    with h5py.File(file.close(kept[-1][1]), "r") as opened:
        entry = opened["entry"]
        assert entry["collection/primary/det"].shape == (3,)
        assert entry["exit_status"].asstr()[()] == "success"
        assert entry["data"].attrs["signal"] == "det"
        assert entry["data/det"].shape == (3,)


@cache
def _documents_once(documents_of: Callable[..., Documents]) -> Documents:
    mono, samx, det, ic = _simulated()
    about = _about("mono", "samx", "det", "ic")
    plan = scan([det, ic], mono, 7100, 7110, 3)
    return documents_of(plan, baseline=[samx], scan_id=1, devices=about, beamline="x10")


def test_an_axis_in_another_kind_of_unit_does_not_stand_for_an_angle(
    documents_of: Callable[..., Documents], write: Callable[..., Path]
) -> None:
    _, samx, det, _ = _simulated()
    documents = documents_of(
        scan([det], samx, -1, 1, 3), scan_id=1, expects_streams=["primary"],
        devices=_about("samx", "det"), **_layout("rocking curve"),
    )  # fmt: skip
    for name, doc in documents:
        if name == "descriptor":
            doc["data_keys"]["samx"]["units"] = "mm"
    with h5py.File(write(documents), "r") as file:
        entry = file["entry"]
        assert "definition" not in entry
        missing = entry["collection/file_layout/missing"].asstr()[()].tolist()
        assert "axis 0 is in mm, which is no angle" in missing[0]
        assert missing[0].startswith("sample/rotation_angle: ")
        assert "rotation_angle" not in entry["sample"]
