"""Plans at the prompt: `bp`, `bps`, `bpp`, `RE`, plan files; how a plan typed here travels.

In: what a person typed. Out: a plan's name and arguments, or its source, for `client`. Bluesky is
not imported: plans run in the engine.
"""
