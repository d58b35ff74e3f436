"""The protocol's bytes: written out by hand once, and back and forth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.flashhead.wire import (
    Media,
    Pcm,
    PortraitFile,
    WireError,
    media_bytes,
    parse_media,
    parse_text,
    parse_up,
    pcm_bytes,
    portrait_bytes,
    text_of,
)


def test_the_bytes_are_those_of_the_document() -> None:
    assert pcm_bytes(np.array([1, -2], np.int16), 48000) == bytes.fromhex("01010000 80bb0000 0100 feff")
    assert portrait_bytes(b"\x89P") == bytes.fromhex("02010000 00000000 8950")
    media = Media(
        codec="webp", pictures=[b"abc"], pcm_S=np.full(640, 3, np.int16), epoch=2, start_frame=0x0102030405,
        side_px=128, idle=True, last=False, dropped=9,
    )  # fmt: skip
    head = bytes.fromhex("81010201 02000000 0504030201000000 0100 8000 803e0000 80020000 09000000")
    assert len(head) == 32
    assert media_bytes(media) == head + bytes.fromhex("03000000") + b"abc" + bytes.fromhex("0300") * 640


@given(
    st.lists(st.binary(max_size=50), max_size=5), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.booleans(),
    st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_media_comes_back_as_it_was(
    pictures: list[bytes], epoch: int, start: int, idle: bool, last: bool, dropped: int
) -> None:
    pcm_S = np.arange(len(pictures) * 640, dtype=np.int16)
    media = Media(
        codec="jpeg", pictures=pictures, pcm_S=pcm_S, epoch=epoch, start_frame=start, side_px=512, idle=idle,
        last=last, dropped=dropped,
    )  # fmt: skip
    found = parse_media(media_bytes(media))
    assert (found.pictures, found.epoch, found.start_frame, found.idle, found.last, found.dropped) == (
        pictures, epoch, start, idle, last, dropped,
    )  # fmt: skip
    assert np.array_equal(found.pcm_S, pcm_S)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        found = parse_up(data)
    except WireError:
        pass
    else:
        assert isinstance(found, Pcm | PortraitFile) and data[0] in (1, 2)
    with pytest.raises(WireError):
        parse_media(data)


@given(st.text(max_size=200))
def test_any_text_is_a_message_or_refused(text: str) -> None:
    try:
        found = parse_text(text)
    except WireError:
        return
    assert isinstance(found.type, str)


@pytest.mark.parametrize("text", ["[" * 20000, '{"type": 1}', "null", '{"a": "b"}', "x" * 20000, "[" * 9000])
def test_texts_that_are_no_messages_are_refused(text: str) -> None:
    with pytest.raises(WireError):
        parse_text(text)


def test_texts_come_back_as_they_were() -> None:
    said = parse_text(text_of("start", seed=3, video=["jpeg"]))
    assert said.type == "start" and said.fields == {"seed": 3, "video": ["jpeg"]}
