"""What is in a file: streams, size, true duration, and the clock that pictures and sound share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream

from vividhead.errors import MediaError
from vividhead.media.decode import DecodeLog, first_pictures
from vividhead.media.extent import Extent, extent_of
from vividhead.media.opening import MAX_PIXELS, audio_stream, open_media, video_stream
from vividhead.records import GRID_FPS

HDR_TRANSFERS = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""`color_trc` codes of ITU-T H.273 whose pictures are no SDR pictures without tone mapping."""

WIDEST_PIXEL = Fraction(4)
"""A sample aspect beyond this (or under its inverse) is a mistake, and pixels are taken for square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One file's streams. `zero` is the container time, in seconds, of grid frame 0.

    The grid is laid so that the first picture falls exactly on a grid frame; footage begins at the container's
    start (at most 40 ms of sound before it belongs to no grid frame).
    """

    container: str
    duration_s: float
    n_frames: int
    zero: Fraction
    pictures_end_frame: int
    """Grid frames up to which there are video packets; 0 without video."""
    torn: bool
    """The header promises more than is there, or the file cannot be read to its end; `duration_s` is the promise."""
    video_codec: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    pixel_format: str | None = None
    rotation_deg: int = 0
    """Counter-clockwise turn that sets the coded picture upright: 0, 90, 180 or 270."""
    sample_aspect: tuple[int, int] = (1, 1)
    interlaced: bool = False
    hdr: str | None = None
    audio_codec: str | None = None
    audio_rate_hz: int | None = None
    audio_channels: int | None = None


def probe(path: Path, beat: Callable[[], None] = lambda: None) -> Probe:
    """Read a file's headers, the times of all its packets, and its first pictures; nothing more is decoded.

    `beat` is called while there is progress. Raises MediaError when it is no readable media file.
    """
    with open_media(path) as container:
        film, voice = video_stream(container), audio_stream(container)
        if film is None and voice is None:
            raise MediaError("failed.unreadable", "neither a video nor an audio stream")
        extent = extent_of(container, film, voice, beat)
        found = {"container": container.format.name, **_laid_out(extent), **_sound(voice)}
    if film is not None:
        found |= _pictures(path)
    return Probe(**found)


def header_duration_s(path: Path) -> float | None:
    """What a file's header says of its length, s; None where it says nothing. No packet is looked for.

    Raises MediaError when it is no readable media file.
    """
    with open_media(path) as container:
        return None if not container.duration or container.duration < 0 else container.duration / av.time_base


def _laid_out(extent: Extent) -> dict[str, Any]:
    """The grid over the footage."""
    ahead = math.floor((extent.film_start - extent.start) * GRID_FPS)
    zero = extent.film_start - Fraction(ahead, GRID_FPS)
    n_frames = math.floor((extent.end - zero) * GRID_FPS + Fraction(1, 2))
    shown = math.ceil((extent.film_end - zero) * GRID_FPS - Fraction(1, 100))  # stamps are rounded to ticks
    return {
        "duration_s": float(extent.end - extent.start),
        "n_frames": n_frames,
        "zero": zero,
        "pictures_end_frame": max(0, min(shown, n_frames)),
        "torn": extent.torn,
    }


def _sound(voice: AudioStream | None) -> dict[str, Any]:
    if voice is None:
        return {}
    context = voice.codec_context
    return {
        "audio_codec": context.name,
        "audio_rate_hz": context.sample_rate or None,
        "audio_channels": context.channels or None,
    }


def _pictures(path: Path) -> dict[str, Any]:
    """The upright size, rotation, interlacing and colour of the first pictures."""
    log = DecodeLog()
    with open_media(path) as container:
        film = video_stream(container)
        assert film is not None
        frames = first_pictures(container, film, log)
        if not frames:
            code = "failed.undecodable" if log.errors else "failed.truncated"
            what = f"{film.codec_context.name}; not tried over {MAX_PIXELS >> 20} megapixels"
            raise MediaError(code, f"no picture could be decoded ({what})")
        first = frames[0]
        aspect = film.sample_aspect_ratio or Fraction(1)
        if not 1 / WIDEST_PIXEL <= aspect <= WIDEST_PIXEL:
            aspect = Fraction(1)
        rotation_deg = round(first.rotation / 90) * 90 % 360
        width, height = upright_size(first.width, first.height, aspect, rotation_deg)
        rate = film.average_rate or film.guessed_rate or Fraction(GRID_FPS)
        return {
            "video_codec": film.codec_context.name,
            "width_px": width,
            "height_px": height,
            "fps": float(rate),
            "pixel_format": first.format.name,
            "rotation_deg": rotation_deg,
            "sample_aspect": (aspect.numerator, aspect.denominator),
            "interlaced": any(frame.interlaced_frame for frame in frames),
            "hdr": HDR_TRANSFERS.get(int(first.color_trc)),
        }


def upright_size(width: int, height: int, aspect: Fraction, rotation_deg: int) -> tuple[int, int]:
    """Even width and height of the picture with square pixels (the longer axis is stretched) and turned upright."""
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    width, height = max(1, width // 2 * 2), max(1, height // 2 * 2)
    return (height, width) if rotation_deg in (90, 270) else (width, height)
