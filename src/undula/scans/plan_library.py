"""Plans that a beamline adds: Python files of its plan folder, and installed packages.

In: the folder, entry points of the group `undula.plans`. Out: descriptions for people, and for a
scan asked for by name its `PlanSource`, in which the text travels: a scan that waits in the queue
runs what was checked, whatever the file becomes. A file is read again when it has changed, in a
throw-away process; one that is faulty is named with its line, and takes nothing else away.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

import bluesky.plans as bp

from undula.core.errors import ConfigError, InputError
from undula.core.log import get_logger
from undula.messages import PlanSource, ScanRequest, SourcePart
from undula.messages.plans import UserPlan
from undula.plans import FORMS
from undula.scans.describe_plans import Describe, describe
from undula.scans.plan_arguments import call_text, merged
from undula.scans.plan_code import unreadable
from undula.scans.scan_line import written

GROUP = "undula.plans"
HOOKS = "hooks.py"
GIT_PATIENCE_S = 5.0
Stamp = tuple[int, int]
Answer = dict[str, Any]


def installed() -> list[EntryPoint]:
    """Entry points of packages that give plans."""
    return list(entry_points(group=GROUP))


@dataclass(slots=True)
class _Found:
    """A file or package as it was read last."""

    stamp: Stamp | str
    text: str = ""
    plans: list[UserPlan] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    sources: dict[str, list[str]] = field(default_factory=dict)
    fault: str = ""


class _Meant(NamedTuple):
    """A plan, and the file or package in the edition in which it was read."""

    plan: UserPlan
    found: _Found


class PlanLibrary:
    """The plans of files and packages. Thread-safe.

    Args:
        folder: of the plan files; it need not exist.
        names: the names that a plan sees beside its own.
        packages: gives the entry points; looked at once, and when everything is read again.
        describe: reads a file or package, in a process that may die of it.
    """

    def __init__(
        self,
        folder: Path,
        names: Callable[[], Iterable[str]],
        *,
        packages: Callable[[], list[EntryPoint]] = installed,
        describe: Describe = describe,
    ) -> None:
        self.folder = folder
        self._names, self._packages, self._describe = names, packages, describe
        self._files: dict[str, _Found] = {}
        self._modules: dict[str, _Found] | None = None
        self._editions: dict[str, str] = {}
        self._lock = threading.Lock()

    # -- what there is ----------------------------------------------------------------------

    def look(self, *, again: bool = False) -> None:
        """Read what has changed; with `again` also what has not. Takes up to the deadline."""
        with self._lock:
            paths = _stamps(self.folder)
            for gone in set(self._files) - set(paths):
                del self._files[gone]
            for name, stamp in paths.items():
                known = self._files.get(name)
                if again or known is None or known.stamp != stamp:
                    self._files[name] = self._read(name, stamp)
            if again or self._modules is None:
                self._modules = {p.name: self._import(p) for p in self._packages()}

    def plans(self) -> list[UserPlan]:
        """All plans by name; of two with the same name the first, files before packages."""
        found: dict[str, UserPlan] = {}
        for each in self._all():
            for plan in each.plans:
                if not taken(plan.name):
                    found.setdefault(plan.name, plan)
        return [found[name] for name in sorted(found)]

    def beside(self) -> list[UserPlan]:
        """Those whose name is another's: they run by their whole names only."""
        first = {id(plan) for plan in self.plans()}
        return [m.plan for m in self._known() if id(m.plan) not in first]

    def faults(self) -> list[str]:
        """What is wrong, with file and line."""
        seen: dict[str, str] = {}
        said = []
        for each in self._all():
            said += [each.fault] if each.fault else []
            for plan in each.plans:
                if reason := taken(plan.name):
                    said.append(_clash(plan, reason))
                elif plan.name in seen:
                    said.append(_clash(plan, f"{seen[plan.name]} gives it as well, and wins"))
                else:
                    seen[plan.name] = plan.origin
        return said

    def _all(self) -> list[_Found]:
        return [*self._files.values(), *(self._modules or {}).values()]

    # -- a scan by name ---------------------------------------------------------------------

    def resolved(
        self,
        request: ScanRequest,
        devices: Iterable[str],
        still: Collection[str] = (),
        asked: str = "",
    ) -> ScanRequest:
        """The request with the source of its plan, when that is one of these.

        One that was resolved before, and edited since, is resolved anew.

        Args:
            still: devices that cannot be moved.
            asked: the name that was given, where the request has a shorter one by now.

        Raises: InputError for arguments that do not fit; ConfigError when its file is faulty.
        """
        whole = request.source is not None and not (request.args or request.kwargs)
        if whole or taken(request.plan):
            return request
        self.look()
        meant = self._before(request) or self._meant(asked or request.plan)
        if meant is None:
            if request.source is None:
                self._refuse_faulty(request.plan)
            return request
        call = call_text(meant.plan, request.args, request.kwargs, list(devices), still)
        return request.model_copy(update={"source": self._source(meant, call)})

    def in_short(self, request: ScanRequest) -> ScanRequest:
        """The request with the bare name of its plan, where that means the same one.

        So what is said of a plan by its name holds for it, however it is asked for.
        """
        if "." not in request.plan:
            return request
        self.look()
        meant = self._meant(request.plan)
        if meant is None or taken(meant.plan.name):
            return request
        short = self._meant(meant.plan.name)
        if short is None or short.plan is not meant.plan:
            return request
        return request.model_copy(update={"plan": meant.plan.name})

    def _meant(self, name: str) -> _Meant | None:
        """The plan that runs by this name, or that has it as its whole name."""
        known = self._known()
        bare = (m for m in known if m.plan.name == name and not taken(name))
        whole = (m for m in known if m.plan.whole_name == name)
        return next(bare, None) or next(whole, None)

    def _before(self, request: ScanRequest) -> _Meant | None:
        """The plan that a request was resolved to, whichever has its name by now."""
        source = request.source
        if source is None or not source.by_name or source.name != request.plan:
            return None
        last = source.parts[-1]
        of_file = (m for m in self._known() if m.plan.origin == last.origin)
        of_package = (m for m in self._known() if _imported(m.plan) == last.code)
        found = of_file if last.kind == "file" else of_package
        return next((m for m in found if m.plan.name == source.name), None)

    def _known(self) -> list[_Meant]:
        return [_Meant(plan, found) for found in self._all() for plan in found.plans]

    def packaged(self) -> list[UserPlan] | None:
        """The plans of packages that run by their bare names, as they were read last; or None."""
        if self._modules is None:
            return None
        return [plan for plan in self.plans() if plan.imported]

    def placed(self, request: ScanRequest) -> list[str]:
        """Arguments that a request for one of these plans gives by their place."""
        meant = self._meant(request.plan)
        names = [p.name for p in meant.plan.parameters if not p.named] if meant else []
        return names[: len(request.args)]

    def in_places(self, request: ScanRequest, before: ScanRequest) -> ScanRequest:
        """A scan as it is to be: what was given by its place, and is now by its name, stays there.

        None takes an argument away, so that its default holds.
        Raises: InputError when one is taken away that others follow.
        """
        meant = self._meant(request.plan)
        same = request.plan == before.plan and request.args == before.args
        if meant is None or not same or not request.kwargs:
            return request
        args, kwargs = merged(meant.plan, (request.args, {}), [], request.kwargs)
        after = request.model_copy(update={"args": args, "kwargs": kwargs})
        return after.model_copy(update={"command": written(after)})

    def _refuse_faulty(self, name: str) -> None:
        """Raises: ConfigError when a file that cannot be read seems to have the plan; InputError
        when it is a macro.
        """
        for file, found in self._files.items():
            if name in found.functions and not name.startswith("_"):
                raise InputError(
                    f"{name} of {file} is a macro, no plan: it gives no messages",
                    remedy=f"call it at the prompt, {name}(...), or write yield from in it",
                )
            if found.fault and f"def {name}(" in found.text:
                raise ConfigError(
                    f"{name} stands in {file}, which is faulty: {found.fault}",
                    remedy="correct the file; it is read again by itself",
                )

    def _source(self, meant: _Meant, call: str) -> PlanSource:
        """The plan as source with its call: as it was read, also if it was read anew since."""
        plan = meant.plan
        if plan.imported:
            place = meant.found.sources[plan.name][2]
            part = SourcePart(kind="import", name=plan.name, code=_imported(plan), origin=place)
            parts = [part]
        else:
            files = {**self._files, plan.origin: meant.found}
            parts = [
                SourcePart(kind="file", name=name, code=files[origin].text, origin=origin)
                for origin, name in _needed(files, plan.origin, plan.name)
            ]
        return PlanSource(
            name=plan.name, call=call, parts=parts, author=plan.author, revision=plan.revision
        )

    # -- reading ----------------------------------------------------------------------------

    def _read(self, name: str, stamp: Stamp) -> _Found:
        path = self.folder / name
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as exc:
            about = path.read_text(encoding="utf-8", errors="replace")  # its plans are known by it
            return _Found(stamp, about, fault=unreadable(path, exc))
        except OSError as exc:
            return _Found(stamp, fault=unreadable(path, exc))
        known = [*self._names(), *(f for other in self._files.values() for f in other.functions)]
        known += _functions_beside(self.folder, name)
        answer = self._describe({"origin": name, "text": text, "names": known})
        found = _Found(stamp, text, fault=answer["fault"], functions=answer.get("functions", []))
        edition = hashlib.sha256(text.encode()).hexdigest()[:12]
        author, revision = ("", "") if found.fault else written_by(path)
        found.plans = [
            UserPlan.model_validate(plan).model_copy(
                update={
                    "edition": edition,
                    "author": answer.get("author") or author,
                    "revision": revision,
                }
            )
            for plan in answer["plans"]
        ]
        if found.fault:
            get_logger().warning("plan_file_faulty", file=name, fault=found.fault)
        return found

    def _import(self, point: EntryPoint) -> _Found:
        package = point.dist.name if point.dist else point.value
        version = point.dist.version if point.dist else ""
        question = {"origin": package, "name": point.name, "value": point.value}
        answer = self._describe(question)
        sources: dict[str, list[str]] = answer.get("sources", {})
        plans = []
        for given in answer["plans"]:
            module, _, place = sources[given["name"]]
            edition = _edition(Path(place))
            self._forget_older(module, edition)
            revision = " ".join(word for word in (package, version, edition) if word)
            imported = ":".join(sources[given["name"]][:2])
            update = {"edition": edition, "revision": revision, "imported": imported}
            plans.append(UserPlan.model_validate(given).model_copy(update=update))
        if answer["fault"]:
            get_logger().warning("plan_package_faulty", package=package, fault=answer["fault"])
        return _Found(version, plans=plans, sources=sources, fault=answer["fault"])

    def _forget_older(self, module: str, edition: str) -> None:
        """Let this process import a module anew when its text is another one by now."""
        if self._editions.setdefault(module, edition) != edition:
            self._editions[module] = edition
            sys.modules.pop(module, None)
        importlib.invalidate_caches()


