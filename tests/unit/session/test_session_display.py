"""What a person sees: 80 columns, no colour unless at a terminal."""

from __future__ import annotations

import io
import math

import pytest

from undula.analysis.view import RunView
from undula.client import Step
from undula.messages import RunDocument, RunOpened
from undula.session.display import REDRAW_S, TextDisplay
from undula.session.plot import curve, heat_map, scatter_map
from undula.session.table import TableText, plot_lines, progress_text, summary_lines

KEYS = {
    "samx": {"dtype": "number", "shape": [], "units": "mm"},
    "diode": {"dtype": "number", "shape": [], "units": "counts"},
}
HINTS = {"dimensions": [[["samx"], "primary"]]}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steps(points: int = 5, total: int = 5) -> list[Step]:
    start = {"uid": "r", "time": 100.0, "num_points": total, "detectors": ["diode"], "hints": HINTS}
    found = [("start", start), ("descriptor", {"uid": "p", "name": "primary", "data_keys": KEYS})]
    for i in range(points):
        data = {"samx": i / 2, "diode": [0.0, 1.0, 4.0, 1.0, 0.0][i % 5]}
        event = {"descriptor": "p", "seq_num": i + 1, "time": 101.0 + i, "data": data}
        found.append(("event", event))
    found.append(("stop", {"time": 106.0, "exit_status": "success", "reason": ""}))
    opened = RunOpened(
        uid="r", number=7, plan_name="scan", command="scan samx 0 2 5", path="d/7.nxs", time=100.0
    )
    return [Step(opened=opened)] + [
        Step(document=RunDocument(index=i, name=name, doc=doc))
        for i, (name, doc) in enumerate(found, 1)
    ]


def shown(out: io.StringIO, plot: bool = False) -> str:
    display = TextDisplay(out, plot=plot)
    for step in steps():
        display.step(step)
    display.close()
    return out.getvalue()


def test_a_scan_written_to_a_file() -> None:
    assert (
        shown(io.StringIO())
        == """\
run 7: scan samx 0 2 5
 point        samx       diode
              (mm)    (counts)
     1           0           0
     2      0.5000           1
     3           1           4
     4      1.5000           1
     5           2           0
run 7: success, 5 of 5 points, 6.0 s
  peak    diode = 4 counts at samx = 1 mm
  along samx: com 1 mm, cen 1 mm, fwhm 0.66667 mm
  file    d/7.nxs
"""
    )


