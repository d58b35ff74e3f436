"""Sound of a file as 16 kHz mono on the source's clock, sample-exact against the grid."""

from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av import AudioResampler
from numpy.typing import NDArray

from vividhead.media.probe import open_media
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Source

PREROLL_S = Fraction(1)
"""Sound decoded before the span, so that codecs with memory and the resampler's filter have settled."""
MAX_SLIP_S = Fraction(1, 200)
"""Packets whose stamp and sample count disagree by more are placed anew (a gap or a jump), less is jitter."""


def sound(path: Path, source: Source, start_frame: int, end_frame: int) -> NDArray[np.float32]:
    """Return float32 mono in -1 … 1, exactly 640 samples a grid frame; time without sound is zeros.

    All channels are mixed by FFmpeg's standard matrix. The native rate is resampled by a polyphase filter whose
    phase is tied to the source's clock, so the same span gives the same samples wherever reading began.
    """
    import scipy.signal

    rate = source.audio_rate_hz or SAMPLE_RATE_HZ
    work_rate = rate if rate % GRID_FPS == 0 else 48_000
    lead = min(Fraction(start_frame, GRID_FPS), PREROLL_S)
    first = Fraction(start_frame, GRID_FPS) - lead
    last = Fraction(end_frame, GRID_FPS) + Fraction(1, GRID_FPS)
    native = _native(path, source, first, last, work_rate)
    common = np.gcd(work_rate, SAMPLE_RATE_HZ)
    if work_rate != SAMPLE_RATE_HZ:
        native = scipy.signal.resample_poly(native, SAMPLE_RATE_HZ // common, work_rate // common)
    skip = int(lead * SAMPLE_RATE_HZ)
    count = (end_frame - start_frame) * SAMPLES_PER_FRAME
    return np.clip(native[skip : skip + count], -1, 1).astype(np.float32)


def _native(path: Path, source: Source, first: Fraction, last: Fraction, rate: int) -> NDArray[np.float32]:
    """Mono samples at `rate` for [first, last) seconds in source, each packet placed by its presentation time."""
    zero = Fraction(*source.zero_s_in_container)
    out = np.zeros(int((last - first) * rate), np.float32)
    with open_media(path) as container:
        voice = container.streams.best("audio")
        if voice is None:
            return out
        voice.codec_context.thread_count = 1
        if first > 2:
            container.seek(int((first - PREROLL_S + zero) / voice.time_base), stream=voice, backward=True)
        mixer = AudioResampler(format="fltp", layout="mono", rate=rate)
        place: int | None = None
        packets = container.demux(voice)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                break
            except (av.error.InvalidDataError, av.error.UndefinedError):
                continue  # a broken packet leaves its time silent
            except av.error.FFmpegError:
                break
            for frame in frames:
                if frame.pts is None:
                    continue
                time = frame.pts * frame.time_base - zero - first
                if time * rate > len(out):
                    return out
                for mono in mixer.resample(frame):
                    samples = mono.to_ndarray()[0]
                    due = round(time * rate)
                    if place is None or abs(place - due) > MAX_SLIP_S * rate:
                        place = due
                    _put(out, place, samples)
                    place += len(samples)
    return out


def _put(out: NDArray[np.float32], at: int, samples: NDArray[np.float32]) -> None:
    begin, end = max(0, at), min(len(out), at + len(samples))
    if begin < end:
        out[begin:end] = samples[begin - at : end - at]
