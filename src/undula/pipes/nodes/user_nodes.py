"""Room: pipes. Nodes that a beamline writes itself: files in its folder, classes and functions.

In: a folder of Python files. Out: nodes by name, and for each file that cannot be used an error
that names file and line. A file that was changed is read again; one that has a fault leaves the
nodes of the others, and its own former ones, as they were. A graph holds what was read at its
start (`as_read`), and its processes make their nodes of that text (`of_texts`), however often they
are started anew: what is saved meanwhile is for the next start.

A file may hold classes (see `base`), or a function of a frame's array, whose other arguments are
its parameters:

    def brightest(image, above: float = 10.0):
        \"\"\"Brightest pixel, if it is above a level.\"\"\"
        return image.max() if image.max() > above else None

Called by: graphs, the command line. Such files run with the rights of the beamline's staff.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from types import ModuleType
from typing import Any, ClassVar

from undula.core.errors import ConfigError, UndulaError
from undula.pipes.frame import Frame
from undula.pipes.nodes.base import Node, Port, Results, parameter
from undula.pipes.nodes.registry import Shipped

PREFIX = "undula_user_nodes"
REPLACED_S = 0.05
"""So long a file may be away while somebody saves it anew, by removing the former one."""
ANY_FRAME = Port("frames", "arrays of any shape", ndim=None)


class _FunctionNode(Node):
    """A node made of a function; see `function_node`."""

    function: ClassVar[Callable[..., Any]]
    inputs = (ANY_FRAME,)

    def clear(self) -> None:
        self._found: Any = None

    def accumulate(self, frame: Frame) -> None:
        values = {name: getattr(self, name) for name in self.declared}
        self._found = type(self).function(frame.data, **values)

    def result(self) -> Results:
        if self._found is None:
            return None
        return self._found if isinstance(self._found, Mapping) else {"result": self._found}


def function_node(function: Callable[..., Any], name: str | None = None) -> type[Node]:
    """A node of a function of one array; its other arguments, all with defaults, are parameters.

    What it returns goes out at the port `result`: an array or a number; None: nothing for this
    frame. A dict goes out by ports, which the function names in `function.outputs`; their units, by
    port, are in `function.units`.
    Raises: ConfigError when it takes no array, or an argument without default.

    >>> import numpy as np
    >>> node = function_node(lambda image, times=2: image * times, "twice")(times=3)
    >>> node.accumulate(Frame(1, np.array([1, 2])))
    >>> node.result()["result"].tolist()
    [3, 6]
    """
    name = name or function.__name__
    arguments = list(inspect.signature(function, eval_str=True).parameters.values())
    first, others = (arguments[0] if arguments else None), arguments[1:]
    wrong = [one.name for one in others if one.default is one.empty or one.kind is one.VAR_KEYWORD]
    if first is None or wrong or first.kind is first.KEYWORD_ONLY:
        raise ConfigError(
            f"{name} cannot be a node: "
            + (f"{', '.join(wrong)} without default" if wrong else "it takes no array"),
            remedy=f"write def {name}(image, level: float = 1.0), each parameter with its default",
            where=_place(function),
        )
    fields: dict[str, Any] = {}
    types: dict[str, Any] = {}
    for one in others:
        fields[one.name] = parameter(one.default, f"argument of {name}")
        known = one.annotation is not one.empty
        types[one.name] = one.annotation if known else type(one.default)
    ports = getattr(function, "outputs", None) or ("result",)
    units: Mapping[str, str] = getattr(function, "units", None) or {}
    text = inspect.getdoc(function) or f"The function {name}."
    return type(
        name,
        (_FunctionNode,),
        {
            "__doc__": text,
            "__module__": function.__module__,
            "__annotations__": types,
            "name": name,
            "outputs": tuple(
                Port(port, text.splitlines()[0], ndim=None, unit=units.get(port, ""))
                for port in ports
            ),
            "function": staticmethod(function),
            **fields,
        },
    )


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else function.__name__


@dataclass(slots=True)
class _File:
    """A file as it was read: its stamp, its nodes, the text that they are of, its fault."""

    stamp: tuple[int, int]
    nodes: dict[str, type[Node]] = field(default_factory=dict)
    text: str = ""
    fault: UndulaError | None = None


class NodeFolder(Mapping[str, type[Node]]):
    """All nodes a graph may name: the shipped ones, and those of a beamline's folders.

    `refresh` reads what was changed since; `faults` says which files cannot be used, and why.

    Args:
        pause: waits so long, s, before a file that is missing counts as gone, not as replaced.
    """

    def __init__(self, *folders: Path | None, pause: Callable[[float], object] = sleep) -> None:
        self._pause = pause
        self._folders = [folder for folder in folders if folder is not None]
        self._shipped = Shipped()
        self._files: dict[Path, _File] = {}
        self._nodes: dict[str, tuple[Path, type[Node]]] = {}
        self.faults: dict[Path, UndulaError] = {}
        self.refresh()

    def refresh(self, kinds: Iterable[str] | None = None) -> list[str]:
        """Read new and changed files. Returns: names of nodes that are new, changed or gone.

        Args:
            kinds: only the files of these nodes, as long as they have them.
        """
        before = {name: cls for name, (_, cls) in self._nodes.items()}
        if kinds is not None and self._read_again(set(kinds)):
            return self._changed_since(before)
        paths = self._paths()
        if self._files.keys() - set(paths):
            self._pause(REPLACED_S)
            paths = self._paths()
        for gone in self._files.keys() - set(paths):
            del self._files[gone]
        for path in paths:
            self._read(path)
        self._name_all()
        return self._changed_since(before)

    def _read_again(self, kinds: set[str]) -> bool:
        """Read the files of these nodes; whether these have them still."""
        paths = {self._nodes[kind][0] for kind in kinds if kind in self._nodes}
        if not all(path.exists() for path in paths):
            return False
        for path in sorted(paths):
            self._read(path)
        self._name_all()
        return all(kind in self for kind in kinds)

    def _changed_since(self, before: Mapping[str, type[Node]]) -> list[str]:
        after = {name: cls for name, (_, cls) in self._nodes.items()}
        return sorted(
            name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)
        )

    def _paths(self) -> list[Path]:
        return [path for folder in self._folders for path in sorted(folder.glob("*.py"))]

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> NodeFolder:
        """Nodes of the texts of files, by their paths; the files themselves are not looked at.

        Raises: ConfigError naming file and line.
        """
        made = cls()
        for path, text in texts.items():
            made._files[Path(path)] = _File((0, 0), nodes_of(Path(path), text), text)
        made._name_all()
        return made

    def as_read(self) -> NodeFolder:
        """All nodes as they were read last, whatever is read later."""
        made = type(self)()
        made._files, made._nodes = dict(self._files), dict(self._nodes)
        made.faults = dict(self.faults)
        return made

    def to_read(self) -> NodeFolder:
        """The same, to be read anew: what comes of that changes nothing here."""
        made = self.as_read()
        made._folders = self._folders
        return made

    def stamps(self, kinds: Iterable[str]) -> dict[str, tuple[int, int]]:
        """When the files of these nodes were saved last (mtime, ns), and their sizes, by path."""
        found = {}
        for path in sorted({self._nodes[kind][0] for kind in kinds if kind in self._nodes}):
            with suppress(OSError):
                info = path.stat()
                found[str(path)] = (info.st_mtime_ns, info.st_size)
        return found

    def texts(self, kinds: Iterable[str]) -> dict[str, str]:
        """The texts of the files that these nodes are of, by path; the shipped ones have none."""
        paths = {self._nodes[kind][0] for kind in kinds if kind in self._nodes}
        return {str(path): self._files[path].text for path in sorted(paths)}

    def faults_of(self, kinds: Iterable[str]) -> list[UndulaError]:
        """What is wrong with the files that these nodes are of: their former versions are used."""
        paths = {self._nodes[kind][0] for kind in kinds if kind in self._nodes}
        return [self.faults[path] for path in sorted(paths) if path in self.faults]

    def _name_all(self) -> None:
        """Give each name to one node, and say which files cannot have theirs."""
        self._nodes, self.faults = {}, {}
        for path, file in self._files.items():
            if file.fault is not None:
                self.faults[path] = file.fault
            for name, cls in file.nodes.items():
                if name in self._shipped or name in self._nodes:
                    other = self._nodes[name][0].name if name in self._nodes else "Undula"
                    self.faults[path] = ConfigError(
                        f"{other} has a node {name!r} already",
                        remedy="give it another name",
                        where=f"{path}",
                    )
                else:
                    self._nodes[name] = (path, cls)

    def _read(self, path: Path) -> None:
        known = self._files.get(path)
        try:
            info = path.stat()
            stamp = (info.st_mtime_ns, info.st_size)
            if known is not None and known.stamp == stamp:
                return
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            fault = ConfigError(f"{path} cannot be read: {exc}", remedy="check the file's mode")
            former = known or _File((0, 0))
            self._files[path] = _File((0, 0), former.nodes, former.text, fault)
            return
        if known is not None and known.nodes and known.text == text:  # saved as it was
            self._files[path] = _File(stamp, known.nodes, text)
            return
        try:
            self._files[path] = _File(stamp, nodes_of(path, text), text)
        except UndulaError as fault:
            if known is not None and known.nodes:
                self._files[path] = _File(stamp, known.nodes, known.text, fault)
            else:
                alone = ConfigError(fault.what, remedy="correct the file", where=fault.where)
                self._files[path] = _File(stamp, fault=alone)

    def __getitem__(self, name: str) -> type[Node]:
        return self._nodes[name][1] if name in self._nodes else self._shipped[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._shipped
        yield from self._nodes

    def __len__(self) -> int:
        return len(self._shipped) + len(self._nodes)

    def place(self, name: str) -> str:
        """Where a node comes from: its file, or `undula`."""
        return str(self._nodes[name][0]) if name in self._nodes else "undula"


def nodes_of(path: Path, text: str) -> dict[str, type[Node]]:
    """The nodes of a file: its classes, and its functions that do not begin with `_`.

    A file that has a class has only its classes: its functions are then its own helpers.
    Raises: ConfigError naming file and line.
    """
    module = ModuleType(f"{PREFIX}_{path.stem}")
    module.__file__ = str(path)
    lines = text.splitlines(keepends=True)  # what is shown of an error, though the file is newer
    linecache.cache[str(path)] = (len(text), None, lines, str(path))
    try:
        code = compile(ast.parse(text, str(path)), str(path), "exec")
        sys.modules[module.__name__] = module  # pydantic looks annotations up there
        exec(code, module.__dict__)  # noqa: S102  # the beamline's own file is meant to run
    except (Exception, SystemExit) as exc:
        raise fault_in(exc, path) from exc
    own = [
        value for value in vars(module).values()
        if getattr(value, "__module__", "") == module.__name__
    ]  # fmt: skip
    classes = [value for value in own if isinstance(value, type) and issubclass(value, Node)]
    if classes:
        return {_named(cls, path): cls for cls in classes if not cls.__name__.startswith("_")}
    functions = [f for f in own if inspect.isfunction(f) and not f.__name__.startswith("_")]
    return {function.__name__: function_node(function) for function in functions}


def own_texts(types: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, str]:
    """The texts of the files of the beamline's own among these nodes, by path.

    Whoever makes nodes of them makes those that a graph was checked with.
    """
    return types.texts(kinds) if isinstance(types, NodeFolder) else {}


def _named(cls: type[Node], path: Path) -> str:
    """The name of a class of nodes; made of the class's when it says none."""
    if "name" not in vars(cls):
        cls.name = "".join(
            f"_{c.lower()}" if c.isupper() and at else c.lower()
            for at, c in enumerate(cls.__name__)
        )
    try:
        cls.checked()
    except Exception as exc:  # a person's own code may raise anything
        raise fault_in(exc, path, inspect.getsourcelines(cls)[1]) from exc
    return cls.name


def fault_in(exc: BaseException, path: Path, line: int | None = None) -> ConfigError:
    """An exception in a user's file, with the line in that file where it came from."""
    frames = traceback.extract_tb(exc.__traceback__)
    own = [one for one in frames if one.filename == str(path)]
    what = f"{type(exc).__name__}: {exc}"
    if isinstance(exc, SyntaxError):
        line, what = exc.lineno, f"{exc.msg}: {(exc.text or '').strip()}"
    elif own:
        line = own[-1].lineno
        what = f"{what}: {own[-1].line}" if own[-1].line else what
    return ConfigError(
        what,
        remedy="correct the file; until then its former nodes are used",
        where=f"{path}:{line}" if line else str(path),
    )
