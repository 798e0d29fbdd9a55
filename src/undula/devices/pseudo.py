"""Pseudo axes that many beamlines have: slits, tables, the energy of a monochromator.

In: names of real axes in `deviceConfig`. Out: `PseudoAxis`es with the expressions for them.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Mapping
from typing import Any

from undula.core.errors import DeviceError, InputError
from undula.devices.expression import Expression
from undula.devices.pseudo_axis import PseudoAxis

__all__ = ["Energy", "PseudoAxis", "SlitGap", "SlitOffset", "TableHeight", "TablePitch"]

HC_KEV_ANGSTROM = 12.398419843320026
"""Planck's constant times the speed of light (CODATA 2018, exact), keV · Å."""
D_SPACING_ANGSTROM = {"Si111": 3.13560, "Si220": 1.92016, "Si311": 1.63751, "Ge111": 3.26632}
"""Silicon: a = 5.43102 Å (CODATA); germanium: a = 5.65746 Å; divided by sqrt(h² + k² + l²)."""
UNITS = {"keV": 1.0, "eV": 1000.0}
OTHER_ANGLES = ("rad", "radian", "radians", "mrad", "urad", "µrad", "arcsec", "arcmin")


class SlitGap(PseudoAxis):
    """The opening between two blades; the middle is held.

    Args:
        plus, minus: the blades; the gap is plus - minus.
    """

    def __init__(self, name: str, *, plus: str, minus: str, **more: Any) -> None:
        super().__init__(name, **self._expressions({"plus": plus, "minus": minus}), **more)

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The blades."""
        return PseudoAxis.needs_of(cls._expressions(config))

    @staticmethod
    def _expressions(config: Mapping[str, Any]) -> dict[str, Any]:
        p, m = config.get("plus", ""), config.get("minus", "")
        middle = f"({p} + {m}) / 2"
        return {
            "value": f"{p} - {m}",
            "moves": {p: f"{middle} + value / 2", m: f"{middle} - value / 2"},
        }


class SlitOffset(SlitGap):
    """The middle between two blades; the gap is held."""

    @staticmethod
    def _expressions(config: Mapping[str, Any]) -> dict[str, Any]:
        p, m = config.get("plus", ""), config.get("minus", "")
        half = f"({p} - {m}) / 2"
        return {"value": f"({p} + {m}) / 2", "moves": {p: f"value + {half}", m: f"value - {half}"}}


class TableHeight(PseudoAxis):
    """The height of a table on two legs; its pitch is held.

    Args:
        front, back: the legs.
    """

    def __init__(self, name: str, *, front: str, back: str, **more: Any) -> None:
        super().__init__(name, **self._expressions({"front": front, "back": back}), **more)

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The legs."""
        return PseudoAxis.needs_of(cls._expressions(config))

    @staticmethod
    def _expressions(config: Mapping[str, Any]) -> dict[str, Any]:
        both = {"plus": config.get("front", ""), "minus": config.get("back", "")}
        return SlitOffset._expressions(both)


class TablePitch(PseudoAxis):
    """The pitch of a table on two legs, mrad, front up is positive; its height is held.

    Args:
        front, back: the legs.
        distance: between them, in their unit.
    """

    def __init__(
        self, name: str, *, front: str, back: str, distance: float, unit: str = "mrad", **more: Any
    ) -> None:
        given = {"front": front, "back": back, "distance": distance}
        super().__init__(name, unit=unit, **self._expressions(given), **more)

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The legs."""
        return PseudoAxis.needs_of(cls._expressions(config))

    @staticmethod
    def _expressions(config: Mapping[str, Any]) -> dict[str, Any]:
        f, b = config.get("front", ""), config.get("back", "")
        distance = float(config.get("distance", 0.0))
        if not distance > 0:
            raise InputError(
                "distance is not more than 0", remedy="give it in the unit of the legs"
            )
        middle, half = f"({f} + {b}) / 2", f"{distance!r} / 2 * tan(value / 1000)"
        return {
            "value": f"1000 * atan(({f} - {b}) / {distance!r})",
            "moves": {f: f"{middle} + {half}", b: f"{middle} - {half}"},
        }


class Energy(PseudoAxis):
    """Photon energy behind a crystal monochromator, from its Bragg angle.

    Args:
        bragg: axis of the Bragg angle, degrees.
        crystal: Si111, Si220, Si311 or Ge111; or `d_spacing` in Å.
        unit: keV or eV.
        follow: further axis to an expression of `energy` in `unit`, e.g. an undulator's gap.
    """

    def __init__(
        self,
        name: str,
        *,
        bragg: str,
        crystal: str = "Si111",
        d_spacing: float | None = None,
        unit: str = "keV",
        follow: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        given = {
            "bragg": bragg, "crystal": crystal, "d_spacing": d_spacing, "unit": unit,
            "follow": follow,
        }  # fmt: skip
        super().__init__(name, unit=unit, **self._expressions(given), **more)
        self._bragg = bragg

    def wait_for_connection(self, timeout: float = 5.0) -> None:
        """Raises: DeviceError when the Bragg axis does not answer or is not in degrees."""
        super().wait_for_connection(timeout)
        bragg = self.real_devices()[self._bragg]
        if bragg.unit.lower() in OTHER_ANGLES:
            raise DeviceError(
                f"{bragg.name} is in {bragg.unit}, not in degrees",
                remedy=f"describe it as PseudoAxis with degrees({bragg.name}), or correct its unit",
                device=self.name,
            )

    @classmethod
    def needs_of(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        """The Bragg axis, and what follows."""
        return PseudoAxis.needs_of(cls._expressions(config))

    @staticmethod
    def _expressions(config: Mapping[str, Any]) -> dict[str, Any]:
        unit, crystal = config.get("unit", "keV"), config.get("crystal", "Si111")
        if unit not in UNITS:
            raise InputError(f"{unit!r} is no unit of energy", remedy="give keV or eV")
        spacing = config.get("d_spacing") or D_SPACING_ANGSTROM.get(crystal)
        if spacing is None:
            raise InputError(
                f"the crystal {crystal!r} is not known",
                remedy=f"use one of {', '.join(D_SPACING_ANGSTROM)}, or give d_spacing in Å",
            )
        half = HC_KEV_ANGSTROM * UNITS[unit] / (2.0 * float(spacing))
        bragg = config.get("bragg", "")
        follow = {
            str(axis): _of_energy(str(text)) for axis, text in (config.get("follow") or {}).items()
        }
        return {
            "value": f"{half!r} / sind({bragg})",
            "moves": {bragg: f"asind({half!r} / value)", **follow},
        }


def _of_energy(text: str) -> str:
    """An expression of `energy` as one of `value`."""
    Expression(text, known={"energy"})
    return " ".join("value" if w == "energy" else w for w in _words(text))


def _words(text: str) -> list[str]:
    return [
        t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.string.strip()
    ]
