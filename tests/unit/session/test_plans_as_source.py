"""What a plan takes with it to the engine, and what is refused by name."""

from __future__ import annotations

import linecache
import math
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undula.core.errors import InputError
from undula.messages import PlanSource
from undula.scans.plan_code import define, where_in
from undula.session.planning.declared import declared
from undula.session.planning.model import PlanCall
from undula.session.planning.modules import MODULES, PlanModule
from undula.session.planning.pack import Packer, packed


class Axis:
    """Stands for a device by its name, as a proxy does."""

    def __init__(self, name: str) -> None:
        self.device_name = name


def typed(text: str, **names: Any) -> dict[str, Any]:
    """Names as a cell makes them: its text can be looked up."""
    text = textwrap.dedent(text)
    filename = f"<cell {abs(hash(text))}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    here: dict[str, Any] = {name: PlanModule(name) for name in MODULES}
    here |= {"samx": Axis("samx"), "scan": typed, **names}
    exec(compile(text, filename, "exec"), here)  # the cell itself
    return here


def sent(plan: Any, here: dict[str, Any]) -> PlanSource:
    packer = Packer(here, {id(here["scan"]): "scan"}, lambda axis: f"M.{axis.device_name}")
    return packed(plan, packer)


def made(source: PlanSource, **names: Any) -> Any:
    """As the engine makes it: only what travelled is there."""
    there: dict[str, Any] = {"np": np, **names}
    define(PlanSource.model_validate_json(source.model_dump_json()), there)
    return eval(source.call, there)


def values_of(text: str, call: str = "plan()", **names: Any) -> list[Any]:
    """What a plan yields in the engine."""
    here = typed(text, **names)
    return list(made(sent(eval(call, here), here)))


def test_a_plan_takes_with_it_what_it_calls() -> None:
    text = """
        import math as mm
        from functools import reduce
        FACTOR = 0.5
        half = lambda x: x * FACTOR
        def twice(x):
            return half(x) * 4
        def inner(n):
            yield twice(n) + mm.floor(1.5)
        def plan(n, *more, k=3):
            yield from inner(n)
            yield (more, k, reduce(max, [1, 2]))
    """
    assert values_of(text, "plan(2, 7, 8, k=1)") == [5.0, ((7, 8), 1, 2)]


def test_one_of_two_lambdas_in_a_line_is_refused() -> None:
    here = typed("""
        adder = lambda k: (lambda x: x + k)
        add2 = adder(2)
        def plan():
            yield add2(1)
    """)
    with pytest.raises(InputError, match="cannot be told from the rest of its line"):
        sent(here["plan"](), here)


def test_two_names_of_one_list_stay_two_names_of_one_list() -> None:
    text = """
        seen = [1]
        same = seen
        def plan():
            seen.append(2)
            yield same
    """
    assert values_of(text) == [[1, 2]]


@pytest.mark.parametrize("first", ["plan = f()", "plan = inner()"])
def test_a_name_without_a_value_yet_is_refused(first: str) -> None:
    here = typed(f"""
        def make():
            def inner():
                yield later
            def f():
                yield from inner()
                yield later
            {first}
            sent(plan)
            later = 1
    """)
    here["sent"] = lambda plan: sent(plan, here)
    with pytest.raises(InputError, match="uses 'later', which has no value yet"):
        here["make"]()


@pytest.mark.parametrize(
    "written", ["num=None", "3, [0.1, 0.2]", "num=3, delay=[0.1, 0.2]", "num=3, delay=(0.1, 0.2)"]
)
def test_a_count_without_end_or_with_many_delays_goes_as_source(written: str) -> None:
    here = typed(f"plan = bp.count([samx], {written})")
    assert declared(here["plan"], here) is None
    plain = typed("plan = bp.count([samx], num=3, delay=0.1)")
    assert declared(plain["plan"], plain) is not None


def test_defaults_and_data_are_those_of_the_moment() -> None:
    text = """
        N = 3
        def plan(n=N, *, k=[N]):
            yield n, k, N
        N = 4
    """
    assert values_of(text) == [(3, [3], 4)]


def test_a_function_made_by_another_keeps_what_it_was_given() -> None:
    text = """
        def make(n):
            def inner(k):
                yield n * k
            return inner
        ready = make(5)
        def plan():
            yield from ready(2)
            yield from make(7)(1)
    """
    assert values_of(text) == [10, 7]
    assert values_of(text, "make(4)(3)") == [12]


def test_a_decorator_of_ones_own_is_applied_once() -> None:
    text = """
        import functools
        def twice(f):
            @functools.wraps(f)
            def both(*args):
                yield from f(*args)
                yield from f(*args)
            return both
        @twice
        def plan(n):
            yield n
        def outer():
            yield from plan(1)
    """
    assert values_of(text, "plan(2)") == [2, 2]
    assert values_of(text, "outer()") == [1, 1]


