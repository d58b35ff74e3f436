"""One picture as scores see a clip: a single frame, without sound."""

from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from vividhead.clip_media import BufferedClipMedia, cut_face, mesh_of
from vividhead.media.decode import Planes
from vividhead.records import SAMPLES_PER_FRAME, Box, Clip
from vividhead.score import OtherFace

MESH_LOOKS = 3
"""The mesh is a tracker: it settles within so many looks at the same picture."""


def still_clip(
    planes: Planes, box: Box, crop_xyxy_px: tuple[int, int, int, int], other_heights_px: Sequence[float]
) -> BufferedClipMedia:
    """Take an upright picture, the square box of its own face, the crop, and the heights of its other faces."""
    clip = Clip(
        clip_id="still", source_id="still", segment_id="still", track=0, shot=0, start_frame=0, end_frame=1,
        crop_xyxy_px=crop_xyxy_px,
    )  # fmt: skip
    height, width = planes.y_HW.shape
    others = [OtherFace(0, height_px) for height_px in other_heights_px]
    face = cut_face(planes, box, 0)
    return BufferedClipMedia(
        clip, (width, height), [box], lambda: [face], [0], others, [],
        lambda start, end: np.zeros((end - start) * SAMPLES_PER_FRAME, np.float32), mesh=_settled,
    )  # fmt: skip


def _settled(crops: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The mesh of the last look at the one picture."""
    return mesh_of(repeat(next(crops), MESH_LOOKS))[-1:]