def _imported(plan: UserPlan) -> str:
    """The statement that gives a plan of a package its name."""
    module, _, attribute = plan.imported.partition(":")
    return f"from {module} import {attribute} as {plan.name}"


def _needed(files: Mapping[str, _Found], origin: str, name: str) -> list[tuple[str, str]]:
    """The file, behind those whose functions it uses; each with the name that is wanted."""
    order: dict[str, str] = {}

    def visit(file: str, wanted: str, open_files: frozenset[str]) -> None:
        used = _foreign_names(files[file].text)
        for other, found in files.items():
            match = used & set(found.functions)
            if match and other not in open_files and other not in order:
                visit(other, min(match), open_files | {other})
        order[file] = wanted

    visit(origin, name, frozenset({origin}))
    return list(order.items())


def taken(name: str) -> str:
    """Whose name it is already; '' when it is free.

    >>> taken("scan"), taken("align_my_beam")
    ('it is the name of a plan of Undula', '')
    """
    if name in FORMS:
        return "it is the name of a plan of Undula"
    return "it is the name of a plan of Bluesky" if hasattr(bp, name) else ""


def _clash(plan: UserPlan, reason: str) -> str:
    error = ConfigError(
        f"the plan {plan.name} is left out: {reason}",
        remedy=f"rename it, or say which one is meant: {plan.whole_name}",
        where=f"{plan.origin}, line {plan.line}",
    )
    return str(error)


