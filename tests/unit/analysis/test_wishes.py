"""What a scan wants fitted is checked before it moves anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from undula.analysis.wishes import Wish, checked, wishes
from undula.core.errors import ConfigError, InputError


def test_a_text_a_dict_and_a_list_are_fits() -> None:
    assert wishes({}) == wishes({"fit": "none"}) == wishes({"fit": None}) == []
    assert wishes({"fit": "gaussian"}) == [Wish("gaussian")]
    both = ["gaussian", {"model": "step", "signal": "i0"}]
    assert wishes({"fit": both}) == [Wish("gaussian"), Wish("step", "i0")]
    assert checked(both, None) == [
        {"model": "gaussian", "signal": ""}, {"model": "step", "signal": "i0"},
    ]  # fmt: skip
    assert checked("none", None) == "none"


@pytest.mark.parametrize("said", [3, {"signal": "i0"}, {"model": "step", "more": 1}, ["step"] * 9])
def test_what_is_no_fit_is_refused(said: Any) -> None:
    with pytest.raises(InputError):
        checked(said, None)


def test_a_model_of_the_beamline_is_known_and_a_faulty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("def knife(x, a=1.0):\n    return a * x\n")
    (tmp_path / "bad.py").write_text("def other(x, a=1.0):\n    return a *\n")
    assert checked("knife + constant", tmp_path)
    with pytest.raises(ConfigError, match=r"bad.py, line 2: SyntaxError"):
        checked("other", tmp_path)
    (tmp_path / "bad.py").unlink()
    with pytest.raises(InputError, match="there is no model 'nife'; did you mean knife"):
        checked("nife", tmp_path)
