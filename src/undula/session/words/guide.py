"""`help` at a prompt: what one types, on half a screen of 80 columns.

In: nothing, or a thing. Out: the guide, or what the thing says of itself.
"""

from __future__ import annotations

import pydoc
import sys
from typing import Any

GUIDE = """\
look     wa   wm samx   lsdev   dev   samx
move     umv samx 3   umvr samx 0.1   stop
scan     ascan samx -1 1 20 0.1   ct 1   scan(samx, -1, 1, 21, time=0.1)
then     peak   cen   goto_peak   runs   runs[-1]   fit()
queue    queue   queue.add("ct", 1)   pause   resume   abort
say      newproposal p1234   newsample Fe2O3   md["temperature_K"] = 12.5
Bluesky  RE(bp.scan([D.diode], M.samx, -1, 1, 21))
keys     Tab completes, ascan? explains; Ctrl-C pauses a scan and stops a move;
         Up and Ctrl-R find earlier lines; Ctrl-D leaves
"""


def guide(*what: Any) -> None:
    """help, help(scan): what can be typed here, or what a thing says of itself."""
    sys.stdout.write(pydoc.plain(pydoc.render_doc(what[0])) if what else GUIDE)
