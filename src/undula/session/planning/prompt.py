"""Plans at one prompt: how they are made ready, sent and followed; the names that this adds.

In: the shell. Out: `RE`, `bp`, `bps`, `bpp`, `np`, `queue`, `run`, `reload_plans`, `load_script`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any, Protocol

from undula.client import Accepted, Client, QueueView, ScanHandle
from undula.client.arguments import Named
from undula.core.errors import InputError
from undula.core.plan_words import HINTS, Points
from undula.session.groups import Group
from undula.session.planning.declared import declared, declares, listed
from undula.session.planning.files import PlanFolder, plan_folder, run_script
from undula.session.planning.model import Decorated, PlanCall
from undula.session.planning.modules import MODULES, LaterModule, PlanModule
from undula.session.planning.pack import Packer, check_is_plan, packed
from undula.session.planning.packages import PackagePlans, by_name
from undula.session.planning.run_engine import RunEngineHere
from undula.session.planning.trials import FileTrials

LONGEST_COMMAND = 500
OPTIONS = ("time", "detectors", "metadata", "shutter", "command", "queue", "sample", "front")
"""What every scan takes beside the arguments of its plan."""


class Follows(Protocol):
    """What of the shell is used here."""

    client: Client

    def run(self, plan: str, *args: Any, **options: Any) -> ScanHandle:
        """Run a plan by name, live."""

    def follow(
        self, handle: ScanHandle, listener: Callable[[str, dict[str, Any]], None] | None = None
    ) -> ScanHandle:
        """Show a scan until it has ended, or was left paused."""

    def ask(
        self,
        send: Callable[[], ScanHandle],
        listener: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> ScanHandle:
        """Send a scan and follow it; refused while another one is paused."""

    def ended(self, handle: ScanHandle) -> ScanHandle:
        """It, if it has ended well; raises otherwise."""

    def resume(self) -> None:
        """Go on with the paused scan."""

    def abort(self, reason: str = "") -> None:
        """End the running or paused scan."""


class Prompt:
    """Plans at a prompt."""

    def __init__(self, shell: Follows) -> None:
        self._shell = shell
        self._client = shell.client
        self._here: dict[str, Any] = {}
        self._lives: dict[str, Any] | None = None
        self._commands: dict[int, str] = {}
        self._warned: set[str] = set()
        paths = self._client.paths
        trials = FileTrials(kept=None if paths is None else paths.plans_tried)
        self.folder = PlanFolder(plan_folder(paths), self.here, trials)
        self.packages = PackagePlans(self._client, self.here)

    def here(self) -> dict[str, Any]:
        """The names of the prompt: of the IPython that has them, if there is one."""
        if self._lives is not None:
            return self._lives
        module = sys.modules.get("IPython")
        shell = module.get_ipython() if module is not None else None
        names: dict[str, Any] = {} if shell is None else shell.user_ns
        return names if names.get("RE", self) is self._here.get("RE") else self._here

    def live_in(self, names: dict[str, Any]) -> None:
        """From now on `names`, those of an IPython, are the names of the prompt."""
        self._lives = names

    # -- sending ----------------------------------------------------------------------------

    def submit(self, plan: Any, *args: Any, **options: Any) -> ScanHandle:
        """Send a plan, by name, as a function with its arguments, or as it is; returns at once.

        Raises: InputError naming what cannot go to the engine; what the engine refuses.
        """
        return self._send(self._client.submit, plan, args, options)  # type: ignore[no-any-return]  # of two functions

    def check(self, plan: Any, *args: Any, **options: Any) -> Accepted:
        """Check a plan and queue nothing."""
        return self._send(self._client.check, plan, args, options)  # type: ignore[no-any-return]  # of two functions

    def _send(
        self, send: Callable[..., Any], plan: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        if isinstance(plan, str):
            known = self.folder.functions.get(plan)
            if known is None or declares(known):
                return send(plan, *args, **options)
            plan = known
        name = getattr(plan, "__name__", "")
        if id(plan) in self._commands:
            raise InputError(
                f"{self._commands[id(plan)]} is a command of the shell: it acts at once",
                remedy=f'name the plan: queue.add("{self._commands[id(plan)]}", ...)',
            )
        if callable(plan) and not hasattr(plan, "send"):
            own = {n: options.pop(n) for n in list(options) if not _is_option(plan, n)}
            _check_arguments(plan, args, own)
            plan = plan(*args, **own)
        elif args:
            raise InputError(
                "a plan that is called already takes no more arguments",
                remedy=f"write {name or 'the plan'} without its brackets, or without these",
            )
        return self._send_made(send, plan, options)

    def _send_made(self, send: Callable[..., Any], plan: Any, options: dict[str, Any]) -> Any:
        if isinstance(plan, Points):
            options.setdefault("time", plan.time)
            name, *words = listed(plan)
            return send(name, *words, **{"detectors": plan.detectors, **options})
        check_is_plan(plan, self._commands)
        packer = Packer(self.here(), self._commands, self._path_of)
        known = declared(plan, self.here())
        if known is not None:
            line = f"RE({packer.written(plan)})"
            options.setdefault("command", _short(line))
            options["detectors"] = options.get("detectors") or known.detectors
            options["metadata"] = {**known.metadata, **(options.get("metadata") or {})}
            if send == self._client.check:
                options.pop("metadata")
            return send(known.name, *known.args, **known.kwargs, **options)
        if isinstance(plan, PlanCall) and (call := by_name(plan)) is not None:
            options.setdefault("command", _short(f"RE({plan!r})"))
            return send(call[0], *call[1], **call[2], **options)
        source = packed(plan, packer)
        options.setdefault("command", _short(f"RE({source.call})"))
        return send(source.name, source=source, **options)

    def _path_of(self, device: Named) -> str:
        return self._client.devices.info(device.device_name).path

    # -- the names --------------------------------------------------------------------------

    def install(self, names: dict[str, Any]) -> None:
        """Add to the shell's names; from now on they are the commands that no plan may hold."""
        names.update({name: PlanModule(name) for name in MODULES})
        names["np"] = sys.modules.get("numpy") or LaterModule("numpy")
        names["RE"] = RunEngineHere(self, self._shell)
        names.update(HINTS)
        names["queue"] = PlanQueue(self._client, self.submit)
        names["run"] = self.run
        names["reload_plans"] = self.reload_plans
        names["load_script"] = self.load_script
        travels = (PlanModule, ModuleType, Group, Named)
        self._here = names
        self._commands = {
            id(v): n for n, v in names.items() if not isinstance(v, travels) and n not in HINTS
        }
        self.folder.reserve(names)

    def run(self, plan: Any, *args: Any, **options: Any) -> ScanHandle:
        """Run a plan, live: run("spiral", samx, samy, ...), run(myplan, 5), run(bp.scan(...)).

        Options of all: time (seconds per point), metadata; with a name also detectors.
        """

        def send() -> ScanHandle:
            handle = self.submit(plan, *args, **options)
            self.warn(handle)
            return handle

        return self._shell.ended(self._shell.ask(send))

    def warn(self, handle: ScanHandle) -> None:
        """Say what the check found, each thing once."""
        for warning in handle.accepted.warnings:
            if warning not in self._warned:
                sys.stdout.write(f"note: {warning}\n")
        self._warned.update(handle.accepted.warnings)

    def reload_plans(self) -> None:
        """Read the plan files that have changed; without it they are read before each cell.

        A faulty file is told with its line; the functions of its last good version stay.
        """
        said = (self.folder.reload(again=True), self.packages.look(again=True))
        sys.stdout.write("\n".join(filter(None, said)) + "\n")

    def load_script(self, path: str) -> None:
        """load_script("night.py"): run a file as if it were typed here.

        A relative path is looked for in the present folder, then in the plan
        folder and in its folder `scripts`.
        """
        run_script(path, self.folder.place, self.here())


