"""One picture as scores see a clip: a single frame, without sound.

Axes: T frames (one), H W C picture, N mesh points, S audio samples.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vividhead.clip_media import cut_face
from vividhead.faces import FaceMesh
from vividhead.media.decode import Planes, rgb_from_i420
from vividhead.records import SAMPLES_PER_FRAME, Box, Clip
from vividhead.score import OtherFace

MESH_LOOKS = 3
"""The mesh is a tracker: it settles within so many looks at the same picture."""


class StillClip:
    """`score.ClipMedia` of one picture. See there for what each property means."""

    def __init__(
        self, planes: Planes, box: Box, crop_xyxy_px: tuple[int, int, int, int], other_heights_px: Sequence[float]
    ) -> None:
        """Take an upright picture, the square box of its own face, the crop, and the heights of its other faces."""
        self.clip = Clip(
            clip_id="still", source_id="still", segment_id="still", track=0, shot=0, start_frame=0, end_frame=1,
            crop_xyxy_px=crop_xyxy_px,
        )  # fmt: skip
        self.source_height_px, self.source_width_px = planes.y_HW.shape
        self.detected_frames: Sequence[int] = (0,)
        self.others: Sequence[OtherFace] = [OtherFace(0, height_px) for height_px in other_heights_px]
        self.box_xyxy_px_T4 = np.array([box], np.float32)
        self.speech_spans_s: Sequence[tuple[float, float]] = ()
        self._face = cut_face(planes, box)

    @cached_property
    def landmarks_TNC(self) -> NDArray[np.float32]:
        """The real mesh on the face crop."""
        with FaceMesh() as mesh:
            *_, points_NC = mesh.points([self.face_HWC(0)] * MESH_LOOKS)
        return points_NC[None]

    @property
    def crop_xyxy_px_T4(self) -> NDArray[np.float32]:
        """The square behind the face crop."""
        face = self._face
        return np.array([(face.x0_px, face.y0_px, face.x0_px + face.side_px, face.y0_px + face.side_px)], np.float32)

    @property
    def audio_S(self) -> NDArray[np.float32]:
        """A picture is silent."""
        return np.zeros(SAMPLES_PER_FRAME, np.float32)

    def face_HWC(self, frame: int) -> NDArray[np.uint8]:
        assert frame == 0, "a still has one frame"
        return rgb_from_i420(self._face.i420)

    def faces(self, step: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        yield 0, self.face_HWC(0)
