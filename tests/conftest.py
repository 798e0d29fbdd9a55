"""Fixtures for everybody: one broker a test worker."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from undula.core.errors import UndulaError
from undula.testing.beamline import RUNNING
from undula.testing.local_broker import LocalBroker

FAILED = pytest.StashKey[str]()


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take long come first: what a worker gets last is short, and none is left idle.

    Files of `system` start services, those of `contract` and `unit` and the modules do not.
    """
    rooms = ("system", "contract", "unit")
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return rooms.index(room) if room in rooms else len(rooms)

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note that a test has failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = f"{report.when} of {item.nodeid} failed"
    del call
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """A failed test leaves no scan and no busy prompt to the next one of its module."""
    try:
        return (yield)
    finally:
        if FAILED in item.stash:
            for beamline in RUNNING:
                try:
                    beamline.calm()
                except (UndulaError, AssertionError) as error:
                    print(f"after {item.nodeid}: {error}")


settings.register_profile("house", deadline=None)  # a loaded machine is no failure
settings.load_profile("house")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: what the tests start would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