class PlanQueue(QueueView):
    """The scan queue: `queue.add(...)` for any plan; look, pause, resume, abort, remove, clear."""

    def __init__(self, client: Client, submit: Callable[..., ScanHandle]) -> None:
        super().__init__(client.link, submit)

    def add(self, plan: Any, *args: Any, **options: Any) -> ScanHandle:
        """Put a plan at the end of the queue; the prompt comes back at once.

        queue.add("scan", samx, -1, 1, 21, time=0.1)     by name
        queue.add(myplan, 5)                             a plan of yours, with its arguments
        queue.add(bp.scan([D.diode], M.samx, -1, 1, 21))
        queue.add("ct", 1, at="front", repeats=3, sample="S3", hold="not yet")

        Gives back the scan: .wait(), .cancel(), .status, .run
        """
        return super().add(plan, *args, **options)

    def _is_own(self, plan: Any, word: str) -> bool:
        return not isinstance(plan, str) and word in _parameters(plan)


def _check_arguments(plan: Any, args: tuple[Any, ...], own: dict[str, Any]) -> None:
    """Raises: InputError for arguments that a plan does not take."""
    function = plan.function if isinstance(plan, Decorated) else plan
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **own)
    except TypeError as exc:
        name = getattr(plan, "__name__", "the plan")
        raise InputError(f"{name}: {exc}", remedy=f"call it as {name}{signature}") from exc


def _parameters(plan: Any) -> Collection[str]:
    function = plan.function if isinstance(plan, Decorated) else plan
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ()


def _is_option(plan: Any, name: str) -> bool:
    """It is for the scan, not for the plan."""
    return name in OPTIONS and name not in _parameters(plan)


def _short(line: str) -> str:
    return line if len(line) <= LONGEST_COMMAND else line[: LONGEST_COMMAND - 4] + "...)"
