"""Scans of the energy across an absorption edge."""

from __future__ import annotations

from undula.core.errors import InputError
from undula.plans.arguments import Argument
from undula.plans.declared import Call, DeclaredPlan
from undula.plans.families.common import moving
from undula.plans.form import StepForm


def _regions(call: Call) -> StepForm:
    import numpy as np

    from undula.plans.paths.lines import stepped

    ends = [call["edge"] + end for end in call["ends"]]
    path = stepped(call["energy"], ends, call["steps"])
    times, units = call["count_times"], {call["energy"]: "eV"}
    if times is None:
        return moving(call, path, units=units)
    if len(times) == 1:
        times = times * len(call["steps"])
    if len(times) != len(call["steps"]):
        raise InputError(
            f"{len(times)} count times do not fit {len(call['steps'])} regions",
            remedy="give one for each region, or one for all",
        )
    at = np.searchsorted(np.abs(np.array(ends) - ends[0]), np.abs(path.points[:, 0] - ends[0]))
    seconds = np.asarray(times)[np.clip(at - 1, 0, len(times) - 1)]
    return moving(call, path, count_times_s=seconds, units=units)


def _exafs(call: Call) -> StepForm:
    from undula.plans.paths.energy import exafs

    path, times = exafs(
        call["energy"], call["edge"], call["ends"], call["steps"],
        k_stop=call["k_stop"], k_step=call["k_step"], k_power=call["k_power"],
        count_time_s=call["count_time"], longest_s=call["longest"],
    )  # fmt: skip
    return moving(call, path, count_times_s=times, units={call["energy"]: "eV"})


ENERGY = Argument("energy", "axis", "energy axis", more="Its unit is eV")
PLANS: tuple[DeclaredPlan, ...] = (
    DeclaredPlan(
        "xanes_scan",
        "bluesky",
        "Regions of the energy that hang together, each with its own step and count time.",
        "xanes_scan(energy, [-50, -10, 30, 100], [5, 0.5, 2], edge=7112, count_times=[0.5, 1, 1])",
        _regions,
        arguments=(
            ENERGY,
            Argument("ends", "list", "ends of the regions", "eV", more="One more than steps"),
            Argument("steps", "list", "steps of the regions", "eV", above=0),
            Argument(
                "edge", "float", "energy from which the ends count", "eV", 0.0, keyword=True
            ),
            Argument(
                "count_times", "list", "count times of the regions", "s", None, above=0,
                keyword=True,
            ),
        ),
    ),
    DeclaredPlan(
        "exafs_scan",
        "bluesky",
        "Even steps of the energy around the edge, then steps even in k, the wave number of the\n"
        "photoelectron, with a count time that grows as k to the k_power.",
        "exafs_scan(energy, 7112, k_stop=12, k_power=2)",
        _exafs,
        arguments=(
            ENERGY,
            Argument("edge", "float", "energy of the edge", "eV", above=0),
            Argument(
                "ends", "list", "ends of the regions around the edge", "eV",
                [-150.0, -30.0, -10.0, 40.0], keyword=True, more="Counted from the edge",
            ),
            Argument(
                "steps", "list", "steps of these regions", "eV", [10.0, 2.0, 0.5], above=0,
                keyword=True,
            ),
            Argument("k_stop", "float", "last wave number", "1/angstrom", above=0, keyword=True),
            Argument(
                "k_step", "float", "step of the wave number", "1/angstrom", 0.05, above=0,
                keyword=True,
            ),
            Argument(
                "count_time", "float", "count time up to the last end", "s", 1.0, above=0,
                keyword=True,
            ),
            Argument(
                "k_power", "float", "power of k with which the count time grows", "", 0.0,
                low=0, high=6, keyword=True,
            ),
            Argument(
                "longest", "float", "longest count time", "s", None, above=0, keyword=True
            ),
        ),
    ),
)  # fmt: skip
