"""An electrometer that speaks SCPI over TCP: counts a current for a time, applies a bias voltage.

Source: IEEE 488.2-1992 (`*IDN?`, `*CLS`, `*OPC?`) and SCPI-1999 (`SYSTem:ERRor?`, `SENSe:CURRent:
APERture`, `SOURce:VOLTage`, `INITiate`, `FETCh?`, `ABORt`). It has never met its hardware.
"""

from __future__ import annotations

from undula.core.errors import DeviceError
from undula.devices.driver import Counter, signal


class ScpiElectrometer(Counter):
    """Current of one input, with bias voltage. `deviceConfig`: `address: HOST:5025`."""

    @signal(unit="A", kind="hinted", precision=12)
    def current(self) -> float:
        """What was counted last."""
        return float(self.link.ask("FETC?"))

    @signal(unit="V", kind="config", limits=(-500.0, 500.0))
    def bias(self) -> float:
        """Bias voltage."""
        return float(self.link.ask("SOUR:VOLT?"))

    @bias.setter
    def set_bias(self, volts: float) -> None:
        """Apply it."""
        self.command(f"SOUR:VOLT {volts:g}")

    @signal(kind="config")
    def identity(self) -> str:
        """Maker, model, serial number, firmware."""
        return self.link.ask("*IDN?")

    def open(self) -> None:
        """Connect; errors of the past are forgotten, and there is a first value to read."""
        super().open()
        self.link.tell("*CLS")
        self.command("INIT")
        self.link.ask("*OPC?")

    def begin_count(self, count_time_s: float) -> None:
        """Integrate for so long; `*OPC` marks the end in the event status register."""
        self.link.tell("*CLS")
        self.command(f"SENS:CURR:APER {count_time_s:g}")
        self.link.tell("INIT;*OPC")

    def counted(self) -> bool:
        """Bit 0 of the event status register: the operation is complete."""
        return bool(int(self.link.ask("*ESR?")) & 1)

    def halt(self) -> None:
        """Give the count up."""
        self.link.tell("ABOR")

    def command(self, text: str) -> None:
        """Send it. Raises: DeviceError with the instrument's own words."""
        self.link.tell(text)
        said = self.link.ask("SYST:ERR?")
        if int(said.split(",")[0]) != 0:
            raise DeviceError(f"it refuses {text!r}: {said}", remedy="see its manual")
