"""Runs go out for other programs and come in from other places."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.callbacks.json_writer import JSONLinesWriter
from bluesky.utils import Msg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ophyd.sim import hw
from silx.io.specfile import SpecFile
from typer.testing import CliRunner

from undula.catalogue import SqliteCatalogue
from undula.catalogue.imported import announcement
from undula.cli.application import build
from undula.client.export import export_file
from undula.client.importing import (
    Door,
    Importer,
    import_documents,
    import_file,
    open_door,
    read_documents,
)
from undula.client.runs import Runs
from undula.core.errors import AccessError, InputError, StorageError
from undula.core.faults import POINTS
from undula.core.passwords import Cost
from undula.core.paths import beamline_paths
from undula.core.roles import Role
from undula.core.settings import BeamlineSettings, load_settings, save_settings
from undula.core.users import Users
from undula.files import read_archive
from undula.testing.armed import armed
from undula.writer.imported import Imports

HW = hw()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, as Bluesky itself writes them."""
    folder = tmp_path_factory.mktemp("lines")
    engine = RunEngine({"scan_id": 90}, context_managers=[])
    engine.subscribe(JSONLinesWriter(str(folder), "old.jsonl"))
    engine(bp.scan([HW.det], HW.motor, -1, 1, 5, md={"sample": "Fe2O3"}))
    engine(bp.grid_scan([HW.det4], HW.motor1, 0, 1, 2, HW.motor2, 0, 2, 3, snake_axes=True))
    return folder / "old.jsonl"


@pytest.fixture
def beamline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A beamline that is down: settings and nothing else."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    save_settings(BeamlineSettings(name="b", data=tmp_path / "data"), beamline_paths("b").config)
    return "b"


@pytest.fixture
def runs(beamline: str) -> Runs:
    return Runs(beamline_paths(beamline).catalogue)


def door(folder: Path, catalogue: SqliteCatalogue, beamline: BeamlineSettings) -> Door:
    return Door(Imports(folder / "importing", beamline, catalogue), catalogue, "test")


