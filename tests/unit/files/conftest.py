"""Documents made by a real RunEngine with simulated devices, and a file written from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine, SupplementalData

from undula.files import NexusFile

Documents = list[tuple[str, dict[str, Any]]]


def take(plan: Any, *, baseline: Iterable[Any] = (), **metadata: Any) -> Documents:
    """Run a plan in a RunEngine of its own and return its documents; an abort is part of them."""
    engine = RunEngine(dict(metadata), context_managers=[])
    engine.preprocessors.append(SupplementalData(baseline=list(baseline)))
    documents: Documents = []
    try:
        engine(plan, lambda name, doc: documents.append((name, dict(doc))))
    except RuntimeError:
        assert documents[-1][0] == "stop"
    return documents


@pytest.fixture(scope="session")
def documents_of() -> Callable[..., Documents]:
    return take


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def _write(documents: Documents, name: str = "00001_scan.nxs", every: int = 1) -> Path:
        file = NexusFile.create(tmp_path / name, documents[0][1])
        stop = None
        for number, (kind, doc) in enumerate(documents[1:]):
            if kind == "stop":
                stop = doc
            else:
                file.write(kind, doc)
            if number % every == 0:
                file.flush()
        return file.close(stop)

    return _write
