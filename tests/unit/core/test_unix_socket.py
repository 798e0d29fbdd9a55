"""Sockets of a beamline are never open to others, not even for a moment."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.core.unix_socket import bind_for_group, bind_narrow, short


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_file_is_made_no_wider_than_for_the_group(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as made:
        bind_narrow(made, path)
        assert _mode(path) == 0o660 & ~umask


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_it_ends_as_0660_in_place_of_what_was_left(tmp_path: Path, kind: socket.SocketKind) -> None:
    path = tmp_path / "s"
    for _ in range(2):
        with bind_for_group(path, kind):
            assert _mode(path) == 0o660


def test_a_path_that_is_too_long_for_an_address_is_bound_and_found(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    with bind_for_group(folder / "door") as door:
        door.listen(1)
        with socket.socket(socket.AF_UNIX) as line, short(folder / "door") as name:
            line.connect(name)
    assert (folder / "door").is_socket()
    with short(tmp_path / "door") as name:
        assert name == str(tmp_path / "door")
