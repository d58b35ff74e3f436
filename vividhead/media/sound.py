"""Sound of a file as 16 kHz mono: spans on the source's clock, exact to the sample, or all of it in a row."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
from av import AudioFrame, AudioLayout, AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.media.opening import audio_stream, open_media, packets_of, seek
from vividhead.media.resample import MAX_RATE_HZ, MIN_RATE_HZ, Resampler
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Source

PREROLL_S = 1
"""Sound decoded before the span, so that codecs with memory and the resampler's filter have settled."""
SEEK_BACK_S = (1, 10, 60)
"""How far before that to begin reading, tried in turn before reading from the file's head."""
MAX_SLIP_S = Fraction(1, 200)
"""Packets whose stamp and sample count disagree by more are placed anew (a gap or a jump), less is jitter."""

MAX_JITTER_S = Fraction(1, 10)
"""The same where no picture goes with the sound: live recordings stamp packets by the time they arrived."""
LONGEST_PAUSE_S = 60
"""A longer time without a packet is a wrong stamp and no pause."""

LOUD, MIDDLE, SIDE = 1.0, math.sqrt(1 / 2), 0.5
CHANNEL_WEIGHTS = {
    "FC": LOUD, "FL": MIDDLE, "FR": MIDDLE, "FLC": MIDDLE, "FRC": MIDDLE,
    "SL": SIDE, "SR": SIDE, "BL": SIDE, "BR": SIDE, "BC": SIDE, "LFE": 0.0, "LFE2": 0.0,
}  # fmt: skip
"""How loud each channel is in the mix, before they are scaled to sum to 1: ITU-R BS.775-4, table 2, to mono.
FFmpeg's own mix to one channel is as much louder as there are channels, and clips."""


