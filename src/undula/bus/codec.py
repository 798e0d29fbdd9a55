"""Room: the message bus. Messages to bytes and back: msgpack, arrays as raw bytes, no pickle.

In: `Message`. Out: bytes, a map `{"tag", "v", **fields}`. Called by: connector, twin, engine's
document path. Not here: sending. Everything a payload can be wrong in ends in one `WireError`.

>>> decode(encode(RunDocument(index=1, name="start", doc={"uid": "a"}))).doc
{'uid': 'a'}
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Set
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar, overload

import ormsgpack
from pydantic import BaseModel, ValidationError

from undula.core.errors import WireError
from undula.messages import REGISTRY, Command, Message, RunDocument

if TYPE_CHECKING:
    import numpy as np

M = TypeVar("M", bound=Message)

MAX_BYTES = 64_000_000
MAX_DEPTH = 64
ARRAY_EXT = 1
_ARRAY_KINDS = "biufcUSMm?"
_END = os.urandom(16)
_END_PACKED = ormsgpack.packb(_END)
_OPTIONS = ormsgpack.OPT_REPLACE_SURROGATES
_DOCUMENT_HEAD = {"tag": RunDocument.tag, "v": RunDocument.version}


def _wire_error(what: str) -> WireError:
    return WireError(what, remedy="send what the endpoint carries, see the endpoint reference")


def _may_be_numpy(value: Any) -> bool:
    """Without importing numpy, which costs a short command a third of its time."""
    return hasattr(type(value), "dtype")


def _pack_array(array: np.ndarray[Any, Any]) -> ormsgpack.Ext:
    import numpy as np

    if array.dtype.kind not in _ARRAY_KINDS:
        raise _wire_error(f"an array of dtype {array.dtype} cannot be sent")
    raw = np.ascontiguousarray(array).tobytes()
    return ormsgpack.Ext(ARRAY_EXT, ormsgpack.packb([array.dtype.str, list(array.shape), raw]))


def _pack_complex(value: complex) -> ormsgpack.Ext:
    import numpy as np

    return _pack_array(np.array(value))


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (BaseModel, vars),
    (PurePath, str),
    (Enum, lambda value: value.value),
    (complex, _pack_complex),
    (Set, sorted),
    (Mapping, dict),
)


def _default(value: Any) -> Any:
    if _may_be_numpy(value):
        import numpy as np

        if isinstance(value, np.ndarray):
            return _pack_array(value)
        if isinstance(value, np.generic):
            return value.item()
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    raise _wire_error(f"a value of type {type(value).__name__} cannot be sent")


def _unpack_ext(code: int, raw: bytes) -> np.ndarray[Any, Any]:
    if code != ARRAY_EXT:
        raise ValueError(f"unknown extension {code}")
    import numpy as np

    dtype_text, shape, data = ormsgpack.unpackb(raw)
    dtype = np.dtype(dtype_text)
    if dtype.kind not in _ARRAY_KINDS or not isinstance(shape, list):
        raise ValueError(f"unfit array {dtype_text}")
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("unfit array shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("array shape and bytes disagree")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            children = item.values() if isinstance(item, dict) else item
            deeper += [child for child in children if isinstance(child, dict | list | tuple)]
        if not deeper:
            return
        level = deeper
    raise _wire_error(f"payload is nested deeper than {MAX_DEPTH}")


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if _may_be_numpy(value):
        import numpy as np

        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    if isinstance(value, dict):
        return all(_is_finite(item) for item in value.values())
    if isinstance(value, list | tuple | set):
        return all(_is_finite(item) for item in value)
    return True


def _refuse_nan(tag: str, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if not _is_finite(value):
            raise WireError(
                f"field {name!r} of {tag} holds NaN or infinity",
                remedy="give finite numbers in commands",
            )


def _pack(fields: dict[str, Any]) -> bytes:
    try:
        data = ormsgpack.packb(fields, default=_default, option=_OPTIONS)
    except (ormsgpack.MsgpackEncodeError, TypeError, ValueError, RecursionError) as exc:
        if isinstance(exc.__cause__, WireError):
            raise exc.__cause__ from None
        raise _wire_error(f"cannot be packed: {exc}") from exc
    if len(data) > MAX_BYTES:
        raise _wire_error(f"payload has {len(data)} bytes, the bound is {MAX_BYTES}")
    return data


def encode(message: Message) -> bytes:
    """A message as bytes.

    Raises: WireError for what cannot be sent (an object, a too big number, NaN in a command).
    """
    fields = message.__dict__
    if not message.tag:
        raise _wire_error(f"{type(message).__name__} has no tag")
    if isinstance(message, Command):
        _refuse_nan(message.tag, fields)
    return _pack({"tag": message.tag, "v": message.version, **fields})


def encode_document(index: int, name: str, doc: Mapping[str, Any], sent: float) -> bytes:
    """What `encode(RunDocument(...))` gives, without a model: for the RunEngine's subscriber."""
    return _pack({**_DOCUMENT_HEAD, "index": index, "name": name, "doc": doc, "sent": sent})


def _unpack(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise _wire_error(f"payload has {len(data)} bytes, the bound is {MAX_BYTES}")
    try:
        # The parser stops after one value: an end mark behind it betrays trailing bytes.
        fields, end = ormsgpack.unpackb(b"\x92" + data + _END_PACKED, ext_hook=_unpack_ext)
    except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError) as exc:
        raise _wire_error(f"payload is no message: {str(exc)[:200]}") from exc
    if end != _END:
        raise _wire_error("payload has trailing bytes")
    if not isinstance(fields, dict):
        raise _wire_error("payload is no map")
    _check_depth(fields)
    return fields


def _model_of(fields: dict[str, Any]) -> type[Message]:
    tag, version = fields.pop("tag", None), fields.pop("v", None)
    model = REGISTRY.get(tag) if isinstance(tag, str) else None
    if model is None:
        raise _wire_error(f"unknown tag {str(tag)[:60]!r}")
    if type(version) is not int or version < 1:
        raise _wire_error(f"{tag} has no version")
    if version > model.version:
        raise WireError(
            f"{tag} has version {version}, this program knows {model.version}",
            remedy="update this program",
        )
    return model


@overload
def decode(data: bytes) -> Message: ...
@overload
def decode(data: bytes, expected: None) -> Message: ...
@overload
def decode(data: bytes, expected: type[M]) -> M: ...


def decode(data: bytes, expected: type[M] | None = None) -> M | Message:
    """Bytes as a message (of class `expected`, or of any known one).

    Raises: WireError for anything else.
    """
    fields = _unpack(data)
    model = _model_of(fields)
    if expected is not None and not issubclass(model, expected):
        raise _wire_error(f"expected {expected.__name__}, got {model.tag}")
    if issubclass(model, Command):
        _refuse_nan(model.tag, fields)
    try:
        return model.model_validate(fields)
    except (ValidationError, ValueError, TypeError, RecursionError) as exc:
        raise _wire_error(f"{model.tag} is malformed: {_short(exc)}") from exc


def _short(exc: Exception) -> str:
    if isinstance(exc, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in exc.errors(include_input=False, include_url=False)[:5]
        )
    return str(exc)[:200]
