"""The classes of NeXus that we know, against the definitions that a validator of others ships."""

from __future__ import annotations

import re
from pathlib import Path

import nexusformat

from undula.core.nexus_classes import NAMES


def test_the_classes_are_those_of_the_nexus_definitions() -> None:
    definitions = Path(nexusformat.__path__[0]) / "definitions"
    found = {
        path.name.removesuffix(".nxdl.xml")
        for path in definitions.glob("*/*.nxdl.xml")
        if re.search(r'category="base"', path.read_text(encoding="utf-8"))
    }
    assert found == NAMES
