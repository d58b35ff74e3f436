"""Records to JSON and back."""

import io
import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead import records
from vividhead.measure import Measured
from vividhead.plain import from_plain, npz, to_plain, utf8
from vividhead.records import Clip, Measurement, Reason, Segment
from vividhead.scan import Scan
from vividhead.track import Look
from vividhead.units import Failure, Unit

RECORDS = [value for value in vars(records).values() if isinstance(value, type) and is_dataclass(value)] + [
    Scan,
    Measured,
    Look,
    Failure,
    Unit,
]
"""Everything that is stored in the ledger or travels to a worker."""


TEXT = st.text("aZ0ü🎬 \n'\"\\", max_size=4)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint as the records use it."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is str:
        return TEXT
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{name: values_of(part) for name, part in hints.items()})
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple and args[1:] == (...,):
        return st.lists(values_of(args[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, args))
    if origin is list:
        return st.lists(values_of(args[0]), max_size=2)
    if origin in (Mapping, dict):
        return st.dictionaries(TEXT, values_of(args[1]), max_size=2)
    if args:
        return st.one_of(*map(values_of, args))
    return st.from_type(hint)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_record_comes_back_from_json_as_it_was(record: type) -> None:
    @given(values_of(record))
    def round_trip(value: Any) -> None:
        text = json.dumps(to_plain(value), allow_nan=False)
        assert from_plain(record, json.loads(text)) == value

    round_trip()


SEGMENT = {"segment_id": "s", "source_id": "a", "start_frame": 0, "end_frame": 10}


@pytest.mark.parametrize(
    ("record", "data"),
    [
        (Segment, {**SEGMENT, "start_frame": "0"}),
        (Segment, {**SEGMENT, "start_frame": 0.5}),
        (Segment, {**SEGMENT, "start_frame": None}),
        (Segment, {**SEGMENT, "colour": "red"}),
        (Segment, {"segment_id": "s"}),
        (Segment, ["s", "a", 0, 10]),
        (Clip, {**SEGMENT, "clip_id": "c", "track": 0, "shot": 0, "crop_xyxy_px": [0, 0, 2]}),
        (Measurement, {"clip_id": "c", "score": "x", "version": 1, "fingerprint": "", "status": "maybe"}),
    ],
)
def test_what_does_not_fit_is_refused(record: type, data: Any) -> None:
    with pytest.raises(TypeError):
        from_plain(record, data)


def test_what_is_left_out_has_its_default() -> None:
    row = from_plain(Measurement, {"clip_id": "c", "score": "x", "version": 1, "fingerprint": "", "status": "skipped"})
    assert (row.code, row.values, row.unknown) == ("", {}, {})


def test_whole_numbers_become_floats_where_floats_are_meant() -> None:
    reason = from_plain(Reason, {"code": "a.b:low", "field": "a.b", "value": 3, "limit": None})
    assert isinstance(reason.value, float) and reason.limit is None


def test_arrays_are_the_same_bytes_whatever_their_order_and_come_back() -> None:
    arrays = {"b": np.arange(5, dtype=np.float32), "a": np.zeros((2, 3), np.int16)}
    data = npz(arrays)
    assert data == npz(dict(reversed(arrays.items())))
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        assert stored.files == ["a", "b"]
        assert all(np.array_equal(stored[name], array) for name, array in arrays.items())
        assert {stored[name].dtype for name in stored.files} == {np.dtype(np.float32), np.dtype(np.int16)}


def test_text_is_left_alone_but_for_what_utf8_cannot_hold() -> None:
    assert utf8("Köln 🎬\n") == "Köln 🎬\n"
    assert utf8("caf\udce9") == "caf\\udce9"
