"""The record of BEC's scan forms, made once more on a BEC from PyPI."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.interop
SCRIPT = Path(__file__).with_name("record_bec_scan_forms.py")


def _recorder() -> Any:
    spec = importlib.util.spec_from_file_location("record_bec_scan_forms", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(900)
def test_a_real_bec_server_gives_the_record_again(tmp_path: Path) -> None:
    recorder = _recorder()
    kept = json.loads(recorder.RECORD.read_text())
    uv = str(Path(sys.executable).with_name("uv"))
    python = tmp_path / "bec" / "bin" / "python"
    subprocess.run([uv, "venv", "-q", str(tmp_path / "bec")], check=True)
    wanted = [f"{name}=={version}" for name, version in kept["versions"].items()]
    subprocess.run(
        [uv, "pip", "install", "-q", "--python", str(python), *wanted, "bec-ipython-client"],
        check=True,
        timeout=600,
    )
    found = recorder.record(python)

    assert found["versions"] == kept["versions"]
    assert found["forms"].keys() == kept["forms"].keys()
    for name, form in kept["forms"].items():
        new = found["forms"][name]
        assert new["num_points"] == form["num_points"], name
        if form["axes"]:
            moved = np.array(new["begins"]) - form["begins"]
            shift = moved if form["kwargs"].get("relative") else 0.0
            assert np.allclose(np.array(new["positions"]) - shift, form["positions"]), name
