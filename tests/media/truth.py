"""Footage whose every picture says its number and whose sound beeps at a known time.

A picture is twelve upright bars, light for 1 and dark for 0 in the upper half and the other way round in the
lower half: a torn, combed or wrongly turned picture reads as None, never as a wrong number.

Axes: H W C picture, S audio samples.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from vividhead.ingest import examine
from vividhead.media import GridFrame, pictures
from vividhead.media.decode import DecodeLog, Planes
from vividhead.pipeline import Ingest
from vividhead.records import SAMPLE_RATE_HZ, Listed, Source

BITS = 12
WIDTH_PX, HEIGHT_PX = 192, 128
DARK, LIGHT = 40, 216
BEEP_HZ = 1000.0
ANY = Ingest(min_duration_s=0, min_side_px=16, max_side_px=16384)
"""Ingest options that turn nothing down for its length or size."""


def numbered(numbers: range, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> Iterator[NDArray[np.uint8]]:
    """RGB pictures that say these numbers, in faint colours so that chroma is coded too."""
    edges = np.linspace(0, width_px, BITS + 1).round().astype(int)
    for number in numbers:
        bars_W = np.zeros(width_px, np.uint8)
        for bit in range(BITS):
            bars_W[edges[bit] : edges[bit + 1]] = LIGHT if number >> (BITS - 1 - bit) & 1 else DARK
        picture = np.empty((height_px, width_px, 3), np.uint8)
        picture[: height_px // 2] = bars_W[None, :, None]
        picture[height_px // 2 :] = (LIGHT + DARK - bars_W)[None, :, None]
        picture[..., 0] += np.uint8(number % 16)
        yield picture


def number_in(picture: VideoFrame | None) -> int | None:
    """The number that a picture says; None where there is no picture or it says none clearly."""
    if picture is None:
        return None
    luma_HW = Planes(picture).y_HW.astype(float)
    height, width = luma_HW.shape
    edges = np.linspace(0, width, BITS + 1)
    number = 0
    for bit in range(BITS):
        wide = edges[bit + 1] - edges[bit]
        columns = slice(round(edges[bit] + wide / 4), round(edges[bit + 1] - wide / 4))
        upper = luma_HW[height // 16 : height * 7 // 16, columns]
        lower = luma_HW[height * 9 // 16 : height * 15 // 16, columns]
        if abs(upper.mean() - lower.mean()) < 90 or max(upper.std(), lower.std()) > 30:
            return None
        number = number << 1 | int(upper.mean() > lower.mean())
    return number


def beep(duration_s: float, at_s: float, rate_hz: int, channels: int = 1, lasts_s: float = 0.2) -> NDArray[np.float32]:
    """Silence with one beep that begins at full strength at `at_s`; (S,) or (S, channels)."""
    time_S = np.arange(round(duration_s * rate_hz)) / rate_hz
    on_S = (time_S >= at_s - 1e-9) & (time_S < at_s + lasts_s)
    sound_S = np.where(on_S, 0.5 * np.cos(2 * np.pi * BEEP_HZ * (time_S - at_s)), 0).astype(np.float32)
    return sound_S if channels == 1 else np.repeat(sound_S[:, None], channels, 1)


def onset_s(sound_S: NDArray[np.float32]) -> float:
    """When 16 kHz sound first reaches a quarter of full strength."""
    loud = np.flatnonzero(np.abs(sound_S) > 0.25)
    assert loud.size, "no beep in the sound"
    return float(loud[0]) / SAMPLE_RATE_HZ


def source_of(path: Path, options: Ingest = ANY) -> Source:
    """The file as ingest sees it."""
    return examine(Listed(uri=str(path)), options, lambda: None)


def grid(
    path: Path, source: Source, start_frame: int = 0, end_frame: int | None = None, max_gap_s: float = 0.5,
    log: DecodeLog | None = None,
) -> list[tuple[int, int | None, bool]]:
    """(grid frame, number of its picture, repeated) of a span."""
    end = source.n_frames if end_frame is None else end_frame

    def plain(frame: GridFrame) -> tuple[int, int | None, bool]:
        return frame.frame, number_in(frame.picture), frame.repeated

    return [plain(frame) for frame in pictures(path, source, start_frame, end, max_gap_s, log)]


def nearest(times_s: list[Fraction], frame: int) -> int:
    """Index of the picture nearest in time to a grid frame; the earlier of two equally near."""
    return min(range(len(times_s)), key=lambda k: (abs(times_s[k] - Fraction(frame, 25)), k))
