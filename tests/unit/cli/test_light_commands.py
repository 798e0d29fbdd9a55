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


CTRL_C = """
import os, signal, sys
sys.argv = ["undula", "devices"]
class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGINT)
sys.argv.append(AT)
sys.meta_path.insert(0, CtrlC())
from undula.cli import main
main()
"""


@pytest.mark.parametrize("at", ["typer", "undula.cli.application", "undula.cli.devices"])
def test_ctrl_c_while_a_command_still_loads_ends_it_quietly(at: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C.replace("AT", repr(at))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


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
