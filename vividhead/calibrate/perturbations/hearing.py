"""Sound that is not only the talker's voice, or not the whole of it."""

import numpy as np

from vividhead.calibrate.perturbations.family import Family, Samples, Scene, Truth
from vividhead.calibrate.perturbations.timing import as_long_as
from vividhead.records import SAMPLE_RATE_HZ

CHORDS_HZ = ((220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7), (164.8, 207.7, 246.9))
BEAT_S = 0.5
FULL = 1.0


def music(n_samples: int, rng: np.random.Generator) -> Samples:
    """Struck chords with overtones and a drum, two beats a second."""
    t_S = np.arange(n_samples) / SAMPLE_RATE_HZ
    in_beat_S, beat_S = t_S % BEAT_S, (t_S / BEAT_S).astype(int)
    ringing_S = np.exp(-3 * in_beat_S)
    out_S = np.zeros(n_samples)
    for number, chord in enumerate(CHORDS_HZ):
        here_S = ringing_S * (beat_S // 4 % len(CHORDS_HZ) == number)
        for pitch in chord:
            phase = rng.uniform(0, 2 * np.pi)
            out_S += sum(np.sin(2 * np.pi * k * pitch * t_S + k * phase) / k**1.5 for k in (1, 2, 3, 4)) * here_S
    drum_S = rng.standard_normal(n_samples) * np.exp(-40 * in_beat_S) * (beat_S % 2)
    return np.asarray(out_S / 3 + drum_S, np.float32)


def noise(n_samples: int, rng: np.random.Generator) -> Samples:
    """Noise with as much power in every octave."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), n_samples * 50 / SAMPLE_RATE_HZ))
    return np.asarray(np.fft.irfft(spectrum, n_samples), np.float32)


def mixed(voice_S: Samples, added_S: Samples, over_voice_db: float) -> Samples:
    """Both together, `added_S` so much louder than the voice (RMS over the clip); softer where it would clip."""
    gain = _rms(voice_S) / max(_rms(added_S), 1e-9) * 10 ** (over_voice_db / 20)
    both_S = voice_S + added_S * gain
    return (both_S / max(1.0, float(np.abs(both_S).max()) / 0.98)).astype(np.float32)


def _rms(sound_S: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(sound_S, dtype=np.float64))))


def with_music(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Music under the voice, `level` dB louder than it."""
    return scene.said(mixed(scene.audio_S, music(len(scene.audio_S), rng), level))


def with_noise(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Noise under the voice, `level` dB louder than it."""
    return scene.said(mixed(scene.audio_S, noise(len(scene.audio_S), rng), level))


def with_voice(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """A second voice, `level` dB louder than the first."""
    return scene.said(mixed(scene.audio_S, as_long_as(other.audio_S, len(scene.audio_S)), level))


def only_music(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Music in place of the voice, as loud."""
    made_S = music(len(scene.audio_S), rng)
    return scene.said(made_S * (_rms(scene.audio_S) / _rms(made_S)))


def only_noise(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Noise in place of the voice, as loud."""
    made_S = noise(len(scene.audio_S), rng)
    return scene.said(made_S * (_rms(scene.audio_S) / _rms(made_S)))


def reverberant(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """In a room whose sound dies away by 60 dB in `level` seconds, as loud in all as what comes straight."""
    n = max(2, round(level * SAMPLE_RATE_HZ))
    tail_S = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail_S[: round(0.005 * SAMPLE_RATE_HZ)] = 0
    tail_S /= np.sqrt(np.sum(tail_S**2))
    response_S = np.concatenate([[1.0], tail_S])
    size = len(scene.audio_S) + len(response_S)
    wet_S = np.fft.irfft(np.fft.rfft(scene.audio_S, size) * np.fft.rfft(response_S, size), size)
    wet_S = wet_S[: len(scene.audio_S)]
    return scene.said((wet_S / max(1.0, float(np.abs(wet_S).max()) / 0.98)).astype(np.float32))


def clipped(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """So loud that a part `level` of the samples is cut off at full scale."""
    loud = float(np.quantile(np.abs(scene.audio_S), 1 - level))
    return scene.said(scene.audio_S * np.float32(FULL / max(loud, 1e-6)))


def band_limited(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Nothing above `-level` kHz."""
    spectrum = np.fft.rfft(scene.audio_S)
    spectrum[np.fft.rfftfreq(len(scene.audio_S), 1 / SAMPLE_RATE_HZ) > -level * 1000] = 0
    return scene.said(np.fft.irfft(spectrum, len(scene.audio_S)).astype(np.float32))


CLIPPED = "loudness.clipped_fraction"
VOICE = ("lip_sync.confidence", "speech.speech_fraction")

FAMILIES = (
    Family(
        name="music", meaning="music under the voice, so much louder than it", unit="dB", levels=(-20, -10, 0, 10),
        harmful=(0, 10), concerns=("audio_quality.snr_db", "audio_quality.music_fraction"), changes="sound",
        make=with_music, watches=VOICE,
    ),
    Family(
        name="sound_noise", meaning="noise under the voice, so much louder than it", unit="dB",
        levels=(-20, -10, 0, 10), harmful=(0, 10), concerns=("audio_quality.snr_db",), changes="sound",
        make=with_noise, watches=(*VOICE, "audio_quality.music_fraction"),
    ),
    Family(
        name="second_voice", meaning="another voice with the talker's, so much louder than it", unit="dB",
        levels=(-20, -10, 0, 10), harmful=(0, 10), concerns=(), changes="sound",
        make=with_voice, watches=VOICE,
    ),
    Family(
        name="only_music", meaning="music in place of the voice", unit="of 1", levels=(1,), harmful=(1,),
        concerns=("lip_sync.confidence", "speech.speech_fraction"), changes="sound", make=only_music,
    ),
    Family(
        name="only_noise", meaning="noise in place of the voice", unit="of 1", levels=(1,), harmful=(1,),
        concerns=("lip_sync.confidence", "speech.speech_fraction"), changes="sound", make=only_noise,
    ),
    Family(
        name="reverberation", meaning="a room that rings for this long, as loud as the voice itself", unit="s",
        levels=(0.2, 0.5, 1, 2), harmful=(1, 2), concerns=("audio_quality.decay_s",), changes="sound",
        make=reverberant, watches=VOICE,
    ),
    Family(
        name="clipped_sound", meaning="this part of the samples cut off at full scale", unit="of 1",
        levels=(0.001, 0.01, 0.05, 0.2), harmful=(0.05, 0.2), concerns=(CLIPPED, "audio_quality.flat_top_fraction"),
        changes="sound", make=clipped,
        truth=(Truth(field=CLIPPED, of_level=lambda part: part, compared="to_zero"),),
    ),
    Family(
        name="band_limit", meaning="no sound above this frequency (negative, in kHz)", unit="kHz",
        levels=(-6, -4, -2, -1), harmful=(-2, -1), concerns=("audio_quality.bandwidth_hz",), changes="sound",
        make=band_limited, watches=VOICE,
    ),
)  # fmt: skip
