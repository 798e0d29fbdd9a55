"""The hooks and preprocessors of one scan: run inside its plan, their messages checked as others.

In: the hooks that apply, the scan. Out: the plan with them. A hook's error names its line; it fails
the scan, or is told and passed over, as the hook says.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.utils import IllegalMessageSequence, Msg, RequestAbort, RunEngineControlException

from undula.core.errors import InputError, UndulaError
from undula.core.interruptible import EndedError
from undula.core.log import get_logger
from undula.messages import PlanSource
from undula.plans.around import plain, pointed, staged
from undula.plans.step import Messages, never
from undula.plans.steps import SteeredError
from undula.scans.checked import Checks, checked
from undula.scans.checked_scan import CheckedScan
from undula.scans.hook_words import Hook
from undula.scans.own_code import OWN_CODE, computed_on
from undula.scans.plan_code import where_in

Preprocessor = tuple[str, Callable[[Any], Any]]
SUPPLEMENT = "baseline_supplement"
"""Stream of what preprocessors add to the baseline of a beamline that has its own."""
MOST_TOLD = 5
"""Different errors of hooks that a scan tells of at its end."""
_PASSES = (RunEngineControlException, GeneratorExit, asyncio.CancelledError, SteeredError)


class HookFailedError(UndulaError):
    """What a hook raised, and where."""


@dataclass(slots=True)
class ScanHere:
    """What a hook is told of the scan: `scan.plan`, `scan.axes`, `scan.point` ..."""

    plan: str
    axes: tuple[str, ...]
    detectors: tuple[str, ...]
    num_points: int | None
    count_time_s: float | None
    user: str
    metadata: dict[str, Any]
    point: int = 0
    """Number of the point under way, from 1; 0 outside of points."""
    targets: dict[str, float] = field(default_factory=dict)
    """Where the axes go at this point, by name; of declared plans only."""

    @classmethod
    def of(cls, scan: CheckedScan) -> ScanHere:
        """Of a checked scan."""
        request = scan.request
        return cls(
            plan=request.plan,
            axes=scan.axes,
            detectors=scan.detectors,
            num_points=scan.num_points,
            count_time_s=scan.count_time_s,
            user=request.user,
            metadata=dict(request.metadata),
        )


class ScanHooks:
    """What is run around one scan.

    Args:
        hooks: those that apply, in the order of their file.
        preprocessors: those that apply, the outermost first.
        source: the hooks file, for lines.
        warned: told the name and the error of a hook that only warns.
    """

    def __init__(
        self,
        scan: CheckedScan,
        hooks: Sequence[Hook],
        preprocessors: Sequence[Preprocessor],
        source: PlanSource,
        warned: Callable[[str, str], None],
    ) -> None:
        self.here = ScanHere.of(scan)
        self._axes = scan.driven.axes
        self._hooks = list(hooks)
        self.preprocessors = list(preprocessors)
        self._source = source
        self._warned = warned
        self._passed_over: Counter[str] = Counter()
        self._more = 0
        self._checks: Callable[[], Checks] | None = None

    def checked_by(self, checks: Callable[[], Checks]) -> None:
        """How messages are looked at before they are sent."""
        self._checks = checks

    @property
    def edition(self) -> str:
        """Changes with the hooks file."""
        return self._source.edition

    @property
    def told(self) -> list[str]:
        """One text for each, for the start document: `before scan: light_on`."""
        return [f"{hook.info.place}: {hook.info.name}" for hook in self._hooks]

    @property
    def shown(self) -> list[str]:
        """All that applies, for people."""
        return self.told + [f"preprocessor: {name}" for name, _ in self.preprocessors]

    def has(self, *places: str) -> bool:
        """Whether a hook is run at one of these places."""
        return any(hook.info.place in places for hook in self._hooks)

    @property
    def at_points(self) -> bool:
        """Points have to be stepped one by one."""
        return bool(self.preprocessors) or self.has("before point", "instead of point",
                                                    "after point")  # fmt: skip

    @property
    def reads_more(self) -> bool:
        """Points may have what their plan does not read: a hook beside them reads into no point."""
        return bool(self.preprocessors) or self.has("instead of scan")

    @property
    def warnings(self) -> list[str]:
        """What failed in this scan and was passed over, each once, with how often."""
        told = self._passed_over.most_common()
        said = [text if times == 1 else f"{times} times: {text}" for text, times in told]
        return [*said, f"and {self._more} more"] if self._more else said

    def metadata(self) -> dict[str, Any]:
        """What the start document says of them."""
        found: dict[str, Any] = {"hooks": self.told} if self._hooks else {}
        if self._hooks:
            found["hooks_version"] = self.edition
        if self.preprocessors:
            found["preprocessors"] = [name for name, _ in self.preprocessors]
        return found

    # -- around the scan --------------------------------------------------------------------

    def around_scan(self, plan: Messages, *, declared: bool, baseline: bool) -> Messages:
        """The plan with all that applies.

        Args:
            declared: its points call `around_point` themselves.
            baseline: it reads devices of its own into the stream `baseline`.
        """
        if self.has("before point", "after point") and not declared:
            plan = pointed(plan, self._before_point, lambda: self.run("after point"))
        if self.has("before stage", "instead of stage", "after stage"):
            instead = self._only("instead of stage")
            plan = staged(
                plan,
                lambda: self.run("before stage"),
                None if instead is None else lambda: self._one(instead),
                lambda: self.run("after stage"),
            )
        if self.preprocessors:
            apart = _Apart()
            plan = apart.noted(plain(plan)) if baseline else plain(plan)
            for name, wrapper in reversed(self.preprocessors):
                plan = _ended_by_abort(preprocessed(plan, wrapper), name)
            plan = apart.renamed(plan) if baseline else plan
            plan = self._looked_at(plan)
        return self._bracketed(plan) if self._hooks else plan

    def _bracketed(self, plan: Messages) -> Messages:
        halted = False
        try:
            yield from self.run("before scan")
            instead = self._only("instead of scan")
            result = yield from (plan if instead is None else self._one(instead, lambda: plan))
            yield from self.run("after scan")
            return result
        except GeneratorExit:  # nothing may be sent any more
            halted = True
            raise
        except RequestAbort:
            yield from self.run("on abort")
            raise
        finally:
            if not halted:
                yield from self.run("on close")

    # -- around a point ---------------------------------------------------------------------

    def around_point(
        self, index: int, row: Sequence[float], take: Callable[[], Messages]
    ) -> Messages:
        """A point of a declared plan with its hooks.

        Args:
            index: of the point, from 0.
            row: targets of the axes.
            take: takes the point; to be called once.
        """
        self.here.targets = dict(zip(self._axes, row, strict=False))
        yield from self._before_point(index)
        instead = self._only("instead of point")
        if instead is None:
            yield from take()
        else:
            yield from self._one(instead, _Once(take, instead.info.name).take, counted=True)
        yield from self.run("after point")

    def _before_point(self, index: int) -> Messages:
        self.here.point = index + 1
        yield from self.run("before point")

    # -- one hook ---------------------------------------------------------------------------

    def run(self, place: str) -> Messages:
        """The hooks of a place, in the order of their file."""
        for hook in self._hooks:
            if hook.info.place == place:
                yield from self._one(hook)

    def _only(self, place: str) -> Hook | None:
        return next((hook for hook in self._hooks if hook.info.place == place), None)

    def _one(
        self, hook: Hook, *original: Callable[[], Messages], counted: bool = False
    ) -> Messages:
        try:
            wanted, name = len(inspect.signature(hook.function).parameters), _name_of(hook)
            given = (self.here, *original)[:wanted]
            made = OWN_CODE.call(hook.function, *given, name=name)
            result = None
            if hasattr(made, "throw"):
                result = yield from self._looked_at(OWN_CODE.run(made, name))
            if counted:
                original[0].__self__.must_be_taken()  # type: ignore[attr-defined]  # of _Once
            return result
        except _PASSES:
            raise
        except EndedError as exc:  # the scan ends: also a hook that else only warns
            ended = computed_on().with_traceback(exc.__traceback__)
            raise self._failed(hook, ended) from exc
        except Exception as exc:  # a person's own code may raise anything
            error = self._failed(hook, exc)
            if hook.info.on_error == "fail":
                raise error from exc
            get_logger().warning("hook_failed", hook=hook.info.name, error=str(error))
            self._warned(hook.info.name, str(error))
            self._pass_over(str(error))
            with contextlib.suppress(IllegalMessageSequence):  # an event that it had begun
                yield Msg("drop")
            return None

    def _pass_over(self, text: str) -> None:
        """Count it by its text; beyond the first texts, which may differ by each point, only it."""
        if text in self._passed_over or len(self._passed_over) < MOST_TOLD:
            self._passed_over[text] += 1
        else:
            self._more += 1

    def _failed(self, hook: Hook, exc: Exception) -> HookFailedError:
        ours = isinstance(exc, UndulaError)
        cause = exc if ours or exc.__cause__ is None else exc.__cause__
        what = exc.what if isinstance(exc, UndulaError) else f"{type(cause).__name__}: {cause}"
        place = where_in(self._source, exc.__traceback__)
        return HookFailedError(
            f"{_name_of(hook)} ({hook.info.place}): {what}" + (f", at {place}" if place else ""),
            remedy=exc.remedy if isinstance(exc, UndulaError) else "correct the hook",
            device=exc.device if isinstance(exc, UndulaError) else None,
        )

    def _looked_at(self, plan: Messages) -> Messages:
        return plan if self._checks is None else checked(plan, self._checks())


def _name_of(hook: Hook) -> str:
    return f"the hook {hook.info.name}"


class _Once:
    """Takes a point exactly once, whatever a hook does: each row of a run is of one point."""

    def __init__(self, take: Callable[[], Messages], hook: str) -> None:
        self._take, self._hook, self._count = take, hook, 0

    def take(self) -> Messages:
        """The point."""
        self._count += 1
        if self._count > 1:
            self._refuse("took it twice")
        return self._take()

    def must_be_taken(self) -> None:
        """Raises: InputError when it was not."""
        if not self._count:
            self._refuse("did not take it")

    def _refuse(self, what: str) -> None:
        raise InputError(
            f"it stands in place of a point and {what}",
            remedy="write yield from original() once; more readings belong into another stream",
        )


class _Apart:
    """Readings that preprocessors add to `baseline` go into a stream of their own: those of one
    stream are always of the same devices, and the beamline reads its own."""

    def __init__(self) -> None:
        self._own: Msg | None = None

    def noted(self, plan: Messages) -> Messages:
        """The plan inside of the preprocessors."""

        def note(msg: Msg) -> Msg:
            self._own = msg
            return msg

        return bpp.msg_mutator(plan, note)  # type: ignore[no-any-return]  # bluesky is untyped

    def renamed(self, plan: Messages) -> Messages:
        """The plan with its preprocessors."""

        def rename(msg: Msg) -> Msg:
            ours = msg is self._own or msg.command not in ("create", "declare_stream")
            if ours or msg.kwargs.get("name") != "baseline":
                return msg
            return msg._replace(kwargs={**msg.kwargs, "name": SUPPLEMENT})

        return bpp.msg_mutator(plan, rename)  # type: ignore[no-any-return]  # as above


def preprocessed(plan: Messages, wrapper: Callable[[Any], Any]) -> Messages:
    """`plan` in a wrapper, a decorator of `bpp`, or `SupplementalData`."""
    if "make_decorator.<locals>" in getattr(wrapper, "__qualname__", ""):
        return (yield from wrapper(lambda: plan)())
    return (yield from wrapper(plan))


def _ended_by_abort(plan: Messages, name: str) -> Messages:
    try:
        return (yield from OWN_CODE.run(plan, f"the preprocessor {name}"))
    except EndedError as exc:
        ended = computed_on()
        ended.what = f"the preprocessor {name}: {ended.what}"
        raise ended from exc


def preprocessor_name(wrapper: Any) -> str:
    """What a preprocessor is called; a decorator of `bpp` by its own name."""
    if "make_decorator.<locals>" in getattr(wrapper, "__qualname__", ""):
        held = [cell.cell_contents for cell in wrapper.__closure__ or ()]
        inner = next((each for each in held if inspect.isfunction(each)), wrapper)
        return str(inner.__name__).replace("_wrapper", "_decorator")
    return getattr(wrapper, "__name__", "") or type(wrapper).__name__


def hook_checks(
    devices: Any, scan: CheckedScan, lease: Callable[[Sequence[str]], None]
) -> Callable[[], Checks]:
    """Checks for messages that are not the plan's own."""
    known = list(scan.devices)
    return lambda: Checks(devices, known, lease=lease, to_pause=never, strict=True)
