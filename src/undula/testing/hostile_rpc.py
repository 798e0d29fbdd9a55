"""Hostile requests: what the RPC must refuse in words, and what it must outlive. One corpus.

`MALFORMED` must be answered with an error; `ODD` is well formed and strange: it must be answered,
whatever the answer. `RAW` is sent to the socket without ZeroMQ: nobody answers, and nobody dies.
"""

from __future__ import annotations

import random
import struct

_GOOD = b'{"typ": "dev/echo", "value": 1}'

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   \n",
    "zeros": b"\x00" * 64,
    "text": b"hello",
    "half": _GOOD[: len(_GOOD) // 2],
    "twice": _GOOD + _GOOD,
    "trailing comma": b'{"typ": "dev/echo",}',
    "single quotes": b"{'typ': 'dev/echo'}",
    "comment": b'{"typ": "dev/echo" /* x */}',
    "bare word": b"{typ: 1}",
    "list": b'["dev/echo"]',
    "number": b"7",
    "null": b"null",
    "true": b"true",
    "string": b'"dev/echo"',
    "utf-16": '{"typ": "dev/echo"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + _GOOD,
    "bad utf-8": b'{"typ": "dev/echo", "value": "\xff\xfe"}',
    "overlong utf-8": b'{"typ": "dev/echo", "value": "\xc0\xaf"}',
    "lone surrogate": b'{"typ": "dev/echo", "value": "\\ud800"}',
    "lone surrogate as key": b'{"typ": "dev/echo", "value": {"\\udfff": 1}}',
    "control character": b'{"typ": "dev/echo", "value": "\x01"}',
    "NaN": b'{"typ": "dev/echo", "value": NaN}',
    "Infinity": b'{"typ": "dev/echo", "value": -Infinity}',
    "beyond all numbers": b'{"typ": "dev/echo", "value": 1e999}',
    "endless integer": b'{"typ": "dev/echo", "value": ' + b"9" * 100_000 + b"}",
    "key twice": b'{"typ": "dev/echo", "value": 1, "value": 2}',
    "typ twice": b'{"typ": "dev/echo", "typ": "dev/keys"}',
    "inner key twice": b'{"typ": "dev/echo", "value": {"a": 1, "a": 2}}',
    "no typ": b"{}",
    "typ is null": b'{"typ": null}',
    "typ is a list": b'{"typ": ["dev/echo"]}',
    "typ is empty": b'{"typ": ""}',
    "typ is a path": b'{"typ": "../../etc/passwd"}',
    "typ with three words": b'{"typ": "dev/keys/x"}',
    "typ is private": b'{"typ": "dev/__class__"}',
    "typ is an attribute": b'{"typ": "dev/_devices"}',
    "typ is long": b'{"typ": "' + b"a" * 10_000 + b'"}',
    "typ with a newline": b'{"typ": "dev/echo\\n"}',
    "unknown verb": b'{"typ": "no/such"}',
    "unknown field": b'{"typ": "dev/echo", "nothing": 1}',
    "field called self": b'{"typ": "dev/echo", "self": 1}',
    "field called ask": b'{"typ": "dev/echo", "ask": {"role": 3}}',
    "req is a list": b'{"typ": "dev/echo", "req": []}',
    "req is true": b'{"typ": "dev/echo", "req": true}',
    "req is long": b'{"typ": "dev/echo", "req": "' + b"r" * 1000 + b'"}',
    "token is a number": b'{"typ": "dev/echo", "token": 1}',
    "token is long": b'{"typ": "dev/echo", "token": "' + b"t" * 100_000 + b'"}',
    "deep lists": b'{"typ": "dev/echo", "value": ' + b"[" * 500 + b"]" * 500 + b"}",
    "very deep lists": b'{"typ": "dev/echo", "value": ' + b"[" * 200_000,
    "deep objects": b'{"typ": "dev/echo", "value": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
    "over-long": b'{"typ": "dev/echo", "value": "' + b"x" * (1 << 20) + b'"}',
    "too many values": b'{"typ": "dev/echo", "value": [' + b"[]," * 300_000 + b"[]]}",
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93.",
}

ODD: dict[str, bytes] = {
    "many small lists": b'{"typ": "dev/echo", "value": [' + b"[]," * 90_000 + b"[]]}",
    "many keys": b'{"typ": "dev/echo", "value": {'
    + b",".join(b'"%d":0' % n for n in range(40_000))
    + b"}}",
    "null characters": b'{"typ": "dev/echo", "value": "\\u0000"}',
    "escape sequences": b'{"typ": "dev/echo", "value": "\\u001b]0;gone\\u0007"}',
    "right to left": '{"typ": "dev/echo", "value": "\u202e\u2066"}'.encode(),
    "smallest numbers": b'{"typ": "dev/echo", "value": [1e-999, -0.0, 5e-324]}',
    "large integer": b'{"typ": "dev/echo", "value": ' + b"9" * 4000 + b"}",
    "prototype": b'{"typ": "dev/echo", "value": {"__proto__": {}, "__class__": 1}}',
    "largest request": b'{"typ": "dev/echo", "value": "' + b"x" * ((1 << 20) - 40) + b'"}',
}

_GREETING = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + b"\x00" * 48

RAW: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"\xff",
    "half a greeting": _GREETING[:20],
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "json without ZeroMQ": _GOOD + b"\n",
    "zeros": b"\x00" * 4096,
    "greeting, then noise": _GREETING + b"\xaa" * 4096,
    "a frame of 2**63 bytes": _GREETING + b"\x06" + struct.pack(">Q", 1 << 63),
    "a frame of 1 GB": _GREETING + b"\x02" + struct.pack(">Q", 1 << 30) + b"x" * 1000,
    "another mechanism": _GREETING.replace(b"NULL", b"CURV"),
}


def mutated(rng: random.Random) -> bytes:
    """A request with some faults: bytes changed, cut, doubled, or mixed from the corpus."""
    pieces = [_GOOD, *MALFORMED.values()]
    payload = bytearray(rng.choice([piece for piece in pieces if len(piece) < 20_000]))
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(payload) + 1)
        match rng.randrange(4):
            case 0:
                payload[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 1:
                del payload[at : at + rng.randrange(1, 9)]
            case 2:
                payload[at:at] = rng.choice(
                    [b'"', b"{", b"}", b"[", b"]", b"\\u", b",", b":", b"9"]
                )
            case _:
                payload[at:at] = payload[: rng.randrange(1, 200)]
    return bytes(payload[:100_000])
