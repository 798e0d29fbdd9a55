"""Sub-room: paths. The trajectories that `trajectory` has not: one module a kind of curve.

In: names and numbers. Out: `Trajectory`. Pure; no device, no message.
"""
