"""`undula pipes new`: a small graph to begin with, which runs as it is.

In: the path of a file that is not there yet. Out: the file; its own text says what to do with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from undula.cli.output import kind
from undula.core.errors import InputError

TEXT = """\
# A graph to begin with: a made-up camera, a threshold, a region, a sum, a picture.
#   undula pipes check {file}              every fault, each with its line
#   undula pipes run {file} --for 5        then: where every frame went
#   undula pipes list                      what other nodes there are
#   undula pipes show roi                  what one of them takes and gives
nodes:
  det: {{node: simulated, parameters: {{width: 512, height: 512, rate_hz: 10}}}}
  low: {{node: threshold, parameters: {{low: 5}}}}
  roi:
    node: roi
    parameters: {{rois: {{beam: {{shape: circle, x: 256, y: 256, radius: 60}}}}}}
  total: sum
  view: preview
  out: channel
  # file: {{node: frame_file, parameters: {{folder: frames}}}}
edges:
  - det -> low
  - low.frames -> roi
  - det -> total: sample(1/10)
  - det -> view: latest
  - roi.sum -> out
  # - det -> file
"""


@kind
def new(file: Annotated[Path, typer.Argument(help="Where to write it: NAME.yaml.")]) -> None:
    """Write a small graph to begin with, with a made-up camera.

    Example: undula pipes new live.yaml
    """
    if file.exists():
        raise InputError(f"{file} exists", remedy="choose another name, nothing is overwritten")
    if not file.absolute().parent.is_dir():
        raise InputError(f"there is no folder {file.parent}", remedy="make it, or choose another")
    file.write_text(TEXT.format(file=file), encoding="utf-8")
    print(f"{file} is written: undula pipes check {file}")
