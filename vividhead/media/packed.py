"""What a packed clip's .mp4 and .flac really hold, by decoding all of it: for auditors."""

import io
from dataclasses import dataclass

import av
import av.error

from vividhead.errors import MediaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Counted while decoding, not read from headers."""

    n_pictures: int
    width_px: int
    height_px: int
    viewing_sound_s: float
    """Of the .mp4's own sound track."""
    n_samples: int
    """Of the .flac."""
    rate_hz: int


def decode_packed(mp4: bytes, flac: bytes) -> Packed:
    """Decode both members whole; raises MediaError `failed.corrupt` where one cannot be."""
    n_pictures, size, viewing_s = 0, (0, 0), 0.0
    try:
        with av.open(io.BytesIO(mp4), "r", format="mp4") as film:
            film.streams.video[0].codec_context.thread_count = 1
            for frame in film.decode(*film.streams.video[:1], *film.streams.audio[:1]):
                if isinstance(frame, av.VideoFrame):
                    if frame.is_corrupt:
                        raise MediaError("failed.corrupt", f"the .mp4's picture {n_pictures} is damaged")
                    n_pictures, size = n_pictures + 1, (frame.width, frame.height)
                elif isinstance(frame, av.AudioFrame):
                    viewing_s += frame.samples / frame.sample_rate
        n_samples, rate_hz = 0, 0
        with av.open(io.BytesIO(flac), "r", format="flac") as sound:
            for frame in sound.decode(sound.streams.audio[0]):
                n_samples, rate_hz = n_samples + frame.samples, frame.sample_rate
    except (av.error.FFmpegError, IndexError, ValueError) as fault:
        raise MediaError("failed.corrupt", f"it cannot be decoded: {type(fault).__name__} {fault}") from fault
    return Packed(
        n_pictures=n_pictures, width_px=size[0], height_px=size[1], viewing_sound_s=viewing_s, n_samples=n_samples,
        rate_hz=rate_hz,
    )  # fmt: skip
