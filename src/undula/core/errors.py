"""The one family of errors: what went wrong, where, and what to do now.

Every error that a user may meet is an `UndulaError`. Its `category` is a stable word that programs
may test. Across the bus it travels as an `ErrorReport` message, never as a pickled traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


def with_remedy(what: str, remedy: str) -> str:
    """What is wrong, and what to do now, as sentences.

    What comes from further inside has its own remedy, which is nearer to the cause: it stays.

    >>> print(with_remedy("there is no device smax", "did you mean samx?"))
    there is no device smax. Remedy: did you mean samx?
    >>> print(with_remedy("cam: 7 is no name. Remedy: use letters.", "look at the file"))
    cam: 7 is no name. Remedy: use letters.
    """
    if "Remedy: " in what:
        return what
    what, remedy = what.rstrip(" ."), remedy.rstrip(" .")  # a driver's own words
    if remedy.startswith("did you mean") and "?" not in remedy:
        remedy += "?"
    stop, end = ("" if text.endswith("?") else "." for text in (what, remedy))
    return f"{what}{stop} Remedy: {remedy}{end}"


class UndulaError(Exception):
    """Root of all errors meant for people.

    Args:
        what: one sentence that names what failed, without a full stop.
        remedy: what the reader can do now.
        device: the device concerned, when there is one.
        where: file and line, endpoint, or any other place.

    >>> print(LimitError("31.2 mm is above 30.0 mm", remedy="choose -30..30 mm", device="samx"))
    [samx] 31.2 mm is above 30.0 mm. Remedy: choose -30..30 mm.
    """

    category: ClassVar[str] = "error"

    def __init__(
        self, what: str, *, remedy: str, device: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.device = device
        self.where = where
        self.details: list[str] = []
        """Every fault on a line of its own, where there may be several."""

    def __str__(self) -> str:
        if self.details:
            return "\n".join(self.details)
        place = "".join(f"[{p}] " for p in (self.where, self.device) if p)
        return with_remedy(f"{place}{self.what}", self.remedy)


class ConfigError(UndulaError):
    """A configuration file or value is wrong; nothing was changed."""

    category = "config"


class InputError(UndulaError):
    """A request is wrong in itself: unknown name, wrong type, missing argument.

    `parts` has each fault by itself, where one value has several: its place in the value, what, and
    the remedy.
    """

    category = "input"
    parts: Sequence[tuple[str, str, str]] = ()


class LimitError(UndulaError):
    """A target lies outside the limits of an axis."""

    category = "limits"


class BusyError(UndulaError):
    """Somebody else uses the thing; the message names the run and its owner."""

    category = "busy"


class StaleError(UndulaError):
    """An edit of something that others have changed since its author looked; nothing was done."""

    category = "stale"


class DeviceError(UndulaError):
    """A device refused, failed or did not arrive."""

    category = "device"


class TimeoutUndulaError(UndulaError):
    """A deadline passed; the message names what was waited for."""

    category = "timeout"


class OutcomeUnknownError(UndulaError):
    """The reply was lost: the request may or may not have been carried out."""

    category = "outcome_unknown"


class BusError(UndulaError):
    """The broker cannot be reached, refuses, or was asked something it must not do."""

    category = "bus"


class WireError(UndulaError):
    """A payload is not what its endpoint carries."""

    category = "wire"


class StorageError(UndulaError):
    """A file or folder cannot be written or read."""

    category = "storage"


class ServiceError(UndulaError):
    """A process of the beamline is not there or did not become ready."""

    category = "service"


class AccessError(UndulaError):
    """Somebody is not known here, or may not do this; the message says which role it needs."""

    category = "access"


CATEGORIES: dict[str, type[UndulaError]] = {
    cls.category: cls
    for cls in (
        UndulaError,
        ConfigError,
        InputError,
        LimitError,
        BusyError,
        StaleError,
        DeviceError,
        TimeoutUndulaError,
        OutcomeUnknownError,
        BusError,
        WireError,
        StorageError,
        ServiceError,
        AccessError,
    )
}
