"""A spoken sentence, spoilt by a known amount."""

from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfiltfilt

from vividhead.score import Unknown, Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia
from vividhead.testing.speech import chords, fitted, room_tone, speak

Sound = NDArray[np.float32]
N_FRAMES = 200
GREY = np.full((N_FRAMES, 32, 32, 3), 128, np.uint8)
BOX = np.array([[8, 8, 24, 24]], np.float32)
SPEECH_S = (0.0, 6.0)


@cache
def voice() -> Sound:
    """Speech with pauses and eight seconds of a quiet room under it."""
    said = speak("She had your dark suit in greasy wash water all year. Sixty sixths of a fish, he said, is success.")
    n_samples = N_FRAMES * 640
    return fitted(said.samples_S, n_samples) + room_tone(n_samples, seed=1)


def read(sound_S: Sound) -> dict[str, float | Unknown]:
    clip = ArrayClipMedia(GREY, box_xyxy_px_T4=BOX, audio_S=sound_S.astype(np.float32), speech_spans_s=[SPEECH_S])
    return dict(loaded_score("audio_quality").measure(clip))


def number(sound_S: Sound, field: str) -> float:
    value = read(sound_S)[field]
    assert isinstance(value, float)
    return value


def at_snr(noise_S: Sound, snr_db: float) -> Sound:
    spoken_S = voice()[: int(SPEECH_S[1] * 16_000)]
    power = np.mean(spoken_S**2) / 10 ** (snr_db / 10)
    return voice() + noise_S * np.sqrt(power / np.mean(noise_S**2))


@pytest.mark.parametrize("snr_db", [5, 10, 20, 30])
def test_noise_of_a_known_level_reads_that_level(snr_db: float) -> None:
    hiss_S = np.random.default_rng(0).normal(0, 1, len(voice()))
    assert number(at_snr(hiss_S, snr_db), "snr_db") == pytest.approx(snr_db, abs=1.0)


def test_music_under_the_voice_is_noise() -> None:
    under = [number(at_snr(chords(N_FRAMES / 25, seed=3), snr_db), "snr_db") for snr_db in (20, 10, 0)]
    assert under == sorted(under, reverse=True)
    assert number(voice(), "snr_db") > under[0] > under[2] + 12


def test_music_under_the_voice_is_told_from_noise_and_from_a_hum() -> None:
    music_S = chords(N_FRAMES / 25, seed=3)
    times_S = np.arange(len(voice())) / 16_000
    hum_S = np.sum([np.sin(2 * np.pi * 50 * k * times_S) / k for k in range(1, 9)], axis=0)
    under = [number(at_snr(music_S, snr_db), "music_fraction") for snr_db in (30, 10, 0)]
    assert under == sorted(under)
    assert under[1] > 0.4 and under[2] > 0.7
    assert number(voice(), "music_fraction") < 0.2
    hiss_S = np.random.default_rng(0).normal(0, 1, len(voice()))
    assert number(at_snr(hiss_S, 10), "music_fraction") < 0.2
    assert number(at_snr(hum_S, 20), "music_fraction") < 0.4


@pytest.mark.parametrize(("name", "has_music"), [("still_face_music", True), ("stage_cuts", True), ("radio34", False)])
def test_music_is_heard_in_real_footage_that_holds_it(shared: Path, name: str, has_music: bool) -> None:
    with av.open(str(shared / "footage" / f"{name}.mp4")) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        parts = [p.to_ndarray()[0] for f in container.decode(audio=0) for p in resampler.resample(f)]
    sound_S = fitted(np.concatenate(parts), N_FRAMES * 640)
    heard = number(sound_S, "music_fraction")
    assert heard > 0.5 if has_music else heard < 0.2


