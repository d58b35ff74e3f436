"""Sound as 16 kHz mono on the source's clock."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from media.truth import beep, numbered, numbers_of, onsets_s, remuxed, source_of
from vividhead.media import sound
from vividhead.media.sound import _Places
from vividhead.testing import SoundFormat, VideoFormat, write_video

RATES_HZ = [8000, 11_025, 12_345, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
SMALL = VideoFormat(options={"preset": "ultrafast"}, keyframe_every=250)


def film(path: Path, audio: NDArray[np.float32], rate_hz: int, codec: str, seconds: int, start_s: float = 0.0) -> Path:
    return write_video(
        path, numbered(range(25 * seconds), 80, 48), video=SMALL, audio=audio, audio_rate_hz=rate_hz,
        sound=SoundFormat(codec=codec, start_s=start_s),
    )  # fmt: skip


def test_sixteen_bit_samples_come_back_bit_for_bit(tmp_path: Path) -> None:
    noise_S = np.random.default_rng(0).uniform(-0.9, 0.9, 5 * 16_000).astype(np.float32)
    written_S = np.round(noise_S * 32767).astype(np.int16)
    for codec, suffix in (("pcm_s16le", "mov"), ("flac", "mkv"), ("pcm_s16le", "avi"), ("flac", "mp4")):
        path = film(tmp_path / f"a.{suffix}", noise_S, 16_000, codec, 5)
        read_S = sound(path, source_of(path), 0, 125)
        assert read_S.dtype == np.float32
        assert np.array_equal(read_S * 32768, written_S)


@given(
    st.sampled_from([1000, 44_100, 90_000, 14_112_000]), st.fractions(-100, 100, max_denominator=90_000),
    st.sampled_from(RATES_HZ), st.integers(-(10**6), 10**12),
)  # fmt: skip
def test_stamps_become_places_as_fractions_would_have_it(per_s: int, zero_s: Fraction, rate: int, stamp: int) -> None:
    base = Fraction(1, per_s)
    assert _Places(base, zero_s, rate)(stamp) == round((stamp * base - zero_s) * rate)


def test_a_stamp_between_two_samples_goes_to_the_even_one() -> None:
    at = _Places(Fraction(1, 16_000), Fraction(0), 8000)
    assert [at(stamp) for stamp in (-3, -1, 1, 3, 5)] == [-2, 0, 0, 2, 2]


@pytest.mark.parametrize(
    ("rate_hz", "codec", "suffix"),
    [(rate_hz, codec, suffix) for rate_hz in RATES_HZ for codec, suffix in (("pcm_s16le", "mov"), ("pcm_s16le", "avi"))]
    + [(rate_hz, "aac", "mp4") for rate_hz in RATES_HZ if rate_hz != 12_345],
)
def test_any_rate_is_resampled_onto_the_same_clock(rate_hz: int, codec: str, suffix: str, tmp_path: Path) -> None:
    path = film(tmp_path / f"a.{suffix}", beep(8, 5.0, rate_hz), rate_hz, codec, 8)
    source = source_of(path)
    whole_S = sound(path, source, 0, 200)
    assert whole_S.shape == (200 * 640,)
    assert onsets_s(whole_S) == [pytest.approx(5.0, abs=2 / 16_000)]
    assert 0.49 < np.abs(whole_S).max() < 0.54
    for start, end in ((0, 30), (100, 150), (124, 125), (199, 200), (1, 2)):
        assert np.array_equal(sound(path, source, start, end), whole_S[start * 640 : end * 640])


def test_coarse_stamps_move_a_span_by_half_a_stamp_at_most(tmp_path: Path) -> None:
    """Matroska rounds times to 1 ms: 8 samples of 16 kHz from one stamp to the next."""
    path = film(tmp_path / "a.mkv", beep(8, 5.0, 44_100), 44_100, "flac", 8)
    source = source_of(path)
    assert onsets_s(sound(path, source, 0, 200)) == [pytest.approx(5.0, abs=2 / 16_000)]
    assert onsets_s(sound(path, source, 100, 150)) == [pytest.approx(1.0, abs=10 / 16_000)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6])
def test_all_channels_alike_sound_like_one(channels: int, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mov", beep(1, 0.4, 48_000, channels), 48_000, "pcm_s16le", 1)
    source = source_of(path)
    assert source.audio_channels == channels
    one_S = sound(path, source, 0, 25)
    plain = film(tmp_path / "b.mov", beep(1, 0.4, 48_000), 48_000, "pcm_s16le", 1)
    assert np.allclose(one_S, sound(plain, source_of(plain), 0, 25), atol=1e-4)


@pytest.mark.parametrize("layout", ["7.1", "hexadecagonal"])
def test_many_channels_are_mixed_too(layout: str, tmp_path: Path) -> None:
    plain = film(tmp_path / "a.mov", beep(1, 0.4, 48_000), 48_000, "pcm_s16le", 1)
    codec = "aac" if layout == "7.1" else "pcm_s16le"
    everywhere = "|".join(f"c{k}=c0" for k in range(8 if layout == "7.1" else 16))
    path = remuxed(plain, tmp_path / "b.mov", **{"c:a": codec, "af": f"pan={layout}|{everywhere}"})
    source = source_of(path)
    assert source.audio_channels == (8 if layout == "7.1" else 16)
    assert onsets_s(sound(path, source, 0, 25)) == [pytest.approx(0.4, abs=0.001)]


def test_loud_sound_in_all_channels_does_not_clip(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mov", 1.9 * beep(1, 0.4, 48_000, 6), 48_000, "pcm_s16le", 1)
    assert np.abs(sound(path, source_of(path), 0, 25)).max() == pytest.approx(0.95, abs=0.01)


def test_the_centre_channel_is_loudest_and_the_subwoofer_silent(tmp_path: Path) -> None:
    peaks = []
    for channel in range(6):  # front left, front right, centre, subwoofer, left, right
        audio_SC = np.zeros((48_000, 6), np.float32)
        audio_SC[:, channel] = beep(1, 0.4, 48_000)
        path = film(tmp_path / f"{channel}.mov", audio_SC, 48_000, "pcm_s16le", 1)
        peaks.append(float(np.abs(sound(path, source_of(path), 0, 25)).max()))
    left, right, centre, bass, side, other_side = peaks
    assert centre > left == right > side == other_side > bass == 0


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "aac"), ("mov", "pcm_s16le"), ("mkv", "libopus"), ("ts", "aac"), ("mpg", "mp2")],
)
@pytest.mark.parametrize("start_s", [0.5, -0.5, 1.3, 0.013])
def test_streams_that_start_apart_stay_apart(suffix: str, codec: str, start_s: float, tmp_path: Path) -> None:
    """Picture 50 is at 2 s; the beep comes `start_s` after it, whichever stream begins first."""
    path = write_video(
        tmp_path / f"a.{suffix}", numbered(range(100)), audio=beep(4, 2.0), audio_rate_hz=48_000,
        sound=SoundFormat(codec=codec, start_s=start_s),
    )  # fmt: skip
    source = source_of(path)
    seen_s = numbers_of(path, source).index(50) / 25
    (heard_s,) = onsets_s(sound(path, source, 0, source.n_frames))
    assert heard_s - seen_s == pytest.approx(start_s, abs=0.0015)


def test_sound_before_the_first_picture_is_kept(tmp_path: Path) -> None:
    audio_S = beep(4, 0.2)
    path = write_video(
        tmp_path / "a.mkv", numbered(range(50)), audio=audio_S, audio_rate_hz=48_000,
        sound=SoundFormat(codec="flac", start_s=-1.0),
    )  # fmt: skip
    source = source_of(path)
    assert numbers_of(path, source)[:26] == [None] * 25 + [0]
    assert onsets_s(sound(path, source, 0, 25)) == [pytest.approx(0.2, abs=0.001)]


def test_an_edit_list_that_begins_between_key_frames_cuts_picture_and_sound_alike(tmp_path: Path) -> None:
    whole = write_video(
        tmp_path / "a.mp4", numbered(range(150)), audio=beep(6, 3.2), audio_rate_hz=48_000,
        video=VideoFormat(options={"preset": "veryfast", "bf": "3"}, keyframe_every=100),
    )  # fmt: skip
    cut = remuxed(whole, tmp_path / "b.mp4", in_ss=2.6, t=2)
    source = source_of(cut)
    assert not source.torn
    numbers = numbers_of(cut, source)
    assert numbers[:50] == list(range(65, 115))
    assert onsets_s(sound(cut, source, 0, 50)) == [pytest.approx((80 - 65) / 25, abs=0.005)]


def test_time_without_sound_is_silent(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", numbered(range(100)), audio=beep(1, 0.5), audio_rate_hz=48_000,
        sound=SoundFormat(start_s=1.0),
    )  # fmt: skip
    source = source_of(path)
    heard_S = sound(path, source, 0, 100)
    assert not heard_S[: 16_000 - 640].any()
    assert not heard_S[33_000:].any()
    assert onsets_s(heard_S) == [pytest.approx(1.5, abs=0.001)]
    assert not sound(path, source, 80, 100).any()


def test_a_gap_in_the_packets_is_silence_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    first = write_video(tmp_path / "1.ts", numbered(range(75)), audio=beep(3, 1), audio_rate_hz=48_000)
    late = remuxed(first, tmp_path / "2.ts", in_copyts=None, output_ts_offset=5, muxdelay=0)
    path = tmp_path / "all.ts"
    path.write_bytes(remuxed(first, tmp_path / "3.ts", in_copyts=None, muxdelay=0).read_bytes() + late.read_bytes())
    source = source_of(path)
    assert onsets_s(sound(path, source, 0, source.n_frames)) == [pytest.approx(at, abs=0.001) for at in (1.0, 6.0)]


def test_broken_packets_are_silent_and_the_rest_is_in_place(tmp_path: Path) -> None:
    beeps_S = beep(8, 1.0) + beep(8, 7.0)
    path = film(tmp_path / "a.mkv", beeps_S, 48_000, "flac", 8)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(bytes(data))
    source = source_of(path)
    heard_s = onsets_s(sound(path, source, 0, 200))
    assert heard_s[0] == pytest.approx(1.0, abs=0.001)
    assert heard_s[-1] == pytest.approx(7.0, abs=0.001)


def test_a_file_without_sound_is_silent(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(range(25)))
    assert not sound(path, source_of(path), 0, 25).any()
