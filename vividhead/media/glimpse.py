"""A few pictures of any film or still as grey, for who asks nothing of the file but what it looks like."""

from collections.abc import Iterator
from pathlib import Path

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.media.opening import open_media
from vividhead.media.still import read_still

STILLS = (".png", ".jpg", ".jpeg", ".webp")


def square_pictures(path: Path, count: int, side_px: int, skip: int = 10) -> NDArray[np.uint8]:
    """The middle squares of so many pictures of a film in a row, RGB (T, H, W, C), fewer where it has no more.

    Raises MediaError where it has none.
    """
    found: list[NDArray[np.uint8]] = []
    with open_media(path) as container:
        if not container.streams.video:
            raise MediaError("failed.no_video", "the file has no pictures")
        try:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= skip and len(found) < count:
                    found.append(_middle(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), side_px))
                if len(found) == count:
                    break
        except av.error.FFmpegError as fault:
            if not found:
                raise MediaError("failed.undecodable", f"no picture can be decoded: {fault}") from fault
    if not found:
        raise MediaError("failed.no_video", f"the film has no more than {skip} pictures")
    return np.stack(found)


def _middle(picture_HWC: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    height, width = picture_HWC.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square_HWC = np.ascontiguousarray(picture_HWC[top : top + edge, left : left + edge])
    return np.asarray(cv2.resize(square_HWC, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def grey_glimpses(path: Path, most: int = 40, every: int = 5) -> Iterator[NDArray[np.uint8]]:
    """Yield every fifth picture of a film, at most so many, or the one of a still, as grey (H, W).

    Raises MediaError where there is no picture in the file.
    """
    if path.suffix.lower() in STILLS:
        yield np.asarray(cv2.cvtColor(read_still(path), cv2.COLOR_RGB2GRAY), np.uint8)
        return
    with open_media(path) as container:
        if not container.streams.video:
            raise MediaError("failed.no_video", "the file has no pictures")
        given = 0
        try:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield np.asarray(frame.to_ndarray(format="gray"), np.uint8)
                    given += 1
                if given == most:
                    return
        except av.error.FFmpegError as fault:
            if not given:
                raise MediaError("failed.undecodable", f"no picture can be decoded: {fault}") from fault
