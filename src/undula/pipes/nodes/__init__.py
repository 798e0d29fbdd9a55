"""Room: pipes. The nodes that are shipped: sources, corrections, statistics, maps, files.

A node is a class on numpy arrays with three verbs, `accumulate(frame)`, `result()` and `clear()`,
declared ports, declared parameters (typed, bounded, changeable while it runs) and a word on what
its output covers: one frame, a window, or all since the start. `base` has what they share, and
`registry` knows them by name; docs/reference/pipe_nodes.md is made from it.

- sources: `simulated` (a detector of any size and rate, with faults on request), `replay` (frames
  of a file or a run).
- one frame in, one out: `correct` (dark, flat, mask), `threshold`, `hits`, `binning`.
- numbers of frames: `rois` (box, circle, polygon), `statistics` (sum, mean, variance, histogram,
  rate), `spots` (centre of mass, peaks, spots), `tracking`, `azimuthal`.
- several inputs: `join` (frame with position), `maps` (one and two dimensions).
- ends: `frame_file` (HDF5), `preview`; and `user_nodes`, what a beamline writes itself.

Not here: how frames travel (`pipes.link`), how nodes are joined and run (graph and runner).
"""
