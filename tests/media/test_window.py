"""Windows out of packed members are what decoding all of them gives."""

import io
from functools import cache

import av
import numpy as np
import pytest
from av import VideoFrame
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.media import ClipWriter, EncodeOptions, flac
from vividhead.media.window import clip_rgb, window_pictures, window_sound

N_FRAMES, SIDE = 130, 64
OPTIONS = EncodeOptions(side_px=SIDE, crf=18, preset="veryfast", gop_frames=50, aac_kbps=96)
SOUND_S = np.random.default_rng(0).uniform(-1, 1, N_FRAMES * 640).astype(np.float32)


@cache
def packed() -> tuple[bytes, bytes]:
    """A clip of moving noise, of two and a half groups of pictures, and its sound."""
    rng = np.random.default_rng(1)
    field_HWC = np.kron(rng.integers(30, 220, (40, 40, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    writer = ClipWriter((0, 0, 96, 96), SOUND_S, OPTIONS)
    for frame in range(N_FRAMES):
        shown_HWC = np.ascontiguousarray(np.roll(field_HWC, (frame, 2 * frame), (0, 1))[:96, :96])
        writer.add(VideoFrame.from_ndarray(shown_HWC, format="rgb24").reformat(format="yuv420p"))
    return writer.finish(), flac(SOUND_S)


@cache
def whole(side_px: int) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(packed()[0]), "r") as container:
        return np.stack([clip_rgb(picture, side_px) for picture in container.decode(video=0)])


@settings(max_examples=60)
@given(st.sets(st.integers(0, N_FRAMES - 1), min_size=1, max_size=40), st.sampled_from([SIDE, 32]))
def test_any_frames_are_those_of_the_whole_clip(frames: set[int], side_px: int) -> None:
    wanted = sorted(frames)
    assert np.array_equal(window_pictures(packed()[0], wanted, side_px), whole(side_px)[wanted])


@settings(max_examples=60)
@given(st.integers(0, N_FRAMES - 1), st.integers(1, 60))
def test_any_run_of_frames_is_that_of_the_whole_clip(start: int, count: int) -> None:
    wanted = range(start, min(N_FRAMES, start + count))
    assert np.array_equal(window_pictures(packed()[0], wanted, SIDE), whole(SIDE)[start : start + count])


@settings(max_examples=60)
@given(st.integers(0, N_FRAMES * 640 - 1), st.integers(1, 20_000))
@example(N_FRAMES * 640 - 1, 1)
@example(70 * 1152 + 1, 1)
def test_any_run_of_samples_is_exact(start: int, count: int) -> None:
    end = min(start + count, len(SOUND_S))
    sound_S = window_sound(packed()[1], start, end)
    assert sound_S.dtype == np.float32
    assert np.array_equal(sound_S, np.clip(np.rint(SOUND_S[start:end] * 32768), -32768, 32767) / 32768)


def test_a_group_of_pictures_without_a_wanted_one_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    from vividhead.media import window

    runs = []
    forward = window._forward
    monkeypatch.setattr(window, "_forward", lambda c, f, run: (runs.append(run), forward(c, f, run))[1])
    window_pictures(packed()[0], [10, 11, 120], SIDE)
    window_pictures(packed()[0], [48, 49, 50, 51], SIDE)
    assert runs == [[10, 11], [120], [48, 49, 50, 51]]


def test_nothing_before_the_windows_own_group_of_pictures_is_decoded() -> None:
    mp4 = packed()[0]
    with av.open(io.BytesIO(mp4), "r") as container:
        entries = container.streams.video[0].index_entries
        assert [k for k in range(N_FRAMES) if entries[k].is_keyframe] == [0, 50, 100]
        first_group = [(entries[k].pos, entries[k].size) for k in range(50)]
    spoilt = bytearray(mp4)
    for at, size in first_group:
        spoilt[at : at + size] = bytes(size)
    assert np.array_equal(window_pictures(bytes(spoilt), [50, 51, 60], SIDE), whole(SIDE)[[50, 51, 60]])
    with pytest.raises(MediaError, match="mp4"):
        window_pictures(bytes(spoilt), [10], SIDE)


def test_colours_are_right_to_one_step() -> None:
    """Against the inverse of BT.709 written out; flat patches, so that chroma's coarser grid does not matter."""
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (64, 3)).astype(float)
    kr, kb = 0.2126, 0.0722
    luma = rgb @ [kr, 1 - kr - kb, kb]
    y = 16 + luma * 219 / 255
    u, v = (128 + (rgb[:, c] - luma) / (2 * (1 - k)) * 224 / 255 for c, k in ((2, kb), (0, kr)))
    planes = [np.kron(np.rint(p).reshape(8, 8), np.ones((k, k))).astype(np.uint8) for p, k in ((y, 8), (u, 4), (v, 4))]
    flat = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(96, 64)
    shown = clip_rgb(VideoFrame.from_ndarray(flat, format="yuv420p"), 64)[3::8, 3::8].reshape(64, 3)
    assert np.abs(shown - rgb).max() <= 2, "rounding Y, Cb and Cr costs up to 1.6 steps"


@pytest.mark.parametrize("frames", [[N_FRAMES], [0, N_FRAMES + 3]])
def test_frames_beyond_the_end_are_refused(frames: list[int]) -> None:
    with pytest.raises(MediaError, match=r"gave \d of the \d pictures"):
        window_pictures(packed()[0], frames, SIDE)


@pytest.mark.parametrize("spoilt", [b"", b"no video at all", packed()[0][:2000]])
def test_what_is_no_mp4_is_a_media_error(spoilt: bytes) -> None:
    with pytest.raises(MediaError, match="mp4"):
        window_pictures(spoilt, [0], SIDE)


def test_an_mp4_whose_pictures_are_overwritten_is_a_media_error() -> None:
    mp4 = packed()[0]
    with pytest.raises(MediaError, match="mp4"):
        window_pictures(mp4[: len(mp4) // 2] + bytes(len(mp4) - len(mp4) // 2), [125], SIDE)


@pytest.mark.parametrize("spoilt", [b"", b"no sound", packed()[1][:500]])
def test_what_is_no_flac_is_a_media_error(spoilt: bytes) -> None:
    with pytest.raises(MediaError, match="flac"):
        window_sound(spoilt, 60_000, 60_640)


def test_samples_beyond_the_end_are_refused() -> None:
    with pytest.raises(MediaError, match="gave 640 of 1280 samples"):
        window_sound(packed()[1], len(SOUND_S) - 640, len(SOUND_S) + 640)
