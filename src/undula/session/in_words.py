"""How results are shown at a prompt, where their own text is for programs.

In: an IPython. Out: the queue, an accepted plan, a word or a plan that was not run, in words
after `Out[5]:`. Called by: the shells.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, GeneratorType, MethodType
from typing import Any

from undula.client import Accepted
from undula.client.queue import LONGEST
from undula.client.queue_text import queue_text
from undula.core.shown import counted
from undula.messages import QueueStatus
from undula.plans import FORMS


def accepted_text(accepted: Accepted) -> str:
    """A plan that the engine would run, in one line."""
    number = accepted.num_points
    points = "points unknown" if number is None else counted(number, "point")
    return f"<{accepted.command}: {points}, accepted>"


def show_in_words(shell: Any) -> None:
    """Have an IPython show these in words."""
    text = shell.display_formatter.formatters["text/plain"]
    text.for_type(QueueStatus, lambda status, out, _: out.text(queue_text(status, LONGEST)))
    text.for_type(Accepted, lambda found, out, _: out.text(accepted_text(found)))
    for kind in (FunctionType, MethodType):
        text.for_type(kind, _words_or(word_text, text.for_type(kind)))
    made = _words_or(lambda g: generator_text(g, shell.user_ns), text.for_type(GeneratorType))
    text.for_type(GeneratorType, made)


def word_text(function: Callable[..., Any]) -> str:
    """How a word of the beamline is called, for who has only named it; "" for other functions."""
    if not str(function.__module__).startswith("undula."):
        return ""
    plan = FORMS.get(getattr(function, "plan_name", ""))
    first = (function.__doc__ or "").strip().partition("\n")[0] if plan is None else plan.usage
    return f"{first}  ({function.__name__}? tells more)" if first else ""


def generator_text(generator: GeneratorType[Any, Any, Any], here: dict[str, Any]) -> str:
    """A plan of somebody's that was called and not run; "" for a generator from elsewhere."""
    frame, name = generator.gi_frame, generator.__name__
    if frame is None or not (
        frame.f_globals is here or str(frame.f_globals.get("__name__")).startswith("plans.")
    ):
        return ""
    return f"{name}(...): made, not run; if it is a plan, RE({name}(...)) runs it"


def _words_or(words: Callable[[Any], str], usual: Any) -> Callable[[Any, Any, Any], None]:
    def show(value: Any, out: Any, cycle: Any) -> None:
        text = words(value)
        if text or usual is None:
            out.text(text or repr(value))
        else:
            usual(value, out, cycle)

    return show
