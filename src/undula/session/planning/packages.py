"""Plans of installed packages as names at the prompt, which follow what the engine has imported.

In: the table of plans, whenever it changes. Out: names such as `align`. A device, a word of the
shell, a function of a plan file or what a person has made goes before a package's plan of the same
name; that is said, with the whole name by which the plan still runs.
"""

from __future__ import annotations

import builtins
import keyword
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from undula.bus.endpoints import PLANS
from undula.bus.ports import Subscription
from undula.client import Client
from undula.client.arguments import Named, plain
from undula.core.errors import InputError
from undula.messages import PlanTable, UserPlan
from undula.session.planning.functions import raw
from undula.session.planning.model import PackagePlan, PlanCall

OF_EVERY_SCAN = frozenset(
    {
        "time", "detectors", "metadata", "shutter", "darks", "command", "source", "queue", "fit",
        "sample", "front",
    }
)  # fmt: skip
"""Words that mean something else where a plan is asked for by name."""


class PackagePlans:
    """The plans of packages at one prompt.

    Args:
        here: the prompt's names, which are changed in place.
    """

    def __init__(self, client: Client, here: Callable[[], dict[str, Any]]) -> None:
        self._client, self._here = client, here
        self._wanted: dict[str, UserPlan] = {}
        self._given: dict[str, PackagePlan] = {}
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def given(self) -> Mapping[str, PackagePlan]:
        """Those that have their names here, or had them until somebody took one."""
        return dict(self._given)

    def update(self) -> None:
        """Take the plans as they were published last."""
        table = self._client.link.connector.get(PLANS)
        if table is not None:
            self._take(table)

    def follow(self) -> Subscription:
        """Follow from now on, on another thread; `close()` ends it."""
        return self._client.link.connector.subscribe(PLANS, self._take)

    def live_in(self, ipython: Any) -> None:
        """Follow, and say before a cell of an IPython what is hidden by now, each thing once."""

        def look(*_: Any) -> None:
            if said := self.look():
                sys.stderr.write(said + "\n")

        self.follow()
        ipython.events.register("pre_run_cell", look)
        look()

    def look(self, *, again: bool = False) -> str:
        """Give back names that have become free. Returns: what is hidden, a line each.

        Args:
            again: also what was told before.
        """
        with self._lock:
            here = self._here()
            self._give(here)
            hidden = {
                name: _hidden(plan, here.get(name))
                for name, plan in self._wanted.items()
                if here.get(name) is not self._given.get(name, self)
            }
            known, self._told = {} if again else self._told, hidden
        return "\n".join(line for name, line in hidden.items() if known.get(name) != line)

    def _take(self, table: PlanTable) -> None:
        if table.packaged is None:  # an engine that has just begun: what was known is kept
            return
        with self._lock:
            here, wanted = self._here(), {plan.name: plan for plan in table.packaged}
            for name in [n for n in self._given if wanted.get(n) != self._given[n].plan]:
                value = self._given.pop(name)
                if here.get(name) is value:
                    del here[name]
            self._wanted = wanted
            self._give(here)

    def _give(self, here: dict[str, Any]) -> None:
        for name, plan in self._wanted.items():
            if name not in here and _usable(name):
                here[name] = self._given[name] = PackagePlan(plan)


def _usable(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and not hasattr(builtins, name)


def _hidden(plan: UserPlan, by: Any) -> str:
    if isinstance(by, Named):
        what = f"the device {plan.name}"
    elif by is None:
        what = "a word of Python"
    elif raw(by) is not None:
        what = f"a function of the same name, {_place(by)}"
    else:
        what = "what has that name here"
    return (
        f'{plan.name} of {plan.origin} is hidden by {what}: run("{plan.whole_name}", ...) runs it'
    )


def _place(function: Any) -> str:
    code = raw(function).__code__  # type: ignore[union-attr]  # asked before
    return str(code.co_filename).rpartition("/")[2]


def by_name(call: PlanCall) -> tuple[str, list[Any], dict[str, Any]] | None:
    """A call of a package's plan as its name and arguments; None when it must go as source.

    The whole name: a file that somebody saves meanwhile may have a plan of the same bare name.
    """
    target = call.target
    if not isinstance(target, PackagePlan):
        return None
    bound = target.__signature__.bind(*call.args, **call.kwargs)
    if set(bound.kwargs) & OF_EVERY_SCAN:
        return None
    try:
        return target.plan.whole_name, plain(list(bound.args)), plain(bound.kwargs)
    except InputError:  # e.g. a plan of one's own as an argument
        return None
