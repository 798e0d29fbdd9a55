"""Fits and edges at the prompt, on an engine that answers by the contract."""

from __future__ import annotations

from typing import Any

import pytest

from undula.bus.endpoints import RUN_FITS
from undula.core.errors import InputError
from undula.messages import FitParameter, FitResult, RunFits
from undula.session.commands import Shell
from undula.session.plot import curve
from undula.testing.toy_engine import ToyEngine


@pytest.fixture
def names(shell: Shell) -> dict[str, Any]:
    names = shell.namespace()
    names["scan"](names["samx"], -1, 2, 31, detectors=[names["diode"]])
    return names


def test_the_last_scan_is_fitted_and_its_centre_gone_to(
    names: dict[str, Any], engine: ToyEngine
) -> None:
    fit = names["fit"]("gaussian + constant")
    assert fit["center"] == pytest.approx(0.5, abs=0.01)
    assert "gaussian + constant of diode: 31 points" in repr(fit)
    names["goto_fit"]("center")
    assert engine.samx.position == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InputError, match="gaussian_fwhm is no place"):
        names["goto_fit"]("fwhm")
    with pytest.raises(InputError, match="diode2 was not measured"):
        names["fit"]("gaussian", "diode2")


def test_lineup_scans_around_where_it_is_and_goes_to_the_peak(
    names: dict[str, Any], engine: ToyEngine
) -> None:
    names["mv"](names["samx"], 0.2)
    names["lineup"](names["samx"], -1, 1, 20, 0.01, names["diode"], name="to the light")
    assert engine.samx.position == pytest.approx(0.5, abs=0.06)


def test_a_fit_that_goto_makes_itself_is_shown_before_it_moves(
    names: dict[str, Any], capsys: Any
) -> None:
    names["goto_fit"]()
    shown = capsys.readouterr().out
    assert shown.index("of diode: 31 points, R² ") < shown.index("center 0.5")
    assert shown.index("±") < shown.index("umv(M.samx, 0.5")
    names["goto_fit"]()
    assert "R²" not in capsys.readouterr().out


def test_a_fit_that_is_not_to_be_relied_on_moves_nothing(
    names: dict[str, Any], engine: ToyEngine
) -> None:
    before = engine.samx.position
    assert names["fit"]("gaussian(center=(-1, -0.5))").problem
    with pytest.raises(InputError, match="is not to be relied on: "):
        names["goto_fit"]()
    with pytest.raises(InputError, match="there is no model 'gausian'; did you mean gaussian"):
        names["fit"]("gausian")
    assert engine.samx.position == before


def test_the_edge_of_a_peak_is_where_it_rises_most(
    names: dict[str, Any], engine: ToyEngine
) -> None:
    edge = names["edge"]()
    assert abs(edge.position - 0.5) == pytest.approx(0.3, abs=0.06)
    names["goto_edge"]()
    assert engine.samx.position == pytest.approx(edge.position)


def test_a_model_that_does_not_exist_is_refused_before_anything_moves(shell: Shell) -> None:
    names = shell.namespace()
    with pytest.raises(InputError, match="there is no model 'gausian'; did you mean gaussian"):
        names["scan"](names["samx"], -1, 2, 31, detectors=[names["diode"]], fit="gausian")
    assert shell.view is None


def test_the_fit_is_drawn_and_told_under_the_table(
    shell: Shell, engine: ToyEngine, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = [FitParameter(name="center", value=0.5, error=0.01)]
    result = FitResult(
        model="gaussian", signal="diode", axis="samx", axis_unit="mm", points=31, r_squared=0.99,
        parameters=parameters, curve_x=[-1, 0.5, 2], curve_y=[0, 1, 0],
    )  # fmt: skip
    put = engine.bus.put

    def fits_for(uid: str) -> None:
        put(RUN_FITS, RunFits(uid=uid, number=1, fits=[result], final=True), uid=uid)

    real = engine.bus.append

    def announced(endpoint: Any, message: Any, **names: str) -> str:
        if endpoint.pattern == "runs/opened":
            fits_for(message.uid)
        return real(endpoint, message, **names)

    monkeypatch.setattr(engine.bus, "append", announced)
    names = shell.namespace()
    shell.plot = True
    names["scan"](names["samx"], -1, 2, 31, detectors=[names["diode"]], fit="gaussian")
    text = capsys.readouterr().out
    assert "fit     gaussian of diode: 31 points, R² 0.9900" in text
    assert "center 0.500 ± 0.010 mm" in text


def test_a_curve_with_a_fit_shows_points_on_a_line() -> None:
    x, y = [0.0, 1.0, 2.0], [0.0, 0.2, 1.0]
    joined = curve(x, y, height=6)
    fitted = curve(x, y, height=6, line=([0.0, 2.0, 3.0], [0.0, 1.0, 9.0]))
    assert len(fitted) == len(joined)
    assert fitted != joined
