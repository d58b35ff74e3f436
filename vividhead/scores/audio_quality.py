"""Was the voice recorded cleanly: near, dry, in full band and without music?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vividhead.records import SAMPLE_RATE_HZ
from vividhead.score import ClipMedia, Field, Score, Unknown, Unmeasurable

_WINDOW, _HOP = 512, 256  # samples: 32 and 16 ms
_HOPS_PER_S = SAMPLE_RATE_HZ / _HOP
_LEAST_SPEECH_S = 0.5
_QUIETEST = 5.0  # percent of the clip's hops that are taken for its noise
_NOISE_HOPS = 8  # averaged (0.13 s) before the quietest are sought, so that a dip between two syllables is none
_WIDEST_DB = 100.0
_AUDIBLE_DB = -50.0  # below a bin's strongest, nothing of the voice is left to hear
_LOUD_PERCENT = 95  # of hops: the bins' levels where each sound of the language, also s and f, is at its strongest
_NOISE_PEAK = 6.0  # a bin of steady noise is 3 times its mean in one hop of 20, and its mean is known roughly
_DECAY_HOPS = 6  # 0.1 s: longer than a closing consonant, shorter than most pauses
_DECAY_ABOVE_NOISE_DB = 10.0
_DECAY_SNR_DB = 20.0  # with more noise, a fall ends in it before it has shown its slope
_LEAST_FALLS = 10
_LONGEST_S = 10.0
_FLAT = 0.9  # of the 99.9th percentile
_BIN_BIAS = 0.5  # what the quietest 5 % of 8 averaged hops of steady noise hold in one bin, as a part of their mean
_TONE_WINDOW, _TONE_HOP = 2048, 512  # samples: 128 and 32 ms, bins of 7.8 Hz
_TONE_BINS = slice(13, 512)  # 100 to 4000 Hz, where music has its tones
_AROUND_BINS = 10  # to either side, for the level that a tone stands out of
_TONE_DB = 3.0
_TONE_AUDIBLE_DB = -60.0  # below the clip's loud hops' strongest bins
_HELD_HOPS = 9  # 0.29 s within one bin: a voice's pitch has glided on by then
_CHORD = 2  # tones at once: a voice may hold one
_HUM = 0.8  # of the clip: a tone there for so long is the mains' or a machine's

Floats = NDArray[np.float64]


class AudioQuality(Score):
    """Noise, bandwidth, flattened peaks, reverberation and music in the clip's 16 kHz sound.

    `snr_db` holds the mean power during speech (by voice activity) against the quietest 0.13 s stretches of the
    clip, so that music and other voices that never pause count as noise. In a clip without a pause, where these
    would be the voice itself, the noise is what is left in each frequency when it is quietest (after Martin's minimum
    statistics, 2001). `music_fraction` looks for tones that hold their pitch, as instruments' do and voices' do not,
    on the idea of Seyerlehner et al. (Automatic Music Detection in Television Productions, 2007): voices alone read
    0 to 0.3, with music 10 dB below them about 0.6, with music as loud 0.8 and more, with a mains hum 0.1 to 0.3; drums
    alone go unnoticed. `bandwidth_hz` is the highest frequency at which the voice comes within
    50 dB of its strongest, what is heard in the quietest stretches taken off. `flat_top_fraction` finds peaks that
    were clipped before they were turned down or encoded, which `loudness.clipped_fraction` cannot: about 0.002 in
    voices that were not. `decay_s` is how long the steepest falls of the envelope would take for 60 dB: close
    voices in dry rooms read 0.2 … 0.35, the same voices 0.2 longer through an echo of 0.5 s, 0.3 longer through 1
    s.
    """

    fields: ClassVar[Mapping[str, Field]] = {
        "snr_db": Field("dB", "power during speech over that of the quietest stretches", -20, _WIDEST_DB),
        "bandwidth_hz": Field("Hz", "highest frequency of the voice", 0, SAMPLE_RATE_HZ / 2),
        "flat_top_fraction": Field("1", "fraction of samples crowded under the peak", 0, 1),
        "music_fraction": Field("1", "fraction of the time in which two tones or more hold their pitch", 0, 1),
        "decay_s": Field("s", "time that the steepest decays need for 60 dB: dry is short", 0, _LONGEST_S),
    }
    cost_ms_per_s: ClassVar[float] = 3.0
    version: ClassVar[int] = 2

    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        power_TF = _power_TF(clip.audio_S)
        speech_T = _hops_with_speech(clip, len(power_TF))
        if speech_T.sum() < _LEAST_SPEECH_S * _HOPS_PER_S:
            raise Unmeasurable("no_speech", f"{speech_T.sum() / _HOPS_PER_S:.2f} s of speech")
        if not power_TF[speech_T].any():
            raise Unmeasurable("silent", "every sample during speech is zero")
        level_T = power_TF.sum(1)
        noise = _noise(level_T) if _has_pause(speech_T) else _noise_under_voice(power_TF)
        loud = float(level_T[speech_T].mean())
        snr_db = float(np.clip(_db(max(loud - noise, loud * 1e-3) / max(noise, loud * 1e-10)), -20, _WIDEST_DB))
        return {
            "snr_db": snr_db,
            "bandwidth_hz": _bandwidth_hz(power_TF[speech_T], power_TF[level_T <= np.percentile(level_T, _QUIETEST)]),
            "flat_top_fraction": _flat_top_fraction(clip.audio_S),
            "music_fraction": _music_fraction(clip.audio_S),
            "decay_s": _decay_s(level_T, noise) if snr_db >= _DECAY_SNR_DB else Unknown("noisy"),
        }


def _power_TF(audio_S: NDArray[np.float32], window: int = _WINDOW, hop: int = _HOP) -> Floats:
    """Power spectra (T, F), one each 16 ms."""
    hops_TS = np.lib.stride_tricks.sliding_window_view(audio_S, window)[::hop]
    spectrum_TF = np.fft.rfft(hops_TS * np.hanning(window).astype(np.float32), axis=1)
    return np.asarray(spectrum_TF.real**2 + spectrum_TF.imag**2, np.float64)


def _hops_with_speech(clip: ClipMedia, n_hops: int) -> NDArray[np.bool_]:
    middles_T = (np.arange(n_hops) * _HOP + _WINDOW / 2) / SAMPLE_RATE_HZ
    return np.asarray(
        np.logical_or.reduce([(middles_T >= a) & (middles_T < b) for a, b in clip.speech_spans_s] or [middles_T < 0])
    )


def _noise(level_T: Floats) -> float:
    """Power of the quietest stretches."""
    means = np.convolve(level_T, np.full(_NOISE_HOPS, 1 / _NOISE_HOPS), mode="valid")
    return float(np.percentile(means, _QUIETEST))


def _has_pause(speech_T: NDArray[np.bool_]) -> bool:
    """Is there a stretch without speech of which the quietest could be taken?"""
    return bool(_held(~speech_T[:, None], _NOISE_HOPS).any())


def _noise_under_voice(power_TF: Floats) -> float:
    """Power of steady noise in a clip that never pauses: every frequency is left free by the voice now and then."""
    sums_TF = np.cumsum(np.pad(power_TF, ((1, 0), (0, 0))), axis=0)
    means_TF = (sums_TF[_NOISE_HOPS:] - sums_TF[:-_NOISE_HOPS]) / _NOISE_HOPS
    return float(np.percentile(means_TF, _QUIETEST, axis=0).sum() / _BIN_BIAS)


def _music_fraction(audio_S: NDArray[np.float32]) -> float:
    level_db_TF = _db(_power_TF(audio_S, _TONE_WINDOW, _TONE_HOP)[:, : _TONE_BINS.stop + _AROUND_BINS + 1] + 1e-12)
    sums_TF = np.cumsum(np.pad(level_db_TF, ((0, 0), (1, 0))), axis=1)
    here = np.arange(_TONE_BINS.start, _TONE_BINS.stop)
    around_TF = (sums_TF[:, here + _AROUND_BINS + 1] - sums_TF[:, here - _AROUND_BINS]) / (2 * _AROUND_BINS + 1)
    tone_TF = level_db_TF[:, here]
    tone_on_TF = (
        (tone_TF > around_TF + _TONE_DB)
        & (tone_TF > np.percentile(level_db_TF.max(1), _LOUD_PERCENT) + _TONE_AUDIBLE_DB)
        & (tone_TF >= level_db_TF[:, here - 1])
        & (tone_TF >= level_db_TF[:, here + 1])
    )
    tone_on_TF &= tone_on_TF.mean(0) < _HUM
    return float((_held(tone_on_TF, _HELD_HOPS).sum(1) >= _CHORD).mean())


def _held(on_TF: NDArray[np.bool_], hops: int) -> NDArray[np.bool_]:
    """The same less what lasts for fewer hops."""
    out_TF = np.zeros_like(on_TF)
    if len(on_TF) >= hops:
        counts_TF = np.cumsum(np.pad(on_TF.astype(np.int32), ((1, 0), (0, 0))), axis=0)
        whole_TF = counts_TF[hops:] - counts_TF[:-hops] == hops
        for k in range(hops):
            out_TF[k : k + len(whole_TF)] |= whole_TF
    return out_TF


def _bandwidth_hz(voice_TF: Floats, quiet_TF: Floats) -> float | Unknown:
    strong_F = np.percentile(voice_TF, _LOUD_PERCENT, axis=0)
    strong_F = np.maximum(strong_F - _NOISE_PEAK * quiet_TF.mean(0), 0)
    if not strong_F.any():
        return Unknown("noisy")
    strong_F = np.convolve(strong_F, np.full(5, 0.2), mode="same")  # 150 Hz: one bin is no band
    heard = np.flatnonzero(_db(strong_F / strong_F.max() + 1e-20) > _AUDIBLE_DB)
    return float(min(heard[-1] + 1, _WINDOW // 2) * SAMPLE_RATE_HZ / _WINDOW)


def _flat_top_fraction(audio_S: NDArray[np.float32]) -> float:
    size_S = np.abs(audio_S)
    return float((size_S >= _FLAT * np.percentile(size_S, 99.9)).mean())


def _decay_s(level_T: Floats, noise: float) -> float | Unknown:
    """From the steepest tenth of the falls over 0.1 s that end above the noise."""
    level_db_T = _db(level_T + 1e-20)
    fall_T = level_db_T[:-_DECAY_HOPS] - level_db_T[_DECAY_HOPS:]
    counts_T = (fall_T > 0) & (level_db_T[_DECAY_HOPS:] > _db(noise + 1e-20) + _DECAY_ABOVE_NOISE_DB)
    if counts_T.sum() < _LEAST_FALLS:
        return Unknown("too_few_pauses")
    db_per_s = float(np.percentile(fall_T[counts_T], 90)) / (_DECAY_HOPS / _HOPS_PER_S)
    return min(60.0 / db_per_s, _LONGEST_S)


def _db(power: Floats | float) -> Floats:
    return np.asarray(10 * np.log10(power))
