"""The tours of the documentation, typed line by line at a real terminal of a real beamline.

Slow for a reason: each tour brings its own beamline up and takes it down, by its own commands, and
types some fifty lines in between.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from undula.testing.beamline import short_folder
from undula.testing.tour import Player, Step, joined, pattern, steps_of

TUTORIALS = Path(__file__).parents[3] / "docs" / "tutorials"
TOURS = ("spec-bliss.md", "bluesky.md", "own-node.md")


@pytest.fixture
def player() -> Iterator[Player]:
    """Anna on a host of her own, and what she has started taken down."""
    with short_folder("ut-") as home:
        (home / "run").mkdir(mode=0o700)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": path}
        made = Player({**env, "LOGNAME": "anna", "USER": "anna"})
        made.env.pop("XDG_STATE_HOME", None)
        try:
            yield made
        finally:
            made.close()
            subprocess.run(["undula", "down"], env=made.env, check=False, capture_output=True)


@pytest.mark.timeout(600)  # some fifty lines, each with a deadline of its own
@pytest.mark.parametrize("tour", TOURS)
def test_every_line_of_the_tour_does_what_the_page_shows(player: Player, tour: str) -> None:
    for step in steps_of(TUTORIALS / tour):
        player.play(step)


@pytest.mark.parametrize("tour", TOURS)
def test_a_tour_numbers_its_lines_as_the_prompt_does(tour: str) -> None:
    numbers = [step.number for step in steps_of(TUTORIALS / tour) if step.kind == "cell"]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("shows", "shown", "fits"),
    [
        (["samx 3 mm"], ["samx 3 mm"], True),
        (["samx 3 mm"], ["samx 3.1 mm"], False),
        ([], ["samx 3 mm"], False),
        (["samx ... mm"], ["samx 3.1 mm"], True),
        (["samx 0.... mm"], ["samx 0.31 mm"], True),
        (["samx ... mm"], ["samx 3 mm", "samy 3 mm"], False),
        (["run 1", "...", "end"], ["run 1", "end"], True),
        (["run 1", "...", "end"], ["run 1", "a", "b", "end"], True),
        (["run 1", "...", "end"], ["run 1", "a", "end", "more"], False),
        (["Out[3]: 5"], ["Out[17]: 5"], True),
        (["Out[3]: 5"], ["Out[17]: 6"], False),
    ],
)
def test_what_is_shown_is_compared(shows: list[str], shown: list[str], fits: bool) -> None:
    assert bool(pattern(shows).match(joined(shown))) is fits


def test_a_page_with_a_block_that_nobody_plays_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\nundula up\n```\n")
    with pytest.raises(ValueError, match="line 1: no player for bash"):
        steps_of(page)


def test_a_line_that_shows_something_else_fails_with_page_line_and_both_texts(
    tmp_path: Path, player: Player
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Look:\n\n```console\n$ echo here\nthere\n```\n")
    (step,) = steps_of(page)
    assert step == Step("shell", "echo here", "", "page.md, line 4", shows=["there"])
    with pytest.raises(AssertionError, match=r"page.md, line 4: echo here(.|\n)*there(.|\n)*here"):
        player.play(step)
