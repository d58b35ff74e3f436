"""Records to plain JSON values and back, by their type hints, and arrays to the bytes of an .npz."""

import dataclasses
import io
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Record = TypeVar("Record")


_AS_IT_IS = frozenset((str, int, float, bool, type(None)))


def to_plain(value: Any) -> Any:  # any record in, any JSON value out
    """Dataclasses, tuples and mappings as dicts and lists."""
    kind: Any = type(value)
    if kind in _AS_IT_IS:
        return value
    names = _field_names(kind)
    if names is not None:
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    return value


@cache
def _field_names(kind: Any) -> tuple[str, ...] | None:
    """Of a record's type; None for any other."""
    return tuple(f.name for f in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def from_plain(cls: type[Record], data: Any) -> Record:
    """Build the record `cls` from what `to_plain` made of one; raises TypeError where it does not fit."""
    try:
        hint: Any = cls
        record: Record = _builder(hint)(data)
        return record
    except (KeyError, ValueError, AttributeError) as fault:
        raise TypeError(f"no {cls.__name__}: {type(fault).__name__} {fault}") from fault


Build = Callable[[Any], Any]


@cache
def _builder(hint: Any) -> Build:
    """What makes a value of this type hint out of a plain one. Looked up once: a run reads records by the million."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = _builder(next(a for a in args if a is not type(None)))
        return lambda data: None if data is None else inner(data)
    if origin is Literal:
        return partial(_one_of, args)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _record_builder(hint)
    if origin is tuple and len(args) == 2 and args[1] is ...:
        each = _builder(args[0])
        return lambda data: tuple(map(each, data))
    if origin is tuple:
        builders = tuple(map(_builder, args))
        return lambda data: tuple(build(v) for build, v in zip(builders, data, strict=True))
    if origin in (list, Sequence):
        each = _builder(args[0])
        return lambda data: list(map(each, data))
    if origin in (dict, Mapping):
        each = _builder(args[1])
        return lambda data: {k: each(v) for k, v in data.items()}
    return partial(_scalar, hint) if hint in (str, int, float, bool) else lambda data: data


def _record_builder(cls: type) -> Build:
    members: dict[str, Build] = {}

    def build(data: Any) -> Any:
        if not members:  # not before: a record may hold others of its kind
            members.update({name: _builder(hint) for name, hint in get_type_hints(cls).items()})
        return cls(**{key: members[key](value) for key, value in data.items()})

    return build


def _one_of(choices: tuple[Any, ...], data: Any) -> Any:
    if data not in choices:
        raise TypeError(f"{data!r} is none of {choices}")
    return data


def _scalar(kind: type, data: Any) -> Any:
    if type(data) is kind:
        return data
    if kind is float and isinstance(data, int):
        return float(data)
    if not isinstance(data, kind):
        raise TypeError(f"{data!r} is no {kind.__name__}")
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
