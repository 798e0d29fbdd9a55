"""What the scan queue needs of a sample changer; docs/how-to/queue.md says how to write one.

The queue asks the changer what is mounted and what it does, each time: it never remembers. Its
questions may be coroutines, as in asynchronous devices. Twin: `devices.sim.SimSampleChanger`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol, runtime_checkable

ChangerState = Literal["idle", "mounting", "unmounting", "fault"]


@runtime_checkable
class SampleChanger(Protocol):
    """Puts samples into the beam. Every answer is the hardware's own, not a memory of commands."""

    def samples(self) -> Iterable[str]:
        """Names of the samples that it can mount."""

    def mounted(self) -> str:
        """The sample that is in place; '' for none, and while it is changed."""

    def changer_state(self) -> ChangerState:
        """What it does now. It mounts and unmounts only from `idle`."""

    def changer_fault(self) -> str:
        """What is wrong, in the state `fault`; '' otherwise."""

    def mount(self, sample: str) -> Any:
        """Put a sample in place, another one back first. Returns: a status.

        The status fails where it cannot be done. Raises: InputError, DeviceError.
        """

    def unmount(self) -> Any:
        """Put the mounted sample back; nothing when there is none. Returns: a status."""
