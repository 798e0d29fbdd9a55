"""Energies across an absorption edge: even steps before it, steps even in k above it.

k is the wave number of the photoelectron: k = sqrt(2 m (E - E0)) / hbar, so E - E0 = 3.80998 k^2
with E in eV and k in 1/angstrom. Source: M. Newville, "Fundamentals of XAFS", Reviews in Mineralogy
and Geochemistry 78 (2014) 33, equation 5; constants of CODATA 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from undula.core.errors import InputError
from undula.plans.paths.lines import stepped
from undula.plans.trajectory import FloatArray, Trajectory, bounded, steps_in

HBAR_J_S = 1.054571817e-34
ELECTRON_KG = 9.1093837015e-31
CHARGE_C = 1.602176634e-19
EV_ANGSTROM2 = HBAR_J_S**2 / (2 * ELECTRON_KG) / CHARGE_C * 1e20
"""hbar^2 / 2m, eV angstrom^2."""


def energy_of(k: FloatArray) -> FloatArray:
    """Energies above the edge, eV, of wave numbers, 1/angstrom.

    >>> energy_of(np.array([1.0, 10.0])).round(3).tolist()
    [3.81, 380.998]
    """
    return EV_ANGSTROM2 * np.square(k)


def wave_number(above_edge: FloatArray) -> FloatArray:
    """Wave numbers, 1/angstrom, of energies above the edge, eV; 0 below it.

    >>> wave_number(np.array([-5.0, 380.998])).round(3).tolist()
    [0.0, 10.0]
    """
    return np.sqrt(np.clip(above_edge, 0.0, None) / EV_ANGSTROM2)


def exafs(
    axis: str, edge: float, ends: Sequence[float], steps: Sequence[float], *,
    k_stop: float, k_step: float, count_time_s: float, k_power: float, longest_s: float | None,
) -> tuple[Trajectory, FloatArray]:  # fmt: skip
    """Even steps in energy up to the last end, then steps even in k; count times that grow with k.

    Above the last end, at wave number k0, a point takes count_time (k / k0)^k_power seconds, at
    most `longest_s`. For chi weighted by k^n a power of 2n keeps the noise of counting even.

    Args:
        edge: its energy, eV.
        ends: ends of the regions around the edge, eV counted from it; the last above 0.
        steps: of each region, eV.
        k_stop, k_step: 1/angstrom.
    Returns: the energies, eV, and the count time of each point, s, shape (points,).
    """
    near = stepped(axis, ends, steps)
    last = float(ends[-1])
    if last <= 0 or ends[0] > last:
        raise InputError(
            f"the last region ends {last:g} eV from the edge",
            remedy="let the regions rise and end above the edge: k is counted from there",
        )
    k0 = float(wave_number(np.array([last]))[0])
    if k_stop <= k0:
        raise InputError(
            f"k ends at {k_stop:g} 1/angstrom, below the last region at {k0:.3g}",
            remedy="give a larger k_stop, or end the regions sooner",
        )
    num = max(1, steps_in(k_stop - k0, k_step))
    bounded(num + near.num_points)
    k = np.linspace(k0, k_stop, num + 1)[1:]
    points = np.concatenate([near.points[:, 0], energy_of(k)]) + edge
    growth = np.concatenate([np.ones(near.num_points), (k / k0) ** k_power])
    times = count_time_s * growth
    if longest_s is not None:
        times = np.minimum(times, max(longest_s, count_time_s))
    return Trajectory((axis,), points[:, None], (len(points),)), times
