"""Short commands load little: what they import is what a person waits for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("numpy", "h5py", "pandas", "bluesky", "ophyd", "ophyd_async", "rich", "scipy", "IPython")
PROBE = """
import json, sys
sys.argv = ["undula", *sys.argv[1:]]
from undula.cli import main
try:
    main()
except SystemExit as end:
    sys.stderr.write(json.dumps({"code": end.code, "loaded": sorted(sys.modules)}))
"""


@pytest.mark.parametrize(
    "words",
    [
        ["read", "samx"],
        ["mv", "samx", "1"],
        ["queue"],
        ["devices"],
        ["status"],
        ["runs"],
        ["stop"],
        ["--help"],
        ["read", "--help"],
    ],
)
def test_a_short_command_loads_no_heavy_library(words: list[str], tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "HOME": "/"},
    )
    told = json.loads(done.stderr.splitlines()[-1])
    assert [name for name in HEAVY if name in told["loaded"]] == []
