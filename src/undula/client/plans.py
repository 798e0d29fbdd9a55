"""Plans from a client: what people added at the beamline, with faults; and what is shipped."""

from __future__ import annotations

from undula.bus.endpoints import ENGINE_PLANS, PLANS
from undula.client.link import Link
from undula.core.errors import InputError
from undula.core.suggest import near
from undula.messages import PlanInfo, PlanList, UserPlan

LOOK_TIMEOUT_S = 60.0
"""Each changed file is read in a process of its own, which has a deadline."""


class PlansView:
    """Plans of plan files and packages: `client.plans.list()`, `client.plans["align"]`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def list(self, *, again: bool = False) -> PlanList:
        """All of them; files that have changed are read.

        Args:
            again: read also what has not changed, and the installed packages.
        """
        return PlanList.model_validate(self._link.ask(ENGINE_PLANS, LOOK_TIMEOUT_S, again=again))

    def catalogue(self) -> tuple[PlanInfo, ...]:
        """The declared plans that are shipped, as the engine has them, with typed arguments."""
        found = self._link.connector.get(PLANS)
        return () if found is None else tuple(found.plans)

    def __getitem__(self, name: str) -> UserPlan:
        """One plan. Raises: InputError with the name that was probably meant."""
        found = self.list().known()
        if name not in found:
            meant = near(name, found)
            raise InputError(
                f"there is no plan {name!r} in a plan file or package",
                remedy=f"did you mean {meant}?" if meant else "see undula plans",
            )
        return found[name]
