"""Fits from a client: of a run, of any curve; and what was asked of a scan beforehand.

In: a model line. Out: `Fit`, which shows itself and gives its parameters by name. The fit runs in a
process of its own: one that hangs is ended at its deadline, and Ctrl-C is free meanwhile.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undula.analysis.text import fit_lines
from undula.core.errors import InputError
from undula.messages import FitParameter, FitResult

if TYPE_CHECKING:
    from undula.analysis.fitter import Fitter
    from undula.client.data import Tables

USUAL_MODEL = "gaussian + linear"
FIT_S = 60.0
"""A fit that a person waits for is ended after so many seconds."""


class Fit:
    """The outcome of a fit: `fit["center"]`, `fit.error("center")`, `fit.problem`."""

    def __init__(self, result: FitResult) -> None:
        self.result = result

    @property
    def problem(self) -> str:
        """Why it must not be relied on; '' when it may."""
        return self.result.problem

    def parameter(self, name: str) -> FitParameter:
        """A parameter by its name, or the end of it where that is unique. Raises: InputError."""
        found = self.result.parameter(name)
        if found is None:
            names = ", ".join(p.name for p in self.result.parameters)
            raise InputError(
                f"the fit has no parameter {name!r}, or several",
                remedy=f"choose one of {names}" if names else self.result.remedy or "fit again",
            )
        return found

    def __getitem__(self, name: str) -> float:
        return self.parameter(name).value

    def error(self, name: str) -> float | None:
        """One standard deviation of a parameter; None when it cannot be told."""
        return self.parameter(name).error

    def trusted(self, name: str) -> float:
        """A parameter of a fit that may be relied on. Raises: InputError with the reason."""
        if self.problem:
            raise InputError(
                f"the fit of {self.result.model} is not to be relied on: {self.problem}",
                remedy=self.result.remedy or "fit another model",
            )
        return self[name]

    def __repr__(self) -> str:
        return "\n".join(fit_lines(self.result))


@cache
def fitter_of(folder: Path | None) -> Fitter:
    """The one process of this client for a beamline's folder of models."""
    from undula.analysis.fitter import Fitter

    return Fitter(folder, deadline_s=FIT_S)


def fit_data(data: Tables, model: str, signal: str, folder: Path | None) -> Fit:
    """Fit a model to the curve or map of a run. Raises: InputError when it is none, or no fit."""
    measured = data.measured(signal)
    last = len(measured.signal.values)
    return fit_of(measured.fitted(fitter_of(folder), model, last))


def fit_of(result: FitResult) -> Fit:
    """A fit that has parameters, good or bad. Raises: InputError with the reason without any."""
    if not result.parameters:
        raise InputError(result.problem, remedy=result.remedy)
    return Fit(result)


def fit_metadata(said: Any, folder: Path | None) -> dict[str, Any]:
    """What `fit=` of a scan puts into its start document; {} for None. Raises: InputError."""
    if said is None:
        return {}
    from undula.analysis.wishes import KEY, checked

    return {KEY: checked(said, folder)}
