"""Footage whose every picture says its number and whose sound beeps at a known time.

A picture is ten upright bars, light for 1 and dark for 0 in the upper half and the other way round in the lower
half: a torn, combed or wrongly turned picture says nothing, never a wrong number.

Axes: H W C picture, S audio samples.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from vividhead.ingest import examine
from vividhead.media import GridFrame, Picture, pictures
from vividhead.media.decode import DecodeLog
from vividhead.media.planes import Planes
from vividhead.pipeline import Ingest
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, Listed, Source

BITS = 10
WIDTH_PX, HEIGHT_PX = 160, 96
DARK, LIGHT = 40, 216
BEEP_HZ = 1000.0
SOUND_HZ = 48_000
ANY = Ingest(min_duration_s=0, min_side_px=16, max_side_px=16384)
"""Ingest options that turn nothing down for its length or size."""


def numbered(
    numbers: Iterable[int], width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX
) -> Iterator[NDArray[np.uint8]]:
    """RGB pictures that say these numbers, faintly coloured so that chroma is coded too."""
    edges = np.linspace(0, width_px, BITS + 1).round().astype(int)
    for number in numbers:
        bars_W = np.full(width_px, DARK, np.uint8)
        for bit in range(BITS):
            if number >> (BITS - 1 - bit) & 1:
                bars_W[edges[bit] : edges[bit + 1]] = LIGHT
        picture = np.empty((height_px, width_px, 3), np.uint8)
        picture[: height_px // 2] = bars_W[None, :, None]
        picture[height_px // 2 :] = (LIGHT + DARK - bars_W)[None, :, None]
        picture[..., 0] += np.uint8(number % 16)
        yield picture


def number_in(picture: Picture | None) -> int | None:
    """The number that a picture says; None where there is no picture or it says none clearly."""
    if picture is None:
        return None
    luma_HW = Planes(picture).y_HW
    height, width = luma_HW.shape
    rows = np.linspace(height / 16, height * 7 / 16, 8).astype(int)
    wide = width / BITS
    columns = (np.arange(BITS)[:, None] * wide + np.linspace(wide / 4, wide * 3 / 4, 5)).astype(int)
    upper, lower = (luma_HW[half + rows][:, columns].astype(float) for half in (0, height // 2))
    unclear = np.abs(upper.mean((0, 2)) - lower.mean((0, 2))) < 80
    torn = np.maximum(upper.std((0, 2)), lower.std((0, 2))) > 40
    if (unclear | torn).any():
        return None
    bits = upper.mean((0, 2)) > lower.mean((0, 2))
    return int(bits @ (1 << np.arange(BITS)[::-1]))


def beep(
    duration_s: float, at_s: float, rate_hz: int = SOUND_HZ, channels: int = 1, lasts_s: float = 0.2
) -> NDArray[np.float32]:
    """Silence with one beep that begins at half of full scale at `at_s`; (S,) or (S, channels)."""
    time_S = np.arange(round(duration_s * rate_hz)) / rate_hz
    on_S = (time_S >= at_s - 1e-9) & (time_S < at_s + lasts_s)
    sound_S = np.where(on_S, 0.5 * np.cos(2 * np.pi * BEEP_HZ * (time_S - at_s)), 0).astype(np.float32)
    return sound_S if channels == 1 else np.repeat(sound_S[:, None], channels, 1)


def onsets_s(sound_S: NDArray[np.float32], pause_s: float = 0.1) -> list[float]:
    """When 16 kHz sound first reaches a quarter of full scale after a pause."""
    loud = np.flatnonzero(np.abs(sound_S) > 0.25)
    after_pause = np.diff(loud, prepend=-SAMPLE_RATE_HZ) > pause_s * SAMPLE_RATE_HZ
    return [float(at) / SAMPLE_RATE_HZ for at in loud[after_pause]]


def source_of(path: Path, options: Ingest = ANY) -> Source:
    """The file as ingest sees it."""
    return examine(Listed(uri=str(path)), options, lambda: None)


def grid(
    path: Path, source: Source, start_frame: int = 0, end_frame: int | None = None, max_gap_s: float = 0.5,
    log: DecodeLog | None = None,
) -> list[tuple[int, int | None, bool]]:  # fmt: skip
    """(grid frame, number of its picture, repeated) of a span."""
    end = source.n_frames if end_frame is None else end_frame

    def plain(frame: GridFrame) -> tuple[int, int | None, bool]:
        return frame.frame, number_in(frame.picture), frame.repeated

    return [plain(frame) for frame in pictures(path, source, start_frame, end, max_gap_s, log)]


def numbers_of(path: Path, source: Source, start_frame: int = 0, end_frame: int | None = None) -> list[int | None]:
    """The number in the picture of every grid frame of a span."""
    return [number for _, number, _ in grid(path, source, start_frame, end_frame)]


def nearest(times_s: Sequence[Fraction], frame: int) -> set[int]:
    """Pictures nearest in time to a grid frame; two where stamps rounded to 1 ms might tell them apart wrongly."""
    times_ns = np.array([time.numerator * 10**9 // time.denominator for time in times_s])
    away_ns = np.abs(times_ns - frame * 10**9 // GRID_FPS)
    return set(np.flatnonzero(away_ns <= away_ns.min() + 1_000_000).tolist())


def remuxed(path: Path, out: Path, **options: object) -> Path:
    """`path` rewritten by the ffmpeg program with these options, without coding anew unless they say so."""
    source = ffmpeg.input(f"file:{path}", **{k.removeprefix("in_"): v for k, v in options.items() if k[:3] == "in_"})
    rest = {k: v for k, v in options.items() if not k.startswith("in_")}
    target = source.output(f"file:{out}", **({"c": "copy"} | rest)).overwrite_output()
    ffmpeg.run(target, cmd=[imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin"], quiet=True)
    return out