def _stamps(folder: Path) -> dict[str, Stamp]:
    found = {}
    for path in sorted(folder.glob("*.py")) if folder.is_dir() else []:
        if path.name.startswith(("_", ".")) or path.name == HOOKS:
            continue
        try:
            status = path.stat()
        except FileNotFoundError:  # an editor is just writing it anew
            continue
        found[path.name] = (status.st_mtime_ns, status.st_size)
    return found


def _functions_beside(folder: Path, name: str) -> list[str]:
    """Functions that the other files define, also those that were not read yet."""
    found: list[str] = []
    for other in _stamps(folder):
        if other != name:
            try:
                tree = ast.parse((folder / other).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, SyntaxError):
                continue
            found += [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
    return found


def _foreign_names(text: str) -> set[str]:
    """Names that a file uses and does not give itself."""
    tree = ast.parse(text)
    own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    own |= {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - own


def _edition(path: Path) -> str:
    """Twelve digits that change with the text of a file; '' when it has none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError:
        return ""


def written_by(path: Path) -> tuple[str, str]:
    """Author and git revision of a file; its owner and '' when git does not know it.

    The revision ends in `+` when the file differs from it.
    """
    log = _git(path, "log", "-1", "--format=%h%x00%an", "--", path.name)
    if "\0" in log:
        revision, author = log.strip().split("\0", 1)
        changed = "+" if _git(path, "status", "--porcelain", "--", path.name).strip() else ""
        return author, revision + changed
    try:
        return path.owner(), ""
    except (KeyError, OSError):
        return "", ""


def _git(path: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(path.parent), *words],
            capture_output=True, text=True, timeout=GIT_PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
