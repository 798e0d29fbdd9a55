"""Which units measure what a field of a file is to hold: an angle, an energy, a length. Pure."""

from __future__ import annotations

from typing import Literal

UnitKind = Literal["angle", "energy", "length"]
_PREFIXES = ("", "n", "u", "µ", "μ", "m", "c", "k", "M", "G", "p")
_BASES: dict[str, tuple[str, ...]] = {
    "angle": ("deg", "degree", "degrees", "°", "rad", "radian", "radians", "arcsec", "arcmin"),
    "energy": ("eV", "ev", "EV", "J", "joule"),
    "length": ("m", "meter", "metre", "micron", "microns", "Å", "Å", "angstrom", "Angstrom"),
}


def fits(unit: str, kind: UnitKind) -> bool:
    """Whether a reading in `unit` may stand for `kind`; one without a unit may.

    >>> fits("mm", "angle"), fits("mrad", "angle"), fits("", "angle"), fits("keV", "energy")
    (False, True, True, True)
    """
    unit = unit.strip()
    bases = _BASES[kind]
    return not unit or any(
        unit == prefix + base or unit.lower() == prefix + base.lower()
        for prefix in _PREFIXES
        for base in bases
    )