def test_in_a_clip_without_a_pause_the_voice_is_not_taken_for_noise() -> None:
    times_S = np.arange(100 * 640) / 16_000
    phase_S = 2 * np.pi * np.cumsum(150 + 40 * np.sin(2 * np.pi * 1.3 * times_S)) / 16_000
    unbroken_S = 0.1 * np.sum([np.sin(k * phase_S) / k for k in range(1, 20)], axis=0)
    hiss_S = np.random.default_rng(0).normal(0, np.sqrt(np.mean(unbroken_S**2) / 10), len(unbroken_S))

    def snr_db(sound_S: Sound, spans_s: list[tuple[float, float]]) -> float:
        clip = ArrayClipMedia(
            GREY[:100], box_xyxy_px_T4=BOX, audio_S=sound_S.astype(np.float32), speech_spans_s=spans_s
        )
        value = dict(loaded_score("audio_quality").measure(clip))["snr_db"]
        assert isinstance(value, float)
        return value

    through, with_pause = [(0.0, 4.0)], [(0.0, 1.9), (2.1, 4.0)]
    noisy = snr_db(unbroken_S + hiss_S, through)
    assert snr_db(unbroken_S + hiss_S, with_pause) + 2 < noisy < 11
    assert snr_db(unbroken_S, through) > noisy + 2


@pytest.mark.parametrize("cut_hz", [2000, 3400, 4000, 6000])
def test_a_voice_cut_off_at_a_frequency_reads_that_frequency(cut_hz: float) -> None:
    narrow_S = sosfiltfilt(butter(20, cut_hz, fs=16_000, output="sos"), voice())
    assert number(narrow_S, "bandwidth_hz") == pytest.approx(cut_hz, rel=0.2)
    assert number(voice(), "bandwidth_hz") > 7000


def test_clipping_shows_although_the_sound_was_turned_down_after_it() -> None:
    shares, clipped = [], []
    for part in (1.0, 0.5, 0.25, 0.1):
        limit = np.abs(voice()).max() * part
        clipped.append(float((np.abs(voice()) >= limit).mean()))
        shares.append(number(np.clip(voice(), -limit, limit) * 0.5, "flat_top_fraction"))
    assert shares[0] < 0.006
    assert shares == sorted(shares)
    assert shares[2:] == pytest.approx(clipped[2:], rel=0.35)


def test_a_longer_echo_reads_a_longer_decay() -> None:
    rng = np.random.default_rng(0)
    decays = [number(voice(), "decay_s")]
    for seconds in (0.3, 0.6, 1.2):
        times_S = np.arange(int(seconds * 16_000)) / 16_000
        tail_S = rng.normal(0, 1, len(times_S)) * 10 ** (-3 * times_S / seconds)
        decays.append(number(fftconvolve(voice(), tail_S)[: len(voice())] / np.linalg.norm(tail_S), "decay_s"))
    assert decays == sorted(decays)
    assert decays[3] > 1.5 * decays[0]


@pytest.mark.parametrize("decay_s", [0.4, 0.8])
def test_bursts_that_die_away_read_as_long_as_they_take_for_60_db(decay_s: float) -> None:
    seconds_S = np.arange(N_FRAMES * 640) / 16_000
    hiss_S = np.random.default_rng(0).standard_normal(len(seconds_S))
    bursts_S = 0.1 * hiss_S * 10 ** (-3 * (seconds_S % 1) / decay_s)
    assert number(bursts_S + 1e-6 * hiss_S, "decay_s") == pytest.approx(decay_s, rel=0.25)


def test_no_decay_is_told_of_a_noisy_voice() -> None:
    hiss_S = np.random.default_rng(0).normal(0, 1, len(voice()))
    assert read(at_snr(hiss_S, 10))["decay_s"] == Unknown("noisy")


def test_without_speech_there_is_nothing_to_measure() -> None:
    clip = ArrayClipMedia(GREY, box_xyxy_px_T4=BOX, audio_S=voice())
    with pytest.raises(Unmeasurable, match=r"0\.00 s of speech"):
        loaded_score("audio_quality").measure(clip)


def test_where_what_is_said_is_no_louder_than_the_quiet_no_bandwidth_is_told() -> None:
    assert read(np.full(N_FRAMES * 640, 0.2, np.float32))["bandwidth_hz"] == Unknown("noisy")