def sound(path: Path, source: Source, start_frame: int, end_frame: int) -> NDArray[np.float32]:
    """Return float32 mono in -1 … 1, exactly 640 samples a grid frame; time without sound is zeros.

    The native rate is resampled by a polyphase filter tied to the source's clock, so a span gives the same samples
    wherever reading began; in containers whose stamps are coarse (Matroska: 1 ms) they may be off by half a stamp.
    """
    import scipy.signal

    rate = source.audio_rate_hz or SAMPLE_RATE_HZ
    first_s = max(0, start_frame // GRID_FPS - PREROLL_S)  # whole seconds hold whole samples at any rate
    last_s = Fraction(end_frame + 1, GRID_FPS)
    native_S = _native(path, source, first_s, last_s, rate)
    if rate != SAMPLE_RATE_HZ:
        common = math.gcd(rate, SAMPLE_RATE_HZ)
        native_S = scipy.signal.resample_poly(native_S, SAMPLE_RATE_HZ // common, rate // common)
    skip = start_frame * SAMPLES_PER_FRAME - first_s * SAMPLE_RATE_HZ
    count = (end_frame - start_frame) * SAMPLES_PER_FRAME
    return np.clip(native_S[skip : skip + count], -1, 1).astype(np.float32, copy=False)


def all_sound(path: Path) -> Iterator[NDArray[np.float32]]:
    """Yield all sound of a file, with or without pictures, about a second at a time: float32 mono 16 kHz, -1 … 1.

    It begins with the file's first sample. Pauses for which there are no packets (as in recorded calls) are zeros.
    Memory stays flat. Raises MediaError where there is no sound to read.
    """
    with open_media(path, "sound") as container:
        voice = audio_stream(container)
        if voice is None:
            if container.streams.audio:
                raise MediaError("failed.unsupported_codec", "there is no decoder for its sound")
            raise MediaError("failed.no_audio", "the file has no sound")
        rate = voice.codec_context.sample_rate or SAMPLE_RATE_HZ
        if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            raise MediaError("failed.unsupported_codec", f"its sound has {rate} samples a second")
        resampler, heard = Resampler(rate), False
        for samples_S in _by_the_second(_in_a_row(container, voice, rate), rate):
            heard = True
            sane_S = np.clip(np.nan_to_num(samples_S, nan=0.0), -1, 1)  # sound in floats may hold anything
            yield np.clip(resampler.push(sane_S), -1, 1)
        if not heard:
            raise MediaError("failed.truncated", "none of its sound can be decoded")
        yield np.clip(resampler.rest(), -1, 1)


def declared_sound_s(path: Path) -> float | None:
    """How long a file says its sound is, for showing how far one is; None where it does not say."""
    with open_media(path, "sound") as container:
        voice = audio_stream(container)
        if voice is not None and voice.duration and voice.time_base:
            return float(voice.duration * voice.time_base)
        return container.duration / 1e6 if container.duration else None


def _by_the_second(pieces: Iterator[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    """Packets hold a few hundred samples, and every call after this costs as much for them as for a second."""
    held: list[NDArray[np.float32]] = []
    n_held = 0
    for samples_S in pieces:
        held.append(samples_S)
        n_held += len(samples_S)
        if n_held >= rate:
            yield np.concatenate(held)
            held, n_held = [], 0
    if n_held:
        yield np.concatenate(held)


def _in_a_row(container: InputContainer, voice: AudioStream, rate: int) -> Iterator[NDArray[np.float32]]:
    """All packets' mono samples at `rate`, with zeros for the pauses between them."""
    base, mixer = voice.time_base or Fraction(1, rate), _Mixer(rate)
    done = 0
    zero: int | None = None
    for frame in _decoded(container, voice):
        stamp = done + (zero or 0) if frame.pts is None else round(frame.pts * base * rate)
        zero = stamp if zero is None else zero
        pause = stamp - zero - done
        if MAX_JITTER_S * rate < pause <= LONGEST_PAUSE_S * rate:
            yield np.zeros(pause, np.float32)
            done += pause
        elif abs(pause) > MAX_JITTER_S * rate:
            zero += pause  # the clock has jumped: go on from there
        for samples_S in mixer(frame):
            yield samples_S
            done += len(samples_S)


def _native(path: Path, source: Source, first_s: int, last_s: Fraction, rate: int) -> NDArray[np.float32]:
    """Mono samples at `rate` for [first_s, last_s) in the source, each packet placed by its presentation time."""
    out_S = np.zeros(math.ceil((last_s - first_s) * rate), np.float32)
    for back_s in [*(b for b in SEEK_BACK_S if first_s > b), None]:
        with open_media(path) as container:
            voice = audio_stream(container)
            if voice is None:
                return out_S
            if back_s is not None and not seek(container, voice, source, Fraction(first_s - back_s)):
                continue
            placed = _placed(container, voice, source, first_s, rate)
            start = next(placed, None)
            if start is None or (back_s is not None and start[0] > 0):
                continue
            _put(out_S, *start)
            for at, samples_S in placed:
                if at >= len(out_S):
                    break
                _put(out_S, at, samples_S)
            break
    return out_S


def _placed(
    container: InputContainer, voice: AudioStream, source: Source, first_s: int, rate: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first sample's place after `first_s`, mono samples) of each packet from where the container stands."""
    due_at = _Places(voice.time_base or Fraction(1, rate), Fraction(*source.zero_s_in_container) + first_s, rate)
    mixer, slip = _Mixer(rate), int(MAX_SLIP_S * rate)
    place: int | None = None
    for frame in _decoded(container, voice):
        if frame.pts is None:
            continue
        due = due_at(frame.pts)
        for samples_S in mixer(frame):
            if place is None or abs(place - due) > slip:
                place = due
            yield place, samples_S
            place += len(samples_S)


class _Places:
    """A packet's stamp → its first sample's place, `round((stamp * base - zero) * rate)` in integers.

    There are some forty packets a second, and fractions took a fifth of the time of reading them.
    """

    def __init__(self, base: Fraction, zero: Fraction, rate: int) -> None:
        self._per_sample = math.lcm(base.denominator, zero.denominator)
        self._step = int(base * rate * self._per_sample)
        self._origin = int(zero * rate * self._per_sample)

    def __call__(self, stamp: int) -> int:
        place, over = divmod(stamp * self._step - self._origin, self._per_sample)
        return place + (2 * over > self._per_sample or (2 * over == self._per_sample and place % 2))


def _decoded(container: InputContainer, voice: AudioStream) -> Iterator[AudioFrame]:
    """All frames; a broken packet leaves its time silent."""
    for packet in packets_of(container, [voice]):
        try:
            frames = packet.decode() if packet is not None else []
        except av.error.FFmpegError:
            continue
        yield from frames


class _Mixer:
    """Any frames to mono at one rate. A stream may change its format, layout and even its rate on the way."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._kind: tuple[str, str, int] | None = None
        self._weights = np.ones(1, np.float32)

    def __call__(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._kind = kind
            # Packed, as PyAV reads beyond the eight planes of planar 7.1 and crashes.
            self._packed = AudioResampler(format="flt", layout=frame.layout, rate=self._rate)
            self._weights = _weights(frame.layout)
        for packed in self._packed.resample(frame):
            yield packed.to_ndarray().reshape(-1, len(self._weights)) @ self._weights


def _weights(layout: AudioLayout) -> NDArray[np.float32]:
    """How much of each channel goes into the mix; they sum to 1, so that it never clips."""
    named = [CHANNEL_WEIGHTS.get(channel.name) for channel in layout.channels]
    known = [1.0 if weight is None else weight for weight in named] if None not in named else [1.0] * len(named)
    total = sum(known) or 1.0
    return np.array([weight / total for weight in known], np.float32)


def _put(out_S: NDArray[np.float32], at: int, samples_S: NDArray[np.float32]) -> None:
    begin, end = max(0, at), min(len(out_S), at + len(samples_S))
    if begin < end:
        out_S[begin:end] = samples_S[begin - at : end - at]
