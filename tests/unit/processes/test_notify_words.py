"""Services speak to whoever listens, and never suffer when nobody does."""

import json
import os
import socket
from pathlib import Path

import pytest

from undula.core import notify


def test_a_word_names_service_pid_kind_and_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDULA_NOTIFY", str(tmp_path / "n.sock"))
    monkeypatch.setenv("UNDULA_SERVICE", "engine")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "n.sock"))
        ear.settimeout(5.0)
        notify.ready("42 devices")
        word = json.loads(ear.recv(4096))
    expected = {"service": "engine", "pid": os.getpid(), "kind": "ready", "text": "42 devices"}
    assert word == expected


def test_nothing_happens_without_a_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNDULA_NOTIFY", raising=False)
    notify.heartbeat()
    monkeypatch.setenv("UNDULA_NOTIFY", str(tmp_path / "absent.sock"))
    monkeypatch.setenv("UNDULA_SERVICE", "engine")
    notify.heartbeat("still alive")


def test_a_supervisor_that_does_not_read_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDULA_NOTIFY", str(tmp_path / "n.sock"))
    monkeypatch.setenv("UNDULA_SERVICE", "engine")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "n.sock"))
        for number in range(2000):
            notify.heartbeat(f"beat {number}")
