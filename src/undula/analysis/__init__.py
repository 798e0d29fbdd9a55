"""Room: analysis. Fits, peak statistics, edges, backgrounds: numbers in, results out.

In: positions and values, the name of a model. Out: `FitResult`, `PeakStats`, `Edge`. Called by:
`writer` (live fits), `client`, `session`. Fits run in a process of their own (`fitting`), the only
place that imports lmfit. Not here: where the numbers come from, where results go.
"""
