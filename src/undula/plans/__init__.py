"""Room: plans. Generators of Bluesky messages and their geometry.

In: devices and numbers. Out: `Msg`. Called by: `scans`. Imports: bluesky, scanspec, `core`.
Not here: checking limits, running (`scans`).
"""
