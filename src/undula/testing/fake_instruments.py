"""Instruments that talk in lines over TCP on loopback, for tests: an electrometer and an ESP axis.

In: questions. Out: answers, written from the public descriptions (IEEE 488.2-1992, SCPI-1999, and
the ESP300 user's manual) apart from our drivers. `hang` lets them go silent, `end` hang up.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque


class FakeInstrument:
    """Serves any number of connections; subclasses answer line by line."""

    terminator = b"\n"

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.address = f"127.0.0.1:{self.port}"
        self.hangs = threading.Event()
        self.heard: list[str] = []
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="fake", daemon=True)]
        self._threads[0].start()

    def answer(self, line: str) -> str | None:
        """The answer to a line; None when there is none."""
        raise NotImplementedError

    def hang(self, silent: bool = True) -> None:
        """Answer no more, or again."""
        if silent:
            self.hangs.set()
        else:
            self.hangs.clear()

    def end(self) -> None:
        """Hang up, as when it is switched off."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(5.0)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while more := connection.recv(4096):
                rest += more
                *lines, rest = rest.split(self.terminator)
                for line in lines:
                    self._one(connection, line.decode("ascii").strip())

    def _one(self, connection: socket.socket, line: str) -> None:
        if self.hangs.is_set():
            return
        with self._lock:
            self.heard.append(line)
            said = self.answer(line)
        if said is not None:
            connection.sendall(said.encode("ascii") + self.terminator)


class FakeElectrometer(FakeInstrument):
    """Counts 1 nA for each volt of bias, plus 1 pA; 10 V at most."""

    def __init__(self, port: int = 0) -> None:
        self._volts, self._aperture_s, self._fetched = 0.0, 0.001, 9.91e37
        self._ready, self._marks = 0.0, False
        self._errors: deque[str] = deque()
        super().__init__(port)

    def answer(self, line: str) -> str | None:
        """Several commands may stand in one line, separated by semicolons."""
        said = [s for s in map(self._single, line.split(";")) if s is not None]
        return ";".join(said) if said else None

    def _single(self, command: str) -> str | None:
        word, _, value = command.strip().upper().partition(" ")
        over = time.monotonic() >= self._ready
        if over and self._ready:
            self._fetched, self._ready = self._volts * 1e-9 + 1e-12, 0.0
        fixed = {
            "*IDN?": "FAKE,ELECTROMETER,0,1.0",
            "*OPC?": "1",
            "*ESR?": str(int(over and self._marks)),
            "SYST:ERR?": self._errors[0] if self._errors else '0,"No error"',
            "FETC?": f"{self._fetched:E}",
            "SOUR:VOLT?": f"{self._volts:E}",
        }
        if word in fixed:
            if word == "SYST:ERR?" and self._errors:
                self._errors.popleft()
            return fixed[word]
        self._command(word, value)
        return None

    def _command(self, word: str, value: str) -> None:
        match word:
            case "*CLS":
                self._errors.clear()
                self._marks = False
            case "*OPC":
                self._marks = True
            case "INIT":
                self._ready = time.monotonic() + self._aperture_s
            case "ABOR":
                self._ready = 0.0
            case "SENS:CURR:APER":
                self._aperture_s = float(value)
            case "SOUR:VOLT" if abs(float(value)) > 10.0:
                self._errors.append('-222,"Data out of range"')
            case "SOUR:VOLT":
                self._volts = float(value)
            case _:
                self._errors.append('-113,"Undefined header"')


class FakeEsp(FakeInstrument):
    """One axis, from -25 to 25 mm, at 20 mm/s until told otherwise."""

    terminator = b"\r"

    def __init__(self, port: int = 0) -> None:
        self._from = self._to = self._began = 0.0
        self._speed = 20.0
        self.enabled = True
        self._errors: deque[str] = deque()
        super().__init__(port)

    def _at(self) -> float:
        gone, distance = (time.monotonic() - self._began) * self._speed, self._to - self._from
        return self._to if gone >= abs(distance) else self._from + gone * (distance > 0 or -1)

    def answer(self, line: str) -> str | None:
        """Axis number, two letters, then a value or a question mark."""
        if line == "TB?":
            return self._errors.popleft() if self._errors else "0, 1, NO ERROR DETECTED"
        word, value = line[1:3], line[3:]
        asked = {
            "TP": f"{self._at():.6f}",
            "MD?": str(int(self._at() == self._to)),
            "VA?": f"{self._speed:g}",
            "SL?": "-25.0",
            "SR?": "25.0",
        }
        if word + value in asked:
            return asked[word + value]
        match word:
            case "PA" if not self.enabled:
                self._errors.append("108, 2, MOTOR NOT ENABLED")
            case "PA":
                self._from, self._to, self._began = self._at(), float(value), time.monotonic()
            case "ST":
                self._from = self._to = self._at()
            case "VA":
                self._from, self._began, self._speed = self._at(), time.monotonic(), float(value)
            case _:
                self._errors.append("6, 3, COMMAND DOES NOT EXIST")
        return None
