"""Room: analysis. Which fits a run wants, as its start document says under `fit`. Pure.

In: `"gaussian + linear"`, `{"model": ..., "signal": ...}`, or a list of them. Out: `Wish`es.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undula.analysis import own
from undula.analysis.expression import parse
from undula.analysis.models import SHAPES, require_models
from undula.core.errors import InputError

KEY = "fit"
MAX_WISHES = 8
NONE = "none"
"""The word with which a scan declines the fit that its plan has by default."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A model to be fitted, to a signal (a device or data key; '': the first)."""

    model: str
    signal: str = ""


def wishes(start: Mapping[str, Any]) -> list[Wish]:
    """The fits that a start document wants; [] for none. Raises: InputError for what is none."""
    said = start.get(KEY)
    if said is None or said in ("", NONE):
        return []
    found = [_wish(one) for one in (said if isinstance(said, list | tuple) else [said])]
    if len(found) > MAX_WISHES:
        raise InputError(f"{len(found)} fits are too many", remedy=f"at most {MAX_WISHES} a run")
    return found


def _wish(said: Any) -> Wish:
    if isinstance(said, str):
        return Wish(said)
    if isinstance(said, Mapping) and isinstance(said.get("model"), str):
        extra = set(said) - {"model", "signal"}
        if not extra:
            return Wish(said["model"], str(said.get("signal") or ""))
    raise InputError(
        f"{said!r} is no fit",
        remedy='write fit="gaussian + linear", or fit={"model": "gaussian", "signal": "diode"}',
    )


def checked(said: Any, folder: Path | None) -> list[dict[str, str]] | str:
    """What a person asked for, as the start document is to have it.

    Args:
        said: see this module.
        folder: where the beamline keeps models of its own; its files are read, not run.
    Raises: InputError, before anything has moved; ConfigError when the model may be in a file that
    cannot be read.
    """
    if said == NONE:
        return NONE
    found = wishes({KEY: said})
    for wish in found:
        wanted = [term.name for term in parse(wish.model).terms]
        faults = own.faults(folder)
        if faults and not set(wanted) <= {*SHAPES, *own.names(folder)}:
            raise faults[0]  # the model may well be in there
        require_models(wanted, own.names(folder))
    return [{"model": wish.model, "signal": wish.signal} for wish in found]
