"""Undula: experiment control for synchrotron beamlines.

The rooms of the house and what each may import are described in `docs/walk.md`.
"""

__version__ = "0.1.0"
