"""An engine that cannot start lets go of everything it had taken."""

from __future__ import annotations

import threading

import pytest

from undula.core.errors import StorageError
from undula.processes import engine
from undula.testing.law import until
from undula.testing.local_broker import LocalBroker


def test_a_start_that_fails_gives_back_lock_connection_and_socket() -> None:
    local = LocalBroker()
    try:
        local.start()
        before = {thread.name for thread in threading.enumerate()}
        local.paths.catalogue.write_bytes(b"this is no database" * 100)
        with pytest.raises(StorageError):
            engine.serve(local.paths, local.settings)
        engine._only_one(local.paths).close()
        assert not local.paths.stop_socket.exists()

        def left() -> set[str]:
            found = {thread.name for thread in threading.enumerate()} - before
            return {name for name in found if name.startswith(("outbox", "stop", "scans"))}

        until(lambda: not left(), "threads are left")
    finally:
        local.close()