def everything(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def test_runs_of_another_place_become_runs_as_any_other(
    lines: Path, beamline: str, runs: Runs
) -> None:
    first, second = import_file(lines, beamline)
    assert (first.number, second.number) == (1, 2)
    run = runs[1]
    assert (run.status, run.record.num_points, run.record.plan) == ("success", 5, "scan")
    assert run.record.metadata["imported"]["from"] == str(lines)
    assert run.record.metadata["imported"]["scan_id"] == 91
    assert run.data["motor"] == pytest.approx(np.linspace(-1, 1, 5))
    assert run.path.name == "00001_scan.nxs"
    assert "Fe2O3" in run.path.parts
    assert runs.search(text="Fe2O3")[0].number == 1
    name, start = next(run.documents())
    assert (name, start["scan_id"]) == ("start", 1)
    assert runs[2].data.to_xarray().det4.shape == (2, 3)
    with pytest.raises(InputError, match="is in the history already, as run 1"):
        import_file(lines, beamline)
    assert len(runs) == 2


def test_what_goes_out_as_documents_comes_in_again(
    lines: Path, beamline: str, runs: Runs, tmp_path: Path
) -> None:
    import_file(lines, beamline)
    export_file([runs[1], runs[2]], "jsonl", tmp_path / "again.jsonl")
    names = [name for name, _ in read_documents(tmp_path / "again.jsonl")]
    assert names == [name for name, _ in read_documents(lines)]
    other = SqliteCatalogue(":memory:")
    settings = BeamlineSettings(name="c", data=tmp_path / "other")
    again = read_documents(tmp_path / "again.jsonl")
    found = import_documents(again, settings, door(tmp_path / "other", other, settings))
    assert [run.number for run in found] == [1, 2]
    with pytest.raises(StorageError, match="is there already"):
        runs[1].export(tmp_path / "again.jsonl", "jsonl")


def test_silx_reads_the_spec_file(lines: Path, beamline: str, runs: Runs, tmp_path: Path) -> None:
    import_file(lines, beamline)
    export_file([runs[1], runs[2]], "spec", tmp_path / "night.spec")
    file = SpecFile(str(tmp_path / "night.spec"))
    assert file.keys() == ["1.1", "2.1"]
    scan = file["1.1"]
    assert scan.labels[0] == "motor"
    assert scan.labels[-1] == "det"
    assert "Epoch" in scan.labels
    assert scan.data_column_by_name("det") == pytest.approx(runs[1].data["det"])
    assert scan.scan_header_dict["S"].startswith("1 ")
    heads = [line for line in (tmp_path / "night.spec").read_text().splitlines() if "#" in line]
    assert not [line for line in heads if "np." in line]
    assert file["2.1"].data.shape == (len(file["2.1"].labels), 6)


def test_csv_has_units_and_takes_one_run(
    lines: Path, beamline: str, runs: Runs, tmp_path: Path
) -> None:
    import_file(lines, beamline)
    runs[1].export(tmp_path / "a.csv")
    head, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert "elapsed_time (s)" in head
    assert len(rows) == 5
    with pytest.raises(InputError, match="CSV takes one run"):
        export_file([runs[1], runs[2]], "csv", tmp_path / "b.csv")
    with pytest.raises(InputError, match="'xls' is no format"):
        runs[1].export(tmp_path / "b.xls", "xls")
    assert not list(tmp_path.glob("*b.*"))


def _broken(documents: list[Any], kind: str) -> list[Any]:
    names = [name for name, _ in documents]
    if kind == "no start":
        return documents[1:]
    if kind == "no stop":
        return documents[:-1]
    if kind == "an event is missing":
        return [d for d in documents if not (d[0] == "event" and d[1]["seq_num"] == 3)]
    if kind == "no descriptor":
        return [d for d in documents if d[0] != "descriptor"]
    if kind == "unknown name":
        return [*documents[:1], ("surprise", {}), *documents[1:]]
    place = names.index("event")
    name, event = documents[place]
    wrong = {
        "a field is missing": {k: v for k, v in event.items() if k != "time"},
        "a key too much": {**event, "data": {**event["data"], "more": 1}},
    }[kind]
    return [*documents[:place], (name, wrong), *documents[place + 1 :]]


@pytest.mark.parametrize(
    "kind",
    ["no start", "no stop", "an event is missing", "no descriptor", "unknown name",
     "a field is missing", "a key too much"],
)  # fmt: skip
def test_a_stream_that_is_not_whole_is_refused_and_leaves_nothing(
    lines: Path, tmp_path: Path, kind: str
) -> None:
    documents = list(read_documents(lines))
    second = [name for name, _ in documents].index("start", 1)
    catalogue = SqliteCatalogue(":memory:")
    settings = BeamlineSettings(name="c", data=tmp_path)
    given = [*documents[second:], *_broken(documents[:second], kind)]  # a sound run before it
    with pytest.raises(InputError) as refused:
        import_documents(given, settings, door(tmp_path, catalogue, settings))
    assert refused.value.remedy
    assert everything(tmp_path) == []
    assert catalogue.runs() == []


@given(line=st.text(max_size=40))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_line_is_documents_or_an_error_that_names_it(line: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(line.replace("\n", " "), encoding="utf-8")
    try:
        assert list(read_documents(path)) == []
    except InputError as error:
        assert "odd.jsonl, line " in str(error)  # noqa: PT017  # both ways are right


@pytest.mark.parametrize("step", ["import.file_made", "import.archived"])
def test_a_full_disk_leaves_no_half_run(lines: Path, tmp_path: Path, step: str) -> None:
    catalogue = SqliteCatalogue(":memory:")
    settings = BeamlineSettings(name="c", data=tmp_path)
    with armed(f"{step}:1:ENOSPC"), pytest.raises(OSError, match="No space left"):
        import_documents(read_documents(lines), settings, door(tmp_path, catalogue, settings))
    assert everything(tmp_path) == []
    assert catalogue.runs() == []


STEPS = sorted(point for point in POINTS if point.startswith("import."))


@pytest.mark.parametrize(
    ("step", "finisher"), zip(STEPS, cycle(["the next import", "the next start"]), strict=False)
)
def test_a_kill_at_any_step_leaves_a_run_that_whoever_comes_next_finishes(
    lines: Path, beamline: str, runs: Runs, tmp_path: Path, step: str, finisher: str
) -> None:
    """A process a step: an import that is killed can only be another process."""
    code = "import sys; from undula.client.importing import import_file; from pathlib import Path\n"
    code += "import_file(Path(sys.argv[1]), 'b')"
    killed = subprocess.run(
        [sys.executable, "-c", code, str(lines)],
        check=False,
        timeout=60,
        env={**os.environ, "UNDULA_TEST": "1", "UNDULA_FAULT": step},
    )
    assert killed.returncode == -signal.SIGKILL

    if finisher == "the next import":
        assert [run.number for run in import_file(lines, beamline)] == [2]
    else:
        paths, told = beamline_paths("b"), []
        catalogue = SqliteCatalogue(paths.catalogue)
        settings = load_settings(paths.config)
        (found,) = Imports(paths.importing, settings, catalogue, told.append).finish()
        assert [found.uid] == [run.uid for run in told]
        opened, closed = announcement(told[0])
        assert (opened.number, opened.imported, closed.path) == (1, True, str(found.path))
        catalogue.close()
    run = runs[1]
    assert (run.status, run.record.num_points) == ("success", 5)
    assert run.data["motor"] == pytest.approx(np.linspace(-1, 1, 5))
    assert [name for name, _ in run.documents()][-1] == "stop"
    assert not everything(beamline_paths("b").importing)
    files = {p.name for p in everything(tmp_path / "data") if "00001" in p.name}
    assert files == {"00001_scan.nxs", "00001_scan.nxs.docs"}


def test_half_written_documents_are_nothing_and_a_living_import_is_left_alone(
    lines: Path, beamline: str, runs: Runs
) -> None:
    paths = beamline_paths("b")
    paths.importing.mkdir()
    part = paths.importing / ".x.docs.part"
    part.write_bytes(b"half")
    catalogue = SqliteCatalogue(paths.catalogue)
    imports = Imports(paths.importing, load_settings(paths.config), catalogue)
    holder = os.open(paths.importing, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert imports.finish() == []
    assert part.exists()
    os.close(holder)
    assert imports.finish() == []
    assert not part.exists()
    catalogue.close()


def test_without_the_engine_nobody_imports_where_people_log_in(lines: Path, beamline: str) -> None:
    folder = beamline_paths("b").access
    Users(folder, Cost(log_n=10)).add("ann", "open sesame 7", Role.STAFF)
    with pytest.raises(AccessError, match="people log in"), open_door(beamline, "x"):
        pass


@pytest.fixture
def importer(beamline: str) -> Iterator[Importer]:
    return Importer(beamline, origin="the old beamline")


def test_a_live_run_engine_gives_runs_and_is_never_failed(importer: Importer, runs: Runs) -> None:
    engine = RunEngine({"scan_id": 5}, context_managers=[])
    engine.subscribe(importer)
    engine(bp.count([HW.det, HW.direct_img], 3))
    (found,) = importer.imported
    assert runs[found.number].record.num_points == 3
    assert runs[found.number].record.metadata["imported"]["from"] == "the old beamline"
    docs = [d.name for d in read_archive(Path(runs[found.number].record.archive_path))]
    assert docs == ["start", "descriptor", "event", "event", "event", "stop"]

    with pytest.warns(UserWarning, match="run x is not imported"):
        importer("start", {"uid": "x"})  # it has no time
    assert "document 1: start is not valid" in str(importer.problems[0])
    engine(bp.count([HW.det], 1))
    assert len(importer.imported) == 2


def test_frames_that_lie_elsewhere_are_told_even_when_their_file_is_gone(
    lines: Path, beamline: str, runs: Runs, tmp_path: Path
) -> None:
    documents = list(read_documents(lines))[:8]
    start, descriptor = documents[0][1], documents[1][1]
    keys = {**descriptor["data_keys"], "frames": {
        "source": "x", "dtype": "array", "shape": [1, 2, 2], "external": "STREAM:",
        "dtype_numpy": "<f8",
    }}  # fmt: skip
    descriptor = {**descriptor, "data_keys": keys}
    resource = {
        "uid": "r", "data_key": "frames", "run_start": start["uid"], "parameters": {"dataset": "d"},
        "mimetype": "application/x-hdf5", "uri": "file://localhost/nowhere/gone.h5",
    }  # fmt: skip
    datum = {
        "uid": "r/0", "stream_resource": "r", "descriptor": descriptor["uid"],
        "indices": {"start": 0, "stop": 5}, "seq_nums": {"start": 1, "stop": 6},
    }  # fmt: skip
    given = [documents[0], ("descriptor", descriptor), ("stream_resource", resource)]
    given += [*documents[2:-1], ("stream_datum", datum), documents[-1]]
    path = tmp_path / "frames.jsonl"
    path.write_text("".join(json.dumps([name, doc]) + "\n" for name, doc in given))
    import_file(path, beamline)
    assert runs[1].data.shapes["frames"] is None
    assert runs[1].data.to_xarray().det.shape == (5,)


def test_spectra_are_mca_data_of_a_spec_file(
    importer: Importer, runs: Runs, tmp_path: Path
) -> None:
    class Spectrometer:
        name, parent, place = "mca", None, 0

        def trigger(self) -> Any:
            self.place += 1
            return HW.det.trigger()

        def read(self) -> dict[str, Any]:
            return {"mca": {"value": np.arange(40.0) + self.place, "timestamp": 0.0}}

        def describe(self) -> dict[str, Any]:
            return {"mca": {"source": "test", "dtype": "array", "shape": [40]}}

        def read_configuration(self) -> dict[str, Any]:
            return {}

        describe_configuration = read_configuration

    RunEngine(context_managers=[])(bp.count([HW.det, Spectrometer()], 3), importer)
    runs[1].export(tmp_path / "mca.spec", "spec")
    scan = SpecFile(str(tmp_path / "mca.spec"))["1.1"]
    assert len(scan.mca) == 3
    assert scan.mca[2].tolist() == (np.arange(40.0) + 3).tolist()
    assert scan.data.shape[1] == 3


def test_a_run_without_points_is_an_empty_scan_of_an_export(
    importer: Importer, runs: Runs, tmp_path: Path
) -> None:
    engine = RunEngine(context_managers=[])
    engine(bp.count([HW.det], 1), importer)
    engine([Msg("open_run"), Msg("close_run")], importer)
    engine(bp.count([HW.det], 2), importer)
    export_file([runs[n] for n in (1, 2, 3)], "spec", tmp_path / "night.spec")
    file = SpecFile(str(tmp_path / "night.spec"))
    assert [file[key].scan_header_dict["N"] for key in ("1.1", "2.1", "3.1")][1] == "0"
    assert file["3.1"].data.shape[1] == 2
    assert "#C no point was measured" in (tmp_path / "night.spec").read_text()


@pytest.fixture
def continued(importer: Importer) -> None:
    """Runs 1 and 2, the second going on with the first: four points, the second taken again."""

    def part(places: list[float], **more: Any) -> Any:
        @bpp.run_decorator(md={"plan_name": "scan", "motors": ["motor"], "num_points": 4, **more})
        def plan() -> Any:
            for place in places:
                yield from bps.mv(HW.motor, place)
                yield from bps.trigger_and_read([HW.det, HW.motor])

        return plan()

    engine = RunEngine(context_managers=[], call_returns_result=False)
    (uid,) = engine(part([0, 1]), importer)
    engine(part([1.5, 2, 3], continues={"uid": uid, "number": 1, "first_point": 2}), importer)


def test_runs_that_continue_each_other_go_out_as_one(
    continued: None, runs: Runs, tmp_path: Path
) -> None:
    export_file([runs[1]], "csv", tmp_path / "one.csv", joined=True)
    head, *rows = (tmp_path / "one.csv").read_text().splitlines()
    columns = [name.split(" ")[0] for name in head.split(",")]
    found = [dict(zip(columns, row.split(","), strict=True)) for row in rows]
    assert [float(row["motor"]) for row in found] == [0, 1.5, 2, 3]
    assert [row["run"] for row in found] == ["1", "2", "2", "2"]
    runs[2].export(tmp_path / "one.spec", "spec", joined=True)
    scan = SpecFile(str(tmp_path / "one.spec"))["2.1"]
    assert scan.data_column_by_name("motor").tolist() == [0, 1.5, 2, 3]
    assert "#C runs 1, 2 joined" in (tmp_path / "one.spec").read_text()
    with pytest.raises(InputError, match="documents are of one run each"):
        export_file([runs[2]], "jsonl", tmp_path / "one.jsonl", joined=True)


def test_the_command_line_shows_plots_and_exports_them_as_one(
    continued: None, beamline: str
) -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(
            build(("runs",)), ["runs", *words, "--joined", "--beamline", beamline]
        )
        assert done.exit_code == 0, done.output
        return str(done.output)

    shown = said("show", "2")
    assert "joined runs      1, 2" in shown
    assert "joined points    4" in shown
    assert "joined retaken   2" in shown
    assert "runs 1, 2: det" in said("plot", "1")
    assert len(said("export", "1").splitlines()) == 5
    assert said("data", "2") == said("export", "2")
    facts = json.loads(said("show", "1", "--json"))["joined"]
    assert (facts["runs"], facts["planned"], facts["missing"]) == ([1, 2], 4, [])