def test_a_plot_fits_80_columns_and_has_no_colour_in_a_file() -> None:
    text = shown(io.StringIO(), plot=True)

    assert "diode (counts)" in text
    assert "samx (mm)" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_color_is_heard_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[36m" in shown(Terminal(), plot=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in shown(Terminal(), plot=True)


def test_a_thousand_points_are_drawn_in_few_redraws_at_a_terminal() -> None:
    out, now_s = Terminal(), 0.0
    display = TextDisplay(out, plot=True, clock=lambda: now_s)

    for step in steps(points=5000, total=5000):
        now_s += 0.001
        display.step(step)

    redraws = out.getvalue().count("\x1b[J")
    assert 2 < redraws <= now_s / REDRAW_S + 2
    assert "points not shown" in out.getvalue()


class SlowTerminal(Terminal):
    """A terminal over a slow line: a redraw takes longer than from one to the next."""

    now_s = 0.0

    def flush(self) -> None:
        self.now_s += 1.5 * REDRAW_S


def test_a_slow_terminal_does_not_hold_up_the_points() -> None:
    out = SlowTerminal()
    display = TextDisplay(out, plot=True, clock=lambda: out.now_s)
    for step in steps(points=100, total=100):
        out.now_s += 0.001
        display.step(step)
    redraws = out.getvalue().count("\x1b[J")
    assert redraws <= 5, "each point waited for the terminal"


def test_progress_has_a_bar_and_the_time_left() -> None:
    view = RunView()
    for step in steps(points=2)[:-1]:
        if step.document is not None:
            view.feed(step.document.name, step.document.doc)

    assert progress_text(view, 102.0) == "█████████░░░░░░░░░░░░░░░ 2/5  3.0 s left"


def test_columns_that_do_not_fit_are_named() -> None:
    view = RunView()
    keys = {f"detector_{i}": {"dtype": "number", "shape": []} for i in range(9)}
    view.feed("start", {"uid": "r", "time": 0.0})
    view.feed("descriptor", {"uid": "p", "name": "primary", "data_keys": keys})

    head = TableText(view.columns).head()

    assert max(map(len, head)) <= 80
    assert head[-1] == "not shown: detector_6, detector_7, detector_8"


def test_a_failed_run_says_why() -> None:
    view = RunView(3)
    view.feed("start", {"uid": "r", "time": 0.0, "num_points": 9})
    view.feed("stop", {"time": 75.0, "exit_status": "fail", "reason": "samx did not arrive"})

    assert summary_lines(view, 0.0) == [
        "run 3: fail, 0 of 9 points, 1 min 15 s",
        "  reason  samx did not arrive",
    ]


def test_a_map_puts_the_first_line_at_the_bottom_and_leaves_gaps_blank() -> None:
    lines = heat_map([[0, 1], [2, math.nan]], title="d", width=19, x_range=(0, 1), y_range=(5, 6))

    assert lines == [
        "          d  0 to 2",
        "        6│@@@@",
        "        5│....++++",
        "         └0      1",
    ]


@pytest.mark.parametrize("y", [[math.nan, math.nan], [1.0, 1.0], [0.0, math.nan]])
def test_odd_curves_are_plotted_all_the_same(y: list[float]) -> None:
    assert curve([0.0, 1.0], y, title="d")


def _spiral(points: int) -> tuple[list[float], list[float], list[float]]:
    turns = [(2.0 * math.sqrt(i / points), 2.4 * i) for i in range(points)]
    xs, ys = [r * math.cos(a) for r, a in turns], [r * math.sin(a) for r, a in turns]
    return xs, ys, [math.exp(-(x**2 + y**2)) for x, y in zip(xs, ys, strict=True)]


@pytest.mark.parametrize("points", [30, 200, 20_000])
def test_a_spiral_is_drawn_as_a_map_that_is_highest_in_its_middle(points: int) -> None:
    xs, ys, values = _spiral(points)
    title, *lines, foot = scatter_map(xs, ys, values, title="diode", x_label="samx")
    assert title.strip().startswith("diode  ")
    assert "samx" in foot
    assert max(map(len, lines)) <= 80
    pictures = [line[10:].ljust(64) for line in lines]
    assert all(row[c] == " " for row in (pictures[0], pictures[-1]) for c in (0, 63))  # no point
    assert "@" in pictures[7][28:36] + pictures[8][28:36]
    assert "@" not in "".join(pictures[:4] + pictures[-4:])
    assert " " not in pictures[8][4:60]


def test_a_live_spiral_is_a_map_and_a_diagonal_a_curve() -> None:
    def lines(xs: list[float], ys: list[float]) -> list[str]:
        view = RunView(1)
        keys = {k: {"dtype": "number", "shape": []} for k in ("samx", "samy", "diode")}
        hints = {"dimensions": [[["samx", "samy"], "primary"]]}
        view.feed("start", {"uid": "r", "time": 0.0, "motors": ["samx", "samy"], "hints": hints,
                            "shape": [len(xs)]})  # fmt: skip
        view.feed("descriptor", {"uid": "p", "name": "primary", "data_keys": keys})
        for n, (x, y) in enumerate(zip(xs, ys, strict=True), 1):
            data = {"samx": x, "samy": y, "diode": x + y}
            view.feed("event", {"descriptor": "p", "seq_num": n, "time": n, "data": data})
        return plot_lines(view)

    xs, ys, _ = _spiral(40)
    assert lines(xs, ys)[0].strip().startswith("diode over samy and samx")
    assert lines(xs, xs)[0].strip() == "diode"


def test_two_points_have_no_centre_of_mass_and_no_width() -> None:
    view = RunView(1)
    for step in steps(2, 2):
        if step.document is not None:
            view.feed(step.document.name, step.document.doc)
    assert "along samx" not in " ".join(summary_lines(view, 0.0))


def test_the_table_has_the_points_of_rows_and_not_their_numbers() -> None:
    out = io.StringIO()
    display, found = TextDisplay(out, plot=False), steps(4, 3)
    turns = {"uid": "s", "name": "steering", "data_keys": {}}
    again = {"action": "retaken", "point": 2, "row": 3, "next": 2}
    on = {"action": "resumed", "point": 2, "row": 4, "next": 3}
    turned = [
        ("event", {"descriptor": "s", "seq_num": n, "time": 102.0,
                   "data": {f"steering_{key}": value for key, value in turn.items()}})
        for n, turn in enumerate((again, on), 1)
    ]  # fmt: skip
    told = [Step(document=RunDocument(index=9, name=name, doc=doc))
            for name, doc in (("descriptor", turns), *turned)]  # fmt: skip
    for step in [*found[:5], *told, *found[5:]]:
        display.step(step)
    display.close()
    rows = [line.split()[0] for line in out.getvalue().splitlines()[3:7]]
    assert rows == ["1", "2", "2", "3"]
    assert "3 of 3 points, 1 retaken" in out.getvalue()
