"""Room: the devices of a beamline. Description (YAML), registry, drivers (sim/, epics/).

In: a device file. Out: connected Bluesky-protocol objects and what is known about them.
Called by: `scans`. Imports: ophyd, `messages`, `core`. Not here: scans, the bus.
"""
