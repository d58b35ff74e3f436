"""VP8 and VP9 for a live connection: a packet for each picture, each group decodable on its own."""

from fractions import Fraction
from typing import get_args

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.media.live import LiveEncoder, Packed, i420_of, mono_of, sound_frame


def film(n_frames: int) -> list[NDArray[np.uint8]]:
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    large = cv2.resize(noise, (180, 180), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(large[at : at + 128, at : at + 128]) for at in range(n_frames)]


@pytest.mark.parametrize("codec", get_args(Packed))
def test_every_message_is_decoded_without_those_before_it(codec: Packed) -> None:
    pictures = film(18)
    encoder = LiveEncoder(codec, 128, 85)
    groups = [encoder.encode(pictures[at : at + 6]) for at in (0, 6, 12)]
    assert [len(group) for group in groups] == [6, 6, 6]
    for first, group in ((12, groups[2]), (0, groups[0])):  # the middle one was dropped, and they come the wrong way
        decoder = av.CodecContext.create(codec, "r")
        shown = [frame for packet in group for frame in decoder.decode(av.Packet(packet))]
        assert len(shown) == 6
        for frame, picture_HWC in zip(shown, pictures[first:], strict=False):
            error_HWC = frame.to_ndarray(format="rgb24").astype(float) - picture_HWC
            assert 10 * np.log10(255**2 / (error_HWC**2).mean()) > 28
    assert sum(map(len, groups[1][1:])) < 5 * len(groups[1][0])  # later pictures lean on the first


def test_sound_comes_back_from_a_frame_as_it_was() -> None:
    samples_S = np.arange(-320, 320, dtype=np.int16)
    frame = sound_frame(samples_S, 640, 16000)
    assert np.array_equal(mono_of(frame), samples_S) and frame.pts * frame.time_base == Fraction(1, 25)
    stereo = av.AudioFrame.from_ndarray(np.array([[100, 300, -5, -7]], np.int16), format="s16", layout="stereo")
    assert mono_of(stereo).tolist() == [200, -6]


def test_planes_hold_the_picture() -> None:
    assert i420_of(np.full((16, 16, 3), 255, np.uint8)).shape == (24, 16)
