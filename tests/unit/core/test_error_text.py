"""An error is one sentence and a remedy, whatever the driver's words end with."""

from __future__ import annotations

import pytest

from undula.core.errors import DeviceError


@pytest.mark.parametrize("end", ["", ".", ". ", "..."])
def test_there_is_one_full_stop_after_each(end: str) -> None:
    error = DeviceError(f"the motor stalled{end}", remedy=f"look at it{end}", device="m")
    assert str(error) == "[m] the motor stalled. Remedy: look at it."
