"""How often the watermark is found after encoding and scaling, how often where it is not, and what it costs."""

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.errors import MediaError, UsageError
from vividhead.flashhead.watermark import CERTAIN, agreement, all_marked, marked
from vividhead.media.encode import EncodeOptions
from vividhead.media.glimpse import grey_glimpses, square_pictures
from vividhead.media.talk import TalkWriter
from vividhead.records import SAMPLES_PER_FRAME

SIDES_PX, SCALES, CRFS = (128, 512), (1.0, 0.5), (20, 23, 28)
PICTURES = 10
FILMS = (".mp4", ".mpg", ".mov", ".mkv", ".webm", ".avi")

Frames = NDArray[np.uint8]


def bench_watermark(footage: Path, told: Callable[[str], None]) -> dict[str, Any]:
    """Mark the middle of each film in a folder as if it had been generated, and look for the mark."""
    films = list(_films(footage))
    if not films:
        raise UsageError(f"{footage} holds no film that can be read: {', '.join(FILMS)}")
    rows = []
    for side in SIDES_PX:
        plain = [np.stack([_scaled(picture, side) for picture in film]) for film in films]
        for row in _rows(plain, side):
            rows.append(row)
            told(f"{row['side_px']} px, scaled by {row['scale']:g}, crf {row['crf']}")
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"), "films": len(films), "pictures": PICTURES,
        "certain_from": CERTAIN, "rows": rows, "cost_ms": {side: _cost_ms(films[0][0], side) for side in SIDES_PX},
    }  # fmt: skip


def _rows(plain: list[Frames], side: int) -> Iterator[dict[str, Any]]:
    with_mark = [all_marked(film) for film in plain]
    psnr = [10 * np.log10(255**2 / np.mean((m.astype(float) - p) ** 2)) for m, p in zip(with_mark, plain, strict=True)]
    for scale in SCALES:
        for crf in CRFS:
            to = round(side * scale)
            found = [_after(film, to, crf) for film in with_mark]
            without = [_after(film, to, crf) for film in plain]
            yield {
                "side_px": side, "scale": scale, "crf": crf, "psnr_db": round(float(np.mean(psnr)), 1),
                "found": sum(value >= CERTAIN for value in found), "of": len(found),
                "least": round(min(found), 1), "median": round(float(np.median(found)), 1),
                "found_wrongly": sum(value >= CERTAIN for value in without), "most_without": round(max(without), 1),
            }  # fmt: skip


def _films(folder: Path) -> Iterator[Frames]:
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in FILMS):
        try:
            film = square_pictures(path, PICTURES, max(SIDES_PX))
        except MediaError:
            continue
        if len(film) == PICTURES:
            yield film


def _after(film: Frames, to_px: int, crf: int) -> float:
    """Agreement of the film, scaled and encoded."""
    with tempfile.TemporaryDirectory(prefix="vividhead-watermark-") as scratch:
        path = Path(scratch) / "film.mp4"
        writer = TalkWriter(
            path, EncodeOptions(side_px=to_px, crf=crf, preset="medium", gop_frames=250, aac_kbps=64), {}
        )
        pictures = np.stack([_scaled(picture, to_px) for picture in film])
        writer.add(pictures, np.zeros(len(film) * SAMPLES_PER_FRAME, np.float32))
        writer.finish()
        return agreement(grey_glimpses(path, every=1))


def _scaled(picture_HWC: Frames, side: int) -> Frames:
    return np.asarray(cv2.resize(picture_HWC, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _cost_ms(picture_HWC: Frames, side: int) -> float:
    """Of one picture's mark, in time of this process."""
    small_HWC = _scaled(picture_HWC, side)
    marked(small_HWC)
    began = time.process_time()
    for _ in range(20):
        marked(small_HWC)
    return round((time.process_time() - began) / 20 * 1000, 2)


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{figures['films']} films of {figures['pictures']} pictures, {figures['date']}; certain from {CERTAIN:g}"]
    lines += ["side  scale  crf   found  least  median   without: found  most   PSNR"]
    lines += [
        f"{row['side_px']:>4} {row['scale']:>6g} {row['crf']:>4} {row['found']:>4}/{row['of']} {row['least']:>6} "
        f"{row['median']:>7} {row['found_wrongly']:>16} {row['most_without']:>5} {row['psnr_db']:>6}"
        for row in figures["rows"]
    ]
    cost = ", ".join(f"{ms} ms at {side} px" for side, ms in figures["cost_ms"].items())
    return "\n".join([*lines, f"a picture's mark costs {cost}"])
