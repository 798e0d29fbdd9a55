"""The hooks file of a beamline, and the preprocessors that its settings name.

In: `hooks.py` of the plan folder. Out: for each scan what applies to it. The file is read anew for
each scan, first in a throw-away process when it has changed. A faulty version is told with its
line, and the last good one stays; where there is none, scans are refused: a hook may guard them.
"""

from __future__ import annotations

import ast
import importlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from undula.core.errors import ConfigError, InputError, UndulaError
from undula.core.log import get_logger
from undula.core.stamp import Stamp, stamp_of
from undula.devices.registry import Registry
from undula.messages import HookInfo, PlanSource, SourcePart
from undula.scans.checked_scan import CheckedScan
from undula.scans.describe_plans import Describe, describe
from undula.scans.hook_words import Collected, Filter, Hook, words
from undula.scans.plan_code import define, forgotten, unreadable
from undula.scans.scan_hooks import ScanHooks, preprocessor_name
from undula.scans.user_plans import shell_names

_OF_A_POINT = "instead of point"
_NOTHING = PlanSource(name="hooks", call="None")

UNSEEN = (-1, -1)
"""Stamp of a file that could not be looked at."""


class HookBook:
    """The hooks as the file says them now. Thread-safe.

    Args:
        file: need not exist.
        preprocessors: `module:name` of functions plan -> plan, the outermost first.
        describe: reads a file, in a process that may die of it.
    """

    def __init__(
        self,
        file: Path,
        devices: Registry,
        preprocessors: Sequence[str] = (),
        describe: Describe = describe,
    ) -> None:
        self._file, self._devices, self._describe = file, devices, describe
        self._named = list(preprocessors)
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._source: PlanSource | None = None
        self._infos: list[HookInfo] = []
        self._listed: list[str] = []
        self._errors: dict[str, str] = {}
        self.fault = ""
        """What is wrong with the file, with its line; '' when nothing is."""

    def look(self, *, again: bool = False) -> None:
        """Read the file if it has changed."""
        with self._lock:
            try:
                stamp = stamp_of(self._file)
            except OSError as exc:  # a guard may stand there: the last good version stays in force
                self._stamp, self.fault = UNSEEN, unreadable(self._file, exc)
                return
            if stamp == self._stamp and not again:
                return
            self._stamp, self.fault, self._errors = stamp, "", {}
            if stamp is None:
                self._source, self._infos, self._listed = None, [], []
                return
            try:
                self._read()
            except (OSError, UnicodeDecodeError) as exc:
                self.fault = unreadable(self._file, exc)
            if self.fault:
                get_logger().error("hooks_faulty", fault=self.fault, kept=self._source is not None)

    def _read(self) -> None:
        text = self._file.read_text(encoding="utf-8")
        name = self._file.name
        known = [*shell_names(self._devices)]
        question = {"origin": name, "text": text, "names": known, "hooks": True}
        answer = self._describe(question)
        self.fault = answer["fault"] or _forgotten(text, name)
        if not self.fault:
            part = SourcePart(kind="file", name="__name__", code=text, origin=name)
            self._source = PlanSource(name="hooks", call="None", parts=[part])
            self._infos = [HookInfo.model_validate(info) for info in answer["hooks"]]
            self._listed = answer["preprocessors"]

    def infos(self) -> list[HookInfo]:
        """All hooks, with the last error of those that only warn."""
        return [
            info.model_copy(update={"last_error": self._errors.get(info.name, "")})
            for info in self._infos
        ]

    def preprocessors(self) -> list[str]:
        """Names of all preprocessors, those of the settings first."""
        return [*self._named, *self._listed]

    def for_scan(self, scan: CheckedScan) -> ScanHooks | None:
        """What applies to a scan; None when nothing does.

        Raises: ConfigError when the file has never been right; InputError when two hooks stand in
        place of the same, or one in place of points that nobody knows.
        """
        self.look()
        if self.fault and self._source is None:
            raise ConfigError(
                f"the hooks cannot be read: {self.fault}",
                remedy="correct it or move it away; no scan begins before, a hook may guard it",
            )
        if self._source is None and not self._named:
            return None
        collected = self._collected()
        plan = scan.request.plan
        technique = str(scan.request.metadata.get("technique", ""))

        def applies(chosen: Filter) -> bool:
            return chosen.fits(plan, technique, scan.detectors)

        hooks = [h for h in collected.hooks if applies(_filter_of(h.info))]
        own = [
            (preprocessor_name(wrapper), wrapper)
            for _, wrapper, chosen in collected.preprocessors
            if applies(chosen)
        ]
        named = [(name, imported(name)) for name in self._named]
        if not hooks and not own and not named:
            return None
        _refuse_doubtful(hooks, scan)
        return ScanHooks(scan, hooks, [*named, *own], self._source or _NOTHING, self._warn)

    def _collected(self) -> Collected:
        collected = Collected()
        if self._source is not None:
            names: dict[str, Any] = {**shell_names(self._devices), "__name__": "hooks"}
            define(self._source, names | words(collected))
        return collected

    def _warn(self, hook: str, error: str) -> None:
        self._errors[hook] = error


def _forgotten(text: str, name: str) -> str:
    for node in forgotten(ast.parse(text)):
        what = f"{ast.unparse(node)[:100]} makes a plan, which nobody runs"
        return f"{name}, line {node.lineno}: {what}. Remedy: write yield from before it."
    return ""


def _filter_of(info: HookInfo) -> Filter:
    return Filter(info.plan, info.technique, info.detectors)


def _refuse_doubtful(hooks: Sequence[Hook], scan: CheckedScan) -> None:
    for place in ("instead of scan", "instead of stage", _OF_A_POINT):
        found = [hook.info for hook in hooks if hook.info.place == place]
        if len(found) > 1:
            raise InputError(
                f"the hooks {found[0].name} and {found[1].name} both stand {place}",
                remedy="give them filters that no scan meets both, or make one of them",
            )
        if found and place == _OF_A_POINT and scan.form is None:
            raise InputError(
                f"the hook {found[0].name} stands in place of points, and those of "
                f"{scan.request.plan} are not known",
                remedy="let it filter by plan, e.g. plan='*scan|mesh'",
            )


def imported(name: str) -> Callable[[Any], Any]:
    """A preprocessor that the settings name. Raises: ConfigError."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except UndulaError:
        raise
    except Exception as exc:  # a module may raise anything when it is imported
        raise ConfigError(
            f"the preprocessor {name} cannot be imported: {type(exc).__name__}: {exc}",
            remedy="correct preprocessors in beamline.yaml, or install it where the engine runs",
        ) from exc
    if not callable(found):
        raise ConfigError(
            f"the preprocessor {name} cannot be called", remedy="name a function plan -> plan"
        )
    return found  # type: ignore[no-any-return]  # callable was asked
