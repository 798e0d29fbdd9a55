"""A shell on a toy engine: real requests on the in-memory bus, real documents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from undula.bus.memory import MemoryBroker, MemoryConnector
from undula.client import Client
from undula.session.commands import Shell
from undula.testing.toy_engine import ToyEngine


@pytest.fixture
def engine() -> Iterator[ToyEngine]:
    engine = ToyEngine(MemoryBroker())
    yield engine
    engine.close()


@pytest.fixture
def client(engine: ToyEngine) -> Iterator[Client]:
    with Client(MemoryConnector(engine.bus.broker), user="anna") as client:
        yield client


@pytest.fixture
def shell(client: Client) -> Shell:
    return Shell(client, plot=False)
