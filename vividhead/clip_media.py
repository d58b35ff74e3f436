"""What scores look at: a clip's face crops, mesh and sound, kept in memory at half the size of RGB.

One minute of 256 px crops is 147 MB, with 13 MB of what is around them the most that one clip can hold.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceMesh
from vividhead.media.decode import Planes, rgb_from_i420
from vividhead.media.planes import square_of_plane
from vividhead.records import SAMPLES_PER_FRAME, Box, Clip
from vividhead.score import (
    FACE_CROP_PX,
    FACE_CROP_SCALE,
    UNSCALED_EVERY,
    UNSCALED_MOST_PX,
    WIDE_EVERY,
    WIDE_PX,
    WIDE_SCALE,
    OtherFace,
)

Wide = tuple[NDArray[np.uint8], tuple[int, int, int]]
"""Luma around a face, and the square (x0, y0, side) of the source behind it."""
_WIDE_STEPS = 8  # to a side: where a square may begin
_SIDES_PER_OCTAVE = 4


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """One frame's face crop as I420, and the square of the source picture it was cut from.

    Of some frames also the luma in the face box as it was, not scaled, and a small one of what is around.
    """

    i420: NDArray[np.uint8]
    x0_px: int
    y0_px: int
    side_px: int
    unscaled_HW: NDArray[np.uint8] | None = None
    wide: Wide | None = None


def cut_face(picture: Planes, box: Box, frame: int | None = None) -> FaceCrop:
    """Cut the square of 1.8 face boxes around `box`, even-placed so that chroma stays aligned.

    `frame`, of the source, decides what else is kept: alike however often a clip is cut.
    """
    side = max(8, round((box[3] - box[1]) * FACE_CROP_SCALE / 2) * 2)
    x0 = round(((box[0] + box[2]) - side) / 4) * 2
    y0 = round(((box[1] + box[3]) - side) / 4) * 2
    unscaled_HW = unscaled(picture.y_HW, box) if frame is not None and frame % UNSCALED_EVERY == 0 else None
    wide = wide_luma(picture.y_HW, box) if frame is not None and frame % WIDE_EVERY == 0 else None
    return FaceCrop(picture.square_i420(x0, y0, side, FACE_CROP_PX), x0, y0, side, unscaled_HW, wide)


def wide_luma(luma_HW: NDArray[np.uint8], box: Box) -> Wide:
    """What is around a face, small: see `ClipMedia.wide_lumas`."""
    steps = math.log2(max((box[3] - box[1]) * WIDE_SCALE, 2 * _WIDE_STEPS) / _WIDE_STEPS) * _SIDES_PER_OCTAVE
    step = round(2 ** (round(steps) / _SIDES_PER_OCTAVE))
    side = step * _WIDE_STEPS
    x0, y0 = (round(((box[k] + box[k + 2]) - side) / 2 / step) * step for k in (0, 1))
    return square_of_plane(luma_HW, x0, y0, side, WIDE_PX), (x0, y0, side)


def unscaled(luma_HW: NDArray[np.uint8], box: Box) -> NDArray[np.uint8] | None:
    """What of the face box lies in the picture, its middle alone of a large one; None where that is next to nothing."""
    height, width = luma_HW.shape
    half = min(box[3] - box[1], UNSCALED_MOST_PX) / 2
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    rows = slice(max(0, round(y - half)), max(0, min(height, round(y + half))))
    columns = slice(max(0, round(x - half)), max(0, min(width, round(x + half))))
    inside_HW = luma_HW[rows, columns]
    return inside_HW.copy() if min(inside_HW.shape) >= half else None


def mesh_of(crops: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The mesh (T, 478, 3) of crops that follow one another."""
    with FaceMesh() as mesh:
        return np.stack(list(mesh.points(crops)))


class BufferedClipMedia:
    """`score.ClipMedia` over face crops in memory. See there for what each property means."""

    def __init__(
        self,
        clip: Clip,
        size_px: tuple[int, int],
        boxes: Sequence[Box],
        faces: Callable[[], Sequence[FaceCrop]],
        detected_frames: Sequence[int],
        others: Sequence[OtherFace],
        speech_spans_s: Sequence[tuple[float, float]],
        sound: Callable[[int, int], NDArray[np.float32]],
        beat: Callable[[], None] = lambda: None,
        mesh: Callable[[Iterator[NDArray[np.uint8]]], NDArray[np.float32]] = mesh_of,
        syncnet_every_frames: int = 1,
    ) -> None:
        """Take the clip's boxes, and ways to what is dear: its crops, its sound by (start, end) in source frames.

        `size_px` is the source's width and height; `mesh` makes the mesh of the crops, or gives one that is known.
        """
        self.clip = clip
        self.source_width_px, self.source_height_px = size_px
        self.detected_frames = detected_frames
        self.others = others
        self.speech_spans_s = speech_spans_s
        self.syncnet_every_frames = syncnet_every_frames
        self.box_xyxy_px_T4 = np.array(boxes, np.float32)
        self._cut = faces
        self._crops: Sequence[FaceCrop] | None = None
        self._sound = sound
        self._beat = beat
        self._mesh_of = mesh
        self._mesh: NDArray[np.float32] | None = None
        self._audio: NDArray[np.float32] | None = None

    @property
    def _faces(self) -> Sequence[FaceCrop]:
        if self._crops is None:
            self._crops = self._cut()
            assert len(self._crops) == self.clip.n_frames
        return self._crops

    @property
    def crop_xyxy_px_T4(self) -> NDArray[np.float32]:
        squares = [(f.x0_px, f.y0_px, f.x0_px + f.side_px, f.y0_px + f.side_px) for f in self._faces]
        return np.array(squares, np.float32)

    @property
    def landmarks_TNC(self) -> NDArray[np.float32]:
        if self._mesh is None:
            self._mesh = self._mesh_of(crop for _, crop in self.faces())
        return self._mesh

    @property
    def has_mesh(self) -> bool:
        """Has a score asked for the mesh already?"""
        return self._mesh is not None

    @property
    def audio_S(self) -> NDArray[np.float32]:
        if self._audio is None:
            self._audio = self._sound(self.clip.start_frame, self.clip.end_frame)
            assert len(self._audio) == self.clip.n_frames * SAMPLES_PER_FRAME
        return self._audio

    def face_HWC(self, frame: int) -> NDArray[np.uint8]:
        return rgb_from_i420(self._faces[frame].i420)

    def faces(self, step: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for frame in range(0, self.clip.n_frames, step):
            self._beat()
            yield frame, self.face_HWC(frame)

    def unscaled_lumas(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for frame, face in enumerate(self._faces):
            if face.unscaled_HW is not None:
                yield frame, face.unscaled_HW

    def wide_lumas(self) -> Iterator[tuple[int, NDArray[np.uint8], tuple[int, int, int]]]:
        for frame, face in enumerate(self._faces):
            if face.wide is not None:
                yield frame, *face.wide
