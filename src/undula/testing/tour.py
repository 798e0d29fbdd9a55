"""Pages of the documentation that are played as they stand: typed, and what they show compared.

In: a page. Out: steps; a `Player` types them at real terminals and real command lines. A page has

- `console` blocks: `$ COMMAND` for a shell of the host; `$ undula shell` sits down at the prompt;
- `ipythonconsole` blocks: `In [1]: LINE`, `   ...: MORE`, then what it shows; what stands behind
  `In [1] <terminal:ben>:` is typed by Ben at a terminal of his own; `^C` presses Ctrl-C once what
  stands above it is seen; `exit` leaves;
- `python` and `yaml` blocks that begin with `# ~/PATH`: a file, written there.

In what a line shows `...` stands for anything in its line, and alone for any lines; blank lines and
the numbers of `In` and `Out` do not count. A line that shows nothing has to show nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from undula.core.clock import Deadline
from undula.testing.terminal import CTRL_C, PtyPerson

FILES = ("python", "yaml")
LANGUAGES = ("console", "ipythonconsole", *FILES)
SIZE = (50, 240)
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.M | re.S)
_CELL = re.compile(r"In \[(\d+)\](?: <terminal:(\w+)>)?: ?(.*)")
_MORE = re.compile(r" {2,}\.\.\.: ?(.*)")
_FILE = re.compile(r"# ~/(\S+)")
_PROMPT = re.compile(r"In \[(\d+)\]:")
_NUMBER = re.compile(r"\b(In|Out) ?\[\d+\]")
_LEFT_OUT = re.compile(r"\.{3,}")
PASTE, PASTED = "\x1b[200~", "\x1b[201~"


@dataclass(slots=True)
class Step:
    """One thing to type, and what is shown then.

    Args:
        kind: `shell`, `cell` or `file`.
        text: what is typed, or the text of the file.
        who: the person at the terminal, or the path of the file below the home folder.
        place: page and line, for messages.
        number: of its `In`.
    """

    kind: str
    text: str
    who: str
    place: str
    number: int = 0
    shows: list[str] = field(default_factory=list)


def steps_of(page: Path) -> list[Step]:
    """What a page has one do, in order. Raises: ValueError for a block of another kind."""
    text = page.read_text(encoding="utf-8")
    found: list[Step] = []
    for block in _BLOCK.finditer(text):
        indent, language, body = block.groups()
        first = text.count("\n", 0, block.start()) + 2
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        if language not in LANGUAGES:
            raise ValueError(f"{page.name}, line {first - 1}: no player for {language}")
        if language in FILES:
            found.append(_file(lines, f"{page.name}, line {first}"))
        else:
            found += _typed(lines, language, page.name, first)
    return found


def _file(lines: list[str], place: str) -> Step:
    named = _FILE.match(lines[0])
    if named is None:
        raise ValueError(f"{place}: a file begins with # ~/PATH")
    return Step("file", "\n".join(lines) + "\n", named[1], place)


def _typed(lines: list[str], language: str, page: str, first: int) -> Iterator[Step]:
    step: Step | None = None
    for number, line in enumerate(lines, first):
        cell, more = _CELL.fullmatch(line), _MORE.fullmatch(line)
        if language == "console" and line.startswith("$ "):
            made = Step("shell", line[2:], "", f"{page}, line {number}")
        elif language != "console" and cell is not None:
            made = Step("cell", cell[3], cell[2] or "", f"{page}, line {number}", int(cell[1]))
        elif step is None:
            raise ValueError(f"{page}, line {number}: nothing was typed before {line!r}")
        else:
            if more is not None and not step.shows:
                step.text += "\n" + more[1]
            else:
                step.shows.append(line)
            continue
        if step is not None:
            yield step
        step = made
    if step is not None:
        yield step


def pattern(shows: list[str], *, whole: bool = True) -> re.Pattern[str]:
    """What is to be shown, as a pattern on lines that each end with a newline.

    >>> bool(pattern(["run ...: 3 points", "...", "end"]).match("run 12: 3 points\\na\\nend\\n"))
    True
    """
    parts = []
    for line in shows:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        elif line.strip():
            parts.append(".*?".join(map(re.escape, _LEFT_OUT.split(_plain(line)))) + r"\n")
    return re.compile("".join(parts) + (r"\Z" if whole else ""))


def _plain(line: str) -> str:
    return _NUMBER.sub(r"\1[]", line.rstrip())


def joined(lines: list[str]) -> str:
    """Lines as `pattern` looks at them."""
    return "".join(f"{_plain(line)}\n" for line in lines if line.strip())


class Player:
    """Plays pages on one host, in a home folder of its own.

    Args:
        env: of everything that is started; `export` in a page adds to it.
    """

    def __init__(self, env: Mapping[str, str], *, timeout_s: float = 60.0) -> None:
        self.env = {**os.environ, **env}
        self._timeout_s = timeout_s
        self._people: dict[str, PtyPerson] = {}

    def play(self, step: Step) -> str:
        """Do one step. Returns: what it showed. Raises: AssertionError naming page and line."""
        if step.kind == "file":
            path = Path(self.env["HOME"], step.who)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.text, encoding="utf-8")
            return ""
        return self._command(step) if step.kind == "shell" else self._cell(step)

    def close(self) -> None:
        """Everybody leaves."""
        for person in self._people.values():
            person.close()
        self._people.clear()

    # ---- shells of the host ----------------------------------------------------------------

    def _command(self, step: Step) -> str:
        if step.text.startswith("export "):
            name, _, value = step.text.removeprefix("export ").partition("=")
            self.env[name] = value
            return ""
        if step.text == "undula shell":
            return self._greeting(step)
        done = subprocess.run(
            ["/bin/bash", "-c", step.text],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=2 * self._timeout_s,
            check=False,
        )
        shown = done.stdout + done.stderr
        got = joined(shown.splitlines())
        if not pattern(step.shows).match(got):
            raise AssertionError(_differ(step, got))
        return shown

    def _greeting(self, step: Step) -> str:
        person = self._sit_down(self.env["LOGNAME"])
        got = joined(_shown(person.lines, 0))
        if not pattern(step.shows).match(got):
            raise AssertionError(_differ(step, got))
        return got

    # ---- the prompt ------------------------------------------------------------------------

    def _sit_down(self, name: str) -> PtyPerson:
        known = self._people.get(name)
        if known is not None:
            return known
        env = {**self.env, "LOGNAME": name, "USER": name}
        person = self._people[name] = PtyPerson(["undula", "shell"], env, SIZE)
        person.see(r"In \[\d+\]:")
        person.see("prompt idle")
        return person

    def _cell(self, step: Step) -> str:
        me = self._sit_down(self.env["LOGNAME"])
        if step.text == "exit":
            me.enter("exit")
            if me.leave() != 0:
                raise AssertionError(f"{step.place}: the terminal did not end well")
            self.close()
            return ""
        who = self._sit_down(step.who) if step.who else me
        before, rest = step.shows, []
        if "^C" in before:
            at = before.index("^C")
            before, rest = before[:at], before[at + 1 :]
        _read_all(me)
        seen_from, number = me.here, _number(me.lines)
        self._type(who, step.text)
        if rest:
            self._await(me, seen_from, step, before, whole=False)
            if not before:
                who.see(r"\| you: (?!running)", self._timeout_s)  # a move that has begun
            who.type(CTRL_C)
        self._await_end(step, me, number)
        return self._await(me, seen_from, step, before + rest, whole=True)

    def _type(self, who: PtyPerson, text: str) -> None:
        _read_all(who)
        if "\n" in text:
            who.enter(f"{PASTE}{text}{PASTED}")
            if text.rpartition("\n")[2][:1] in (" ", "\t"):
                who.type("\r")  # an empty line ends a block
        else:
            who.enter(text)

    def _await_end(self, step: Step, me: PtyPerson, number: int) -> None:
        """Until the next prompt is there and nothing runs, as the status bar says."""
        deadline = Deadline(self._timeout_s)
        while not deadline.passed:
            _read_all(me)
            lines = me.lines
            if _number(lines) > number and " prompt idle " in _last(lines):
                return
            me.read(0.1)
        shown = "\n".join(me.lines[-40:])
        raise AssertionError(f"{step.place}: {step.text!r} did not end:\n{shown}")

    def _await(
        self, me: PtyPerson, seen_from: int, step: Step, shows: list[str], *, whole: bool
    ) -> str:
        wanted = pattern(shows, whole=whole)
        deadline = Deadline(self._timeout_s)
        while True:
            me.read(0.05)
            lines = _shown(me.lines, seen_from)[step.text.count("\n") + 1 :]
            while "\n" in step.text and lines and _MORE.fullmatch(lines[0]):
                lines = lines[1:]  # the empty line that ends a block
            got = joined(lines)
            if wanted.match(got):
                return got
            if deadline.passed:
                raise AssertionError(_differ(step, got))


def _read_all(person: PtyPerson) -> None:
    while person.read(0.05):
        pass


def _number(lines: list[str]) -> int:
    """The number of the last prompt."""
    found = [match for line in lines[-SIZE[0] :] if (match := _PROMPT.match(line))]
    return int(found[-1][1]) if found else 0


def _last(lines: list[str]) -> str:
    """The last line that is not empty: the status bar."""
    return next((line for line in reversed(lines) if line.strip()), "")


def _shown(lines: list[str], first: int) -> list[str]:
    """The lines from `first` on, without the line that is edited and what stands below."""
    found = lines[first:]
    prompts = [n for n, line in enumerate(found) if _PROMPT.match(line)]
    return found[: prompts[-1]] if prompts else found


def _differ(step: Step, got: str) -> str:
    wanted = "\n".join(step.shows)
    return f"{step.place}: {step.text}\n--- the page shows\n{wanted}\n--- it showed\n{got}"
