"""The link: how frames get from one node to the next, in one process or between two of a host."""

from undula.pipes.link.inlet import Inlet
from undula.pipes.link.memory import MemoryInlet, MemoryOutlet
from undula.pipes.link.outlet import Outlet
from undula.pipes.link.ports import Loan, Receiving, Sending

__all__ = ["Inlet", "Loan", "MemoryInlet", "MemoryOutlet", "Outlet", "Receiving", "Sending"]
