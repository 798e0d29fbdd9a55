"""The shared prompt from another host: OpenSSH's real server and client, on loopback."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from undula.session.bridge.log import read_log
from undula.testing.beamline import NAME, local_beamline, short_folder
from undula.testing.law import until
from undula.testing.terminal import CTRL_C, CTRL_D, PtyPerson

pytestmark = pytest.mark.interop

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
HERE = Path(sys.executable).parent


@contextmanager
def ssh_host(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """A server of its own on a free port; gives a folder whose `ssh` knows it as `beamline`."""
    for key in ("host", "person"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    (folder / "person.pub").rename(folder / "authorized")
    given = " ".join(f'"{name}={value}"' for name, value in environment.items())
    (folder / "sshd_config").write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nSetEnv {given}\n"
    )
    # one connection a process, on its standard input and output: no port is opened at all
    proxy = f"{SSHD} -i -e -f {folder}/sshd_config"
    (folder / "ssh_config").write_text(
        f"Host beamline\n  ProxyCommand {proxy}\n  IdentityFile {folder}/person\n"
        f"  IdentitiesOnly yes\n  User {getpass.getuser()}\n  LogLevel ERROR\n"
        f"  UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking accept-new\n"
    )
    programs = folder / "bin"
    programs.mkdir()
    client = programs / "ssh"
    client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    client.chmod(0o755)
    yield programs


def test_attach_opens_the_prompt_of_another_host_through_ssh() -> None:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH on this host: install openssh-server")
    Path("/run/sshd").mkdir(exist_ok=True)
    with local_beamline(prompt=True) as beamline, short_folder("us-") as folder:
        there = {
            "PATH": f"{HERE}:/usr/bin:/bin",
            "XDG_STATE_HOME": str(beamline.folder / "state"),
            "XDG_RUNTIME_DIR": str(beamline.folder / "run"),
        }
        with ssh_host(folder, there) as programs:
            here = {"PATH": f"{programs}:{HERE}:/usr/bin:/bin"}
            person = PtyPerson(
                [str(HERE / "undula"), "attach", "beamline", "--beamline", NAME], here
            )
            try:
                person.see(r"In \[\d+\]:", timeout_s=60)
                person.enter("mv(samx, 0.25)")
                person.see("samx 0.25 mm")
                person.enter("import time; time.sleep(60)")
                person.type(CTRL_C)
                person.see(r"KeyboardInterrupt|not run: taken back")
                person.type(CTRL_D)
                until(lambda: person.leave() == 0, "the connection stayed")
            finally:
                person.close()
        rows = read_log(beamline.paths.commands, 10, "mv(")
        assert [row["status"] for row in rows] == ["ok"]
