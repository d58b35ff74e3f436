"""Chunks to messages: pictures, watermarked, as JPEG, WebP, VP8 or VP9, by libraries that let other threads run."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.flashhead.generate.stream import Chunk
from vividhead.flashhead.watermark import marked
from vividhead.flashhead.wire import Codec, Media
from vividhead.media.live import LiveEncoder, i420_of
from vividhead.records import SAMPLES_PER_FRAME

PICTURES_PER_MESSAGE = 6
"""A quarter of a second: what an interrupt or a slow client costs is counted in these."""
_PARAMETERS: dict[Codec, int] = {"jpeg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}
_SUFFIXES: dict[Codec, str] = {"jpeg": ".jpg", "webp": ".webp"}


def encoder_for(codec: Codec, side_px: int, quality: int) -> LiveEncoder | None:
    """What a stream of VP8 or VP9 keeps from picture to picture; None where each is a file."""
    return LiveEncoder(codec, side_px, quality) if codec == "vp8" or codec == "vp9" else None


def messages(
    chunk: Chunk, codec: Codec, quality: int, label: str, *, is_last: bool, encoder: LiveEncoder | None = None
) -> Iterator[Media]:
    """A chunk in pieces, each with its own sound; the last one says so if nothing is left unsaid after it."""
    count = len(chunk.frames_THWC)
    pcm_S = np.clip(np.rint(chunk.pcm_S * 32767), -32768, 32767).astype(np.int16)
    for at in range(0, count, PICTURES_PER_MESSAGE):
        part_THWC = chunk.frames_THWC[at : at + PICTURES_PER_MESSAGE]
        end = at + len(part_THWC)
        shown = [labelled(marked(picture_HWC), label) for picture_HWC in part_THWC]
        yield Media(
            codec=codec,
            pictures=encoder.encode(shown) if encoder else [encoded(shown_HWC, codec, quality) for shown_HWC in shown],
            pcm_S=pcm_S[at * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME],
            epoch=chunk.epoch,
            start_frame=chunk.start_frame + at,
            side_px=int(part_THWC.shape[1]),
            idle=chunk.idle,
            last=is_last and end == count,
        )


def encoded(picture_HWC: NDArray[np.uint8], codec: Codec, quality: int) -> bytes:
    """An RGB picture as a file of this kind."""
    if codec == "i420":
        return i420_of(picture_HWC).tobytes()
    bgr_HWC = cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(_SUFFIXES[codec], bgr_HWC, [_PARAMETERS[codec], quality])
    if not done:
        raise VividHeadError(f"a picture of shape {picture_HWC.shape} could not be encoded as {codec}")
    return bytes(data)


def labelled(picture_HWC: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A copy with `text` in its lower left corner, white on a dark bar; the same picture where there is no text."""
    if not text:
        return picture_HWC
    marked_HWC = np.ascontiguousarray(picture_HWC).copy()
    side = marked_HWC.shape[0]
    scale, font = side / 400, cv2.FONT_HERSHEY_SIMPLEX
    (width, height), base = cv2.getTextSize(text, font, scale, 1)
    if width > side * 0.96:
        scale *= side * 0.96 / width
        (width, height), base = cv2.getTextSize(text, font, scale, 1)
    bar_HWC = marked_HWC[side - height - 2 * base - 2 :, : width + 4]
    bar_HWC //= 4
    cv2.putText(marked_HWC, text, (2, side - base - 1), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return marked_HWC
