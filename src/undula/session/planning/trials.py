"""Plan files tried in a process that may die of it, before a prompt reads them.

In: the text of a file. Out: nothing against it, what is wrong, or "not known yet": a prompt waits a
little, and takes the file up later. A file that only defines functions is not tried. What was wrong
is kept beside the beamline's state, so that a prompt that begins anew does not wait for it again.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path

from undula.core.clock import Deadline
from undula.scans.try_plan import try_file

PATIENCE_S = 3.0
"""A cell waits so long for files that are being tried."""
MOST_KEPT = 100
AT_ONCE = 2
Try = Callable[[str, str], str]
_RUNS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Await, ast.Yield)


class FileTrials:
    """Trials of the files of one folder. Used by one thread.

    Args:
        patience_s: how long to wait for all that is being tried.
        kept: file of the texts that were wrong; None: nothing is kept.
        try_text: tries a text, given name and text; returns what is wrong. Called on a thread.
    """

    def __init__(
        self, patience_s: float = PATIENCE_S, kept: Path | None = None, try_text: Try = try_file
    ) -> None:
        self.patience_s = patience_s
        self._kept, self._try = kept, try_text
        self._found: dict[str, Future[str]] = {}
        self._turn = threading.Semaphore(AT_ONCE)

    def begin(self, files: Iterable[tuple[str, str]], *, again: bool = False) -> Deadline:
        """Try files, each given by name and text, that were not tried before. Never waits.

        Args:
            again: also those that were wrong.
        Returns: until when to wait for them.
        """
        wrong = {} if again else self._wrong()
        for name, text in files:
            key = _key(text)
            known = self._found.get(key)
            if known is not None and not (again and known.done() and known.result()):
                continue
            found: Future[str] = Future()
            self._found[key] = found
            if key in wrong or not runs_when_read(text):
                found.set_result(wrong.get(key, ""))
            else:
                work = threading.Thread(
                    target=self._work, args=(name, text, found), name="trial", daemon=True
                )
                work.start()
        return Deadline(self.patience_s)

    def verdict(self, text: str, until: Deadline) -> str | None:
        """What is wrong with a text, '' for nothing; None when that is not known in time."""
        found = self._found[_key(text)]
        try:
            return found.result(until.left_s())
        except TimeoutError:
            return None

    def _work(self, name: str, text: str, found: Future[str]) -> None:
        try:
            with self._turn:
                fault = self._try(name, text)
        except Exception as exc:  # e.g. no process can be started: then it is not read either
            found.set_result(f"[{name}] it cannot be tried: {exc}")
            return
        self._keep(_key(text), fault)
        found.set_result(fault)

    def _wrong(self) -> dict[str, str]:
        try:
            told = json.loads(self._kept.read_text(encoding="utf-8")) if self._kept else {}
            return {str(key): str(fault) for key, fault in told.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def _keep(self, key: str, fault: str) -> None:
        wrong = self._wrong()
        if self._kept is None or wrong.get(key, "") == fault:
            return
        wrong.pop(key, None)
        wrong |= {key: fault} if fault else {}
        part = self._kept.with_name(f".{self._kept.name}.{os.getpid()}.{threading.get_ident()}")
        with contextlib.suppress(OSError):  # who may not write there tries it again
            part.write_text(json.dumps(dict(list(wrong.items())[-MOST_KEPT:])), encoding="utf-8")
            part.replace(self._kept)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def runs_when_read(text: str) -> bool:
    """Whether reading a file runs anything that may hang or die.

    >>> runs_when_read("import math\\nHALF = 0.5\\ndef go(n=3):\\n    yield\\n")
    False
    >>> runs_when_read("import os\\nos._exit(3)\\n"), runs_when_read("N = [x for x in f()]\\n")
    (True, True)
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False  # told with its line when it is read
    return not all(map(_harmless, body))


def _harmless(node: ast.stmt) -> bool:
    match node:
        case ast.Import():
            return all(alias.name in sys.modules for alias in node.names)
        case ast.ImportFrom():
            return node.level == 0 and node.module in sys.modules
        case ast.FunctionDef(args=args):
            every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
            hints = [node.returns, *(one.annotation for one in every if one is not None)]
            return not node.decorator_list and _plain(*args.defaults, *args.kw_defaults, *hints)
        case ast.Assign() | ast.Expr() | ast.AnnAssign():
            return _plain(node.value)
    return isinstance(node, ast.Pass)


def _plain(*values: ast.expr | None) -> bool:
    """Data, names and types; nothing of it runs for long, and the only call is that of `Field`."""
    return not any(
        isinstance(node, _RUNS)
        or (isinstance(node, ast.BinOp) and not isinstance(node.op, ast.BitOr))
        or (isinstance(node, ast.Call) and getattr(node.func, "id", "") != "Field")
        for value in values
        if value is not None
        for node in ast.walk(value)
    )
