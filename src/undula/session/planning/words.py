"""What to write in a plan instead of a command of the shell. Pure."""

from __future__ import annotations

_SCANS = {
    "scan": "yield from bp.scan([D.diode], M.samx, -1, 1, 21)",
    "rel_scan": "yield from bp.rel_scan([D.diode], M.samx, -1, 1, 21)",
    "list_scan": "yield from bp.list_scan([D.diode], M.samx, [0, 1, 3])",
    "grid_scan": "yield from bp.grid_scan([D.diode], M.samy, 0, 1, 5, M.samx, 0, 1, 9)",
    "count": "yield from bp.count([D.diode], num=10)",
    "ascan": "yield from bp.scan([D.diode], M.samx, 0, 1, 11); the last number counts points",
    "dscan": "yield from bp.rel_scan([D.diode], M.samx, -1, 1, 11); the last number counts points",
    "mesh": "yield from bp.grid_scan([D.diode], M.samy, 0, 1, 6, M.samx, 0, 1, 11)",
    "ct": "yield from bp.count([D.diode])",
    "timescan": "yield from bp.count([D.diode], num=100, delay=0.1)",
    "mv": "yield from bps.mv(M.samx, 1)",
    "umv": "yield from bps.mv(M.samx, 1)",
    "mvr": "yield from bps.mvr(M.samx, 0.1)",
    "umvr": "yield from bps.mvr(M.samx, 0.1)",
    "read": "value = yield from bps.rd(D.diode)",
    "wm": "value = yield from bps.rd(M.samx)",
    "wa": "value = yield from bps.rd(M.samx)",
    "pause": "yield from bps.pause()",
    "RE": "yield from what RE would run",
    "run": "yield from bp.NAME(...)",
}
_USUAL = "do that before or after the plan, and give it the values as arguments"


def instead(name: str) -> str:
    """What to write in a plan where `name`, a command of the shell, stands.

    >>> instead("umv")
    'in a plan write: yield from bps.mv(M.samx, 1)'
    """
    return f"in a plan write: {_SCANS[name]}" if name in _SCANS else _USUAL
