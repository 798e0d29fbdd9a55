"""Fixtures for everybody: one broker a test worker."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from undula.testing.local_broker import LocalBroker


@pytest.fixture(scope="session")
def broker() -> Iterator[LocalBroker]:
    """A running broker, shared by all tests of this worker: use your own names and uids."""
    local = LocalBroker()
    try:
        local.start()
        yield local
    finally:
        local.close()


@pytest.fixture
def own_broker() -> Iterator[LocalBroker]:
    """A broker that one test may kill; not started yet."""
    local = LocalBroker()
    try:
        yield local
    finally:
        local.close()


settings.register_profile("house", deadline=None)  # a loaded machine is no failure
settings.load_profile("house")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: what the tests start would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