def test_two_functions_may_call_each_other() -> None:
    text = """
        def plan(n=2):
            yield n
            if n:
                yield from other(n)
        def other(n):
            yield from plan(n - 1)
    """
    assert values_of(text) == [2, 1, 0]


def test_an_old_function_under_another_name_stays_the_old_one() -> None:
    text = """
        def plan():
            yield 1
        before = plan
        def plan():
            yield from before()
            yield 2
    """
    assert values_of(text) == [1, 2]


ARRAYS = hnp.arrays(
    st.sampled_from(["f8", "i4", "?", "U3"]), hnp.array_shapes(min_side=0, max_side=3)
)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False)
    | ARRAYS,
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner, inner)
    | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    | st.frozensets(st.integers() | st.text(), max_size=3),
    max_leaves=8,
)  # fmt: skip


def same(one: Any, two: Any) -> bool:
    """Equal, of equal types, NaN equal to itself."""
    if type(one) is not type(two):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and one.shape == two.shape and repr(one) == repr(two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(two)
    return bool(one == two)


@given(DATA)
def test_data_that_travels_is_the_same_there(data: Any) -> None:
    text = """
        def plan(argument):
            yield argument, DATA
    """
    here = typed(text, DATA=data, argument=data)
    ((argument, known),) = list(made(sent(here["plan"](data), here)))
    assert same(argument, data)
    assert same(known, data)


def test_devices_travel_by_path_and_bluesky_by_name() -> None:
    here = typed("""
        def plan():
            yield from bps.mv(samx, 1)
    """)
    call = here["bpp"].run_wrapper(here["plan"](), md={"x": here["samx"]})
    source = sent(call, here)
    assert source.call == "bpp.run_wrapper(plan(), md={'x': M.samx})"
    assert source.name == "plan"
    assert [part.name for part in source.parts] == ["plan"]


def test_a_decorated_plan_is_a_call_that_has_not_run() -> None:
    here = typed("""
        @bpp.run_decorator(md={})
        def plan(n):
            yield n
    """)
    call = here["plan"](3)
    assert isinstance(call, PlanCall)
    source = sent(call, here)
    assert (source.call, source.parts[-1].decorated) == ("plan(3)", True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("""
            class Thing: pass
            def plan():
                yield Thing()
         """, r"'Thing', which plan uses, is the class Thing.*installed module"),
        ("""
            handle = open("/dev/null")
            def plan():
                yield handle.read()
         """, r"'handle', which plan uses, is a TextIOWrapper.*inside the plan"),
        ("""
            def plan():
                yield from scan(samx, -1, 1, 3)
         """, r"'scan', which plan uses, is the shell's scan.*yield from bp\.scan"),
        ("""
            LENGTH = 3
            def plan():
                yield LENGHT
         """, r"plan uses 'LENGHT', which is not defined.*did you mean LENGTH"),
        ("""
            made = (n for n in [1])
            def plan():
                yield from made
            next(made)
         """, r"has begun already"),
        ("""
            loop = []
            loop.append(loop)
            def plan():
                yield loop
         """, r"'loop', which plan uses, contains itself"),
        ("""
            class Thing: pass
            def make(thing):
                def inner():
                    yield thing
                return inner
            plan = make(Thing())
         """, r"'thing', which inner has from around it, is a Thing"),
        ("""
            M = 3
            axes = [samx]
            def plan():
                yield axes, M
         """, r"'M' of its own"),
    ],
)  # fmt: skip
def test_what_cannot_travel_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        values_of(text)


def test_a_plan_without_text_is_refused() -> None:
    here: dict[str, Any] = {"scan": typed}
    exec("def plan():\n    yield 1", here)  # no cell, no file
    with pytest.raises(InputError, match=r"the text of plan is not known.*in a cell"):
        sent(here["plan"](), here)


def test_an_error_there_is_told_with_the_line_that_was_typed_here() -> None:
    here = typed("""
        def inner(n):
            return 1 / n
        def plan(n):
            yield 1
            yield inner(n)
    """)
    source = sent(here["plan"](0), here)
    with pytest.raises(ZeroDivisionError) as caught:
        list(made(source))
    assert where_in(source, caught.value.__traceback__).endswith("line 3: return 1 / n")


def test_the_edition_follows_the_text_and_not_the_call() -> None:
    def edition(text: str, call: Callable[[dict[str, Any]], Any]) -> str:
        here = typed(text)
        return sent(call(here), here).edition

    first = "def plan(n):\n    yield n\n"
    assert edition(first, lambda h: h["plan"](1)) == edition(first, lambda h: h["plan"](2))
    assert edition(first, lambda h: h["plan"](1)) != edition(
        first.replace("yield n", "yield n + 1"), lambda h: h["plan"](1)
    )
