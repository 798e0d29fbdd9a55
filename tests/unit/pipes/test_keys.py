"""Keys of hosts: made once, private, and checked when they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from undula.core.errors import AccessError, InputError
from undula.pipes.errors import PipeError
from undula.pipes.link.far import Liveness, loopback, need_keys
from undula.pipes.link.keys import PUBLIC, SECRET, load_keys, trust


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = load_keys(folder)
    assert load_keys(folder) == made
    assert (folder / SECRET).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert made.secret.decode() not in repr(made)


def test_a_host_is_known_by_its_key(tmp_path: Path) -> None:
    ours, theirs = load_keys(tmp_path / "ours"), load_keys(tmp_path / "theirs")
    assert ours.admits(theirs.public) is None
    with pytest.raises(PipeError, match="'det' is not known here"):
        ours.of("det")
    trust(tmp_path / "ours", "det", theirs.public.decode() + "\n")
    ours = load_keys(tmp_path / "ours")
    assert ours.of("det") == theirs.public
    assert ours.admits(theirs.public) == "det"
    assert ours.admits(ours.public) == "here"


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_keys(tmp_path / "keys")
    (tmp_path / "keys" / SECRET).chmod(0o644)
    with pytest.raises(AccessError, match="may be read"):
        load_keys(tmp_path / "keys")


def test_what_is_no_key_is_refused_with_its_file(tmp_path: Path) -> None:
    load_keys(tmp_path / "keys")
    (tmp_path / "keys" / PUBLIC).write_bytes(b"not a key")
    with pytest.raises(PipeError, match=r"host\.pub\] this is no key"):
        load_keys(tmp_path / "keys")


@pytest.mark.parametrize(
    ("host", "key", "says"),
    [("../up", "x" * 40, "no name"), ("det", "short", "no key"), ("det", " " * 40, "no key")],
)
def test_a_wrong_name_or_key_is_not_kept(tmp_path: Path, host: str, key: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        trust(tmp_path / "keys", host, key)
    assert not list(tmp_path.rglob("*.pub"))


def test_an_address_that_others_can_reach_needs_keys() -> None:
    assert loopback("tcp://[::1]:*")
    assert loopback("tcp://localhost:7000")
    need_keys("tcp://127.0.0.1:*", None)
    for address in ("tcp://0.0.0.0:*", "tcp://*:7000", "tcp://192.168.1.4:7000", "tcp://det:*"):
        with pytest.raises(PipeError, match="needs keys"):
            need_keys(address, None)
    with pytest.raises(InputError, match="is no address"):
        need_keys("ipc:///tmp/a", None)


def test_times_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="are not in that order"):
        Liveness(beat_s=5.0, dead_s=1.0)
