"""The wire format: JSON, strictly. Pure; refuses what is malformed, huge or too deep.

In: bytes of a request. Out: its fields; bytes of replies and notifications. Called by: server and
client. Not here: sockets.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from undula.core.errors import UndulaError, WireError
from undula.session.rpc.errors import ZError

MAX_REQUEST_BYTES = 1 << 20
MAX_REPLY_BYTES = 4 << 20
MAX_DEPTH = 32
MAX_VALUES = 100_000
MAX_TEXT_OF_ERROR = 10_000

_TYP = re.compile(r"[a-z][a-z0-9_]{0,31}(/[a-z][a-z0-9_]{0,31})?")
_RESERVED = ("typ", "req", "token")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its verb, the tag that its reply must repeat, its token, its other fields."""

    typ: str
    req: str | int | None
    token: str
    fields: dict[str, Any]


def decode_request(payload: bytes) -> Asked:
    """The request in `payload`.

    Raises: WireError for anything but one JSON object with a good `typ`.

    >>> decode_request(b'{"typ": "dev/keys", "path": "M"}').fields
    {'path': 'M'}
    """
    message = decode(payload, MAX_REQUEST_BYTES)
    typ, req, token = (message.get(name) for name in _RESERVED)
    if not isinstance(typ, str) or not _TYP.fullmatch(typ):
        _refuse("the request has no good `typ`", 'give "typ": "NOUN/VERB", e.g. "dev/keys"')
    good = req is None or (isinstance(req, str | int) and not isinstance(req, bool))
    if not good or len(str(req)) > 128:
        _refuse("`req` is neither a text nor an integer, or too long", "use a counter")
    if token is not None and (not isinstance(token, str) or len(token) > 4096):
        _refuse("`token` is no text, or too long", "send the token that auth/login returned")
    fields = {name: value for name, value in message.items() if name not in _RESERVED}
    return Asked(typ, req, token or "", fields)


def decode(payload: bytes, limit_bytes: int = MAX_REPLY_BYTES) -> dict[str, Any]:
    """The JSON object in `payload`. Raises: WireError."""
    if len(payload) > limit_bytes:
        _refuse(f"{len(payload)} bytes are more than {limit_bytes}", "send less at once")
    try:
        message = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
        )
    except RecursionError:
        _refuse("it is nested too deeply", f"nest at most {MAX_DEPTH} deep")
    except ValueError as exc:  # JSONDecodeError, UnicodeDecodeError, integers without end
        _refuse(f"this is no JSON: {str(exc)[:200]}", "send one JSON object in UTF-8")
    if not isinstance(message, dict):
        _refuse("this is no JSON object", 'send an object: {"typ": ...}')
    _check(message)
    return message


def _refuse(what: str, remedy: str) -> NoReturn:
    raise WireError(what, remedy=remedy)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        _refuse("a key stands twice in one object", "name each key once")
    return made


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON", "send finite numbers")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(f"{text[:32]} is beyond all numbers", "send finite numbers")
    return number


def _check(message: dict[str, Any]) -> None:
    """Depth, number of values, and texts that UTF-8 can hold."""
    level: list[Any] = [message]
    count = 0
    for _ in range(MAX_DEPTH):
        count += len(level)
        if count > MAX_VALUES:
            _refuse(f"it holds more than {MAX_VALUES} values", "pass large data by a file")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str) and not value.isascii():
                _check_text(value)
        if not below:
            return
        level = below
    _refuse("it is nested too deeply", f"nest at most {MAX_DEPTH} deep")


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        _refuse("a text holds half a character (a lone surrogate)", "send proper Unicode")


def sendable(value: Any, depth: int = MAX_DEPTH) -> Any:
    """`value` as JSON can hold it: arrays as lists, times and paths as texts.

    Not-a-number and the infinities, which JSON lacks, become "NaN", "Infinity", "-Infinity".
    Raises: WireError for what has no such form.

    >>> sendable({"a": (1, float("nan"))})
    {'a': [1, 'NaN']}
    """
    if value is None or isinstance(value, bool | int | str):
        return _plain(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _odd_number(value)
    if depth == 0:
        _refuse("it is nested too deeply", "this is a fault of the verb: tell its author")
    if isinstance(value, Mapping):
        return {str(key): sendable(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [sendable(inner, depth - 1) for inner in value]
    if hasattr(type(value), "dtype") and hasattr(value, "tolist"):  # numpy, without importing it
        return sendable(value.tolist(), depth)
    _refuse(
        f"a {type(value).__name__} cannot be sent as JSON",
        "this is a fault of the verb: tell its author",
    )


def _plain(value: bool | int | str | None) -> Any:
    """Subclasses (enum members, numpy texts) as what they are underneath."""
    for kind in (bool, int, str):
        if isinstance(value, kind):
            return kind(value) if kind is not str else str.__str__(value)
    return None


def _odd_number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def encode(message: Mapping[str, Any]) -> bytes:
    """One JSON object in UTF-8, in the order of its keys. Raises: WireError."""
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, default=sendable)
    except (ValueError, TypeError, RecursionError):  # NaN, odd keys, circles: the slow way
        text = json.dumps(sendable(message), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def encode_reply(asked: Asked | None, ret: Any) -> bytes:
    """The reply with a result. Raises: WireError when it cannot be sent or is too long."""
    payload = encode({"err": "", "ret": ret} | _tag(asked))
    if len(payload) > MAX_REPLY_BYTES:
        _refuse(f"the result has {len(payload)} bytes, more than {MAX_REPLY_BYTES}", "ask for less")
    return payload


def encode_error(asked: Asked | None, error: BaseException) -> bytes:
    """The reply with an error: code and text, and the remedy where there is one."""
    return encode(error_fields(error) | _tag(asked))


def _tag(asked: Asked | None) -> dict[str, Any]:
    return {} if asked is None or asked.req is None else {"req": asked.req}


def error_fields(error: BaseException) -> dict[str, str]:
    """What a reply says about an error.

    >>> error_fields(ZeroDivisionError("division by zero"))
    {'err': 'exc', 'desc': 'ZeroDivisionError: division by zero'}
    >>> error_fields(ZError("error", "description"))
    {'err': 'error', 'desc': 'description'}
    """
    if isinstance(error, UndulaError):
        code = error.code if isinstance(error, ZError) else error.category
        text = "\n".join(error.details) or error.what
        more = {"remedy": error.remedy, "device": error.device, "where": error.where}
        return {"err": code, "desc": _short(text)} | {k: v for k, v in more.items() if v}
    name, text = type(error).__name__, _short(str(error))
    return {"err": "exc", "desc": f"{name}: {text}" if text else name}


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT_OF_ERROR else f"{text[:MAX_TEXT_OF_ERROR]} ..."


def result_of(reply: Mapping[str, Any]) -> Any:
    """What a reply brings. Raises: the ZError that it carries; WireError when it is no reply."""
    code = reply.get("err")
    if code == "":
        return reply.get("ret")
    try:
        error = ZError(
            str(code or "?"), str(reply.get("desc", "")),
            remedy=str(reply.get("remedy", "")), device=reply.get("device"),
        )  # fmt: skip
    except ValueError:
        _refuse(f"the reply has the error code {code!r}", "ask a server of this kind")
    raise error
