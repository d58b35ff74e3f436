"""Records to plain JSON values and back, by their type hints, and arrays to the bytes of an .npz."""

import dataclasses
import io
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Record = TypeVar("Record")


def to_plain(value: Any) -> Any:  # any record in, any JSON value out
    """Dataclasses, tuples and mappings as dicts and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    return value


def from_plain(cls: type[Record], data: Any) -> Record:
    """Build the record `cls` from what `to_plain` made of one; raises TypeError where it does not fit."""
    try:
        return _build(cls, data)  # type: ignore[no-any-return]
    except (KeyError, ValueError, AttributeError) as fault:
        raise TypeError(f"no {cls.__name__}: {type(fault).__name__} {fault}") from fault


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _build(hint: Any, data: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        return _build(next(a for a in args if a is not type(None)), data)
    if origin is Literal:
        if data not in args:
            raise TypeError(f"{data!r} is none of {args}")
        return data
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        return hint(**{key: _build(hints[key], value) for key, value in data.items()})
    if origin is tuple:
        if len(args) == 2 and args[1] is ...:
            return tuple(_build(args[0], v) for v in data)
        return tuple(_build(a, v) for a, v in zip(args, data, strict=True))
    if origin in (list, Sequence):
        return [_build(args[0], v) for v in data]
    if origin in (dict, Mapping):
        return {k: _build(args[1], v) for k, v in data.items()}
    if hint is float and isinstance(data, int):
        return float(data)
    if hint in (str, int, float, bool) and not isinstance(data, hint):
        raise TypeError(f"{data!r} is no {hint.__name__}")
    return data


def utf8(text: str) -> str:
    """The text with what UTF-8 cannot hold (bytes of a file name in another encoding) as `\\udc..`."""
    return text.encode(errors="backslashreplace").decode()


def npz(arrays: "Mapping[str, NDArray[np.generic]]") -> bytes:
    """Arrays as a compressed .npz, by name in alphabetical order: the same bytes for the same values."""
    import numpy as np

    file = io.BytesIO()
    np.savez_compressed(file, **dict(sorted(arrays.items())))
    return file.getvalue()
