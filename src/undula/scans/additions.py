"""What a beamline adds to scans: its plans, its defaults, its hooks and preprocessors.

In: the plan folder, the settings, the devices. Out: a request with its defaults and the source of
its plan; for a scan that begins, what is run around it; the list of all for people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

from undula.core.settings import BeamlineSettings
from undula.devices.registry import Registry
from undula.messages import PlanList, ScanRequest, UserPlan
from undula.plans import FORMS
from undula.scans.checked_scan import CheckedScan
from undula.scans.describe_plans import Describe, describe
from undula.scans.hook_book import HookBook
from undula.scans.plan_defaults import FILE, Defaults
from undula.scans.plan_library import HOOKS, PlanLibrary, installed
from undula.scans.scan_hooks import ScanHooks
from undula.scans.scan_line import written
from undula.scans.user_plans import TRIALS, shell_names


class Additions:
    """All that people added at one beamline. Thread-safe.

    Args:
        folder: of plan files, hooks and defaults, where the settings name no other.
    """

    def __init__(
        self,
        folder: Path,
        settings: BeamlineSettings,
        devices: Registry,
        packages: Callable[[], list[EntryPoint]] = installed,
        describe: Describe = describe,
    ) -> None:
        self.folder = settings.plans or folder
        self._devices = devices
        self._library = PlanLibrary(
            self.folder, lambda: shell_names(devices).keys(), packages=packages, describe=describe
        )
        self._defaults = Defaults(self.folder / FILE)
        self._book = HookBook(self.folder / HOOKS, devices, settings.preprocessors, describe)

    def completed(self, request: ScanRequest) -> tuple[ScanRequest, list[str]]:
        """The request with defaults and the source of its plan, and what was added.

        Raises: InputError for arguments that do not fit a user's plan; ConfigError when its file
        is faulty.
        """
        asked, request = request.plan, self._library.in_short(request)
        request, said = self._defaults.added(request, self._library.placed(request))
        devices = self._devices
        here = [n for n in devices.names() if devices[n].obj is not None]
        still = {n for n in here if not devices[n].movable}
        resolved = self._library.resolved(request, devices.names(), still, asked)
        if resolved is not request and resolved.source is not None:
            TRIALS.passed(resolved.source)  # the library read it in a throw-away process
        return resolved, said

    def in_places(self, request: ScanRequest, before: ScanRequest) -> ScanRequest:
        """A scan that waits, as it is to be. Raises: InputError. See `PlanLibrary`."""
        declared = FORMS.get(request.plan)
        if declared is None:
            return self._library.in_places(request, before)
        if request.plan != before.plan or request.args != before.args or not request.kwargs:
            return request
        args, kwargs = declared.in_places(request.args, request.kwargs)
        after = request.model_copy(update={"args": args, "kwargs": kwargs})
        return after.model_copy(update={"command": written(after)})

    def for_scan(self, scan: CheckedScan) -> ScanHooks | None:
        """Hooks and preprocessors of a scan; None when none apply. Raises: as `HookBook`."""
        return self._book.for_scan(scan)

    def reads_more(self, scan: CheckedScan) -> bool:
        """A preprocessor, or a hook in its place, may read what its plan does not."""
        hooks = self.for_scan(scan)
        return hooks is not None and hooks.reads_more

    def stale(self) -> list[str]:
        """What applies to scans although its file is faulty by now, for a person."""
        faults = ((FILE, self._defaults.fault), (HOOKS, self._book.fault))
        return [
            f"{name} is faulty, what it said before applies: {fault.rstrip('.')}"
            for name, fault in faults
            if fault
        ]

    def packaged(self) -> Sequence[UserPlan] | None:
        """Plans of packages that run by their bare names, as they were read last; None: never."""
        return self._library.packaged()

    def list(self, *, again: bool = False) -> PlanList:
        """Plans, hooks and defaults, and what is wrong with them; files that changed are read."""
        self._library.look(again=again)
        tables = self._defaults.look()
        self._book.look(again=again)
        faults = [*self._library.faults(), self._book.fault, self._defaults.fault]
        return PlanList(
            plans=self._library.plans(),
            beside=self._library.beside(),
            hooks=self._book.infos(),
            preprocessors=self._book.preprocessors(),
            defaults={p: t.model_dump(exclude_defaults=True) for p, t in tables.items()},
            faults=[fault for fault in faults if fault],
            folder=str(self.folder),
        )
