"""A trajectory as a picture for the docs: SVG, without any library. Pure.

In: a `StepForm`. Out: the text of an SVG file, the same for the same form.
"""

from __future__ import annotations

from collections.abc import Sequence

from undula.plans.form import StepForm

WIDTH, HEIGHT, EDGE = 260, 180, 22
LINE, DOT, FRAME = "#3b82b8", "#d9782b", "#8a8f98"
MOST_DOTS = 400


def svg(form: StepForm) -> str:
    """The path of a form: of two axes as they lie, else each axis against the number of the point.

    Raises: ValueError for a form without a trajectory.
    """
    path = form.trajectory
    if path is None:
        raise ValueError(f"{form.plan} has no trajectory")
    columns = [column.tolist() for column in path.points.T]
    numbers = list(range(1, path.num_points + 1))
    if len(columns) == 2:
        across = 1 if path.is_grid else 0
        lines = [(columns[across], columns[1 - across])]
        names = path.axes[across], path.axes[1 - across]
    else:
        lines = [(numbers, column) for column in columns]
        names = "point", ", ".join(path.axes)
    xs, ys = (_span([v for line in lines for v in line[i]]) for i in (0, 1))
    body = [_drawn(*line, xs, ys) for line in lines]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="10">',
            f"<title>{form.plan}</title>",
            f'<rect x="{EDGE}" y="{EDGE - 12}" width="{WIDTH - EDGE - 8}" '
            f'height="{HEIGHT - 2 * EDGE + 8}" fill="none" stroke="{FRAME}"/>',
            *body,
            _word(WIDTH / 2, HEIGHT - 6, "middle", names[0]),
            _word(EDGE, HEIGHT - 6, "start", f"{xs[0]:.4g}"),
            _word(WIDTH - 8, HEIGHT - 6, "end", f"{xs[1]:.4g}"),
            f'<g transform="translate(10 {HEIGHT / 2:g}) rotate(-90)">'
            + _word(0, 0, "middle", f"{names[1]}, {ys[0]:.4g} to {ys[1]:.4g}")
            + "</g>",
            "</svg>",
            "",
        ]
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _drawn(
    x: Sequence[float], y: Sequence[float], xs: tuple[float, float], ys: tuple[float, float]
) -> str:
    wide, high = WIDTH - EDGE - 20, HEIGHT - 2 * EDGE - 4
    places = [
        (
            EDGE + 6 + (a - xs[0]) / (xs[1] - xs[0]) * wide,
            EDGE - 6 + (ys[1] - b) / (ys[1] - ys[0]) * high,
        )
        for a, b in zip(x, y, strict=True)
    ]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    step = max(1, len(places) // MOST_DOTS)
    size = 2 if len(places) <= 120 else 1.2
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in places[::step])
    first = f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="4" fill="none" '
    return (
        f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="0.8"/>'
        f'<path d="{dots}" stroke="{DOT}" stroke-width="{2 * size:g}" stroke-linecap="round"/>'
        f'{first}stroke="{DOT}"/>'
    )


def _word(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{FRAME}">{text}</text>'
