"""Where it is kept what a terminal saw of the queue, in a run folder of several accounts."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from undula.cli.queue_seen import SeenQueue, seen_file
from undula.messages import QueueStatus


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a client says of itself; its beamline's run folder is shared (2770)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = tmp_path / "run"
    run.mkdir()
    run.chmod(0o2770)
    paths = SimpleNamespace(run=run, name="b21")
    queue = SimpleNamespace(recall=lambda _: None)
    return SimpleNamespace(paths=paths, link=SimpleNamespace(person="ann"), queue=queue)


def test_each_account_has_a_folder_of_its_own(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = QueueStatus(state="idle", revision=7)
    SeenQueue(client).shown(seen)
    assert SeenQueue(client).before == seen
    folder = client.paths.run / f"queue_seen-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert seen_file(client) != folder / next(folder.iterdir()).name


def test_where_the_folder_is_anothers_it_is_kept_below_the_own_cache(
    client: Any, tmp_path: Path
) -> None:
    taken = client.paths.run / f"queue_seen-{os.getuid()}"
    taken.symlink_to(tmp_path)  # as little one's own as a folder of another account
    file = seen_file(client)
    assert file is not None
    assert file.is_relative_to(tmp_path / "cache" / "undula" / "b21")
    seen = QueueStatus(state="idle", revision=8)
    SeenQueue(client).shown(seen)
    assert SeenQueue(client).before == seen
