"""Room: devices. All faults of a device file at once."""

from __future__ import annotations

from dataclasses import dataclass

from undula.core.errors import ConfigError, with_remedy


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a file."""

    file: str
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return with_remedy(f"{place}: {self.what}", self.remedy)


class DeviceFileError(ConfigError):
    """A device file is wrong; `faults` holds every fault, nothing was touched."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(
            f"{first.what}{more}", remedy=first.remedy, where=f"{first.file}:{first.line}"
        )
        self.details = [str(fault) for fault in faults]
