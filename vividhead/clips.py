"""From a FaceTrack to Clips: 3–60 s in which one still, square crop frames the head.

The crop's side follows the face (so that faces are framed alike everywhere) and never leaves the picture. A head
that leaves the crop, or a face that changes size too much, ends the clip; the next begins on that frame.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vividhead.pipeline import Clips as ClipOptions
from vividhead.records import GRID_FPS, Box, Clip, Segment

GEOMETRY_VERSION = 1
"""Raise it when the same footage may yield other clips or crops: it is part of every clip_id."""
HEAD_MARGIN = 0.05
"""A face box, grown by this part of its side, must lie in the crop."""
HEAD_ROOM = 0.08
"""The crop's centre lies this part of a face above the face box's centre, as hair needs more room than neck."""

Face = TypeVar("Face")


@dataclass(slots=True)
class Draft(Generic[Face]):
    """A run of frames that one still crop frames; `faces` holds what the caller cut from each frame."""

    start_frame: int
    crop_xyxy_px: tuple[int, int, int, int]
    boxes: list[Box] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    has_faces: bool = True
    """False once no faces are cut for it any more."""

    @property
    def end_frame(self) -> int:
        return self.start_frame + len(self.boxes)

    def drop_faces(self) -> None:
        """Let go of the faces, and cut no more of them for this draft."""
        self.faces.clear()
        self.has_faces = False


class ClipCutter(Generic[Face]):
    """Cuts one track, given frame by frame, into drafts of clips. Memory: the faces of one draft."""

    def __init__(self, options: ClipOptions, width_px: int, height_px: int) -> None:
        """Take the options and the size of the source's upright picture."""
        self._options = options
        self._size = (width_px, height_px)
        self._longest = int(options.max_s * GRID_FPS)
        self.draft: Draft[Face] | None = None
        """What the last frame went into."""
        self._reach: Box = (0, 0, 0, 0)
        self._sides = (0.0, 0.0)

    def add(self, frame: int, box: Box, cut: Callable[[], Face]) -> Draft[Face] | None:
        """Add the next frame of the track, its face cut if it is wanted; return the draft it ended, if it did."""
        draft, ended = self.draft, None
        crop = self._framed(box, draft)
        full = draft is not None and len(draft.boxes) == self._longest
        if draft is not None and (crop is None or full or frame != draft.end_frame):
            ended, draft = draft, None
            crop = self._framed(box, None)
        if draft is None:
            draft = self.draft = Draft(frame, (0, 0, 0, 0))
        assert crop is not None
        draft.crop_xyxy_px = crop
        draft.boxes.append(box)
        if draft.has_faces:
            draft.faces.append(cut())
        return ended

    def close(self) -> Draft[Face] | None:
        """The track is over: return what is left."""
        ended, self.draft = self.draft, None
        return ended

    def _framed(self, box: Box, draft: Draft[Face] | None) -> tuple[int, int, int, int] | None:
        """The still crop for the draft's frames and `box`, or None when no such crop holds them all."""
        side = box[3] - box[1]
        if draft is None:
            reach, sides = box, (side, side)
        else:
            r = self._reach
            reach = (min(r[0], box[0]), min(r[1], box[1]), max(r[2], box[2]), max(r[3], box[3]))
            sides = (min(self._sides[0], side), max(self._sides[1], side))
            if sides[1] > sides[0] * self._options.max_zoom:
                return None
        crop = still_crop(reach, sum(sides) / 2, self._options.crop_scale, self._size)
        if draft is not None and not _holds(crop, reach, sides[1] * HEAD_MARGIN, self._size):
            return None
        self._reach, self._sides = reach, sides
        return crop


def still_crop(reach: Box, face_px: float, scale: float, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """The even-numbered square around all the face boxes of a clip (`reach`), shifted to lie in the picture."""
    width, height = size_px
    side = int(min(face_px * scale, width, height)) // 2 * 2
    x0 = (reach[0] + reach[2] - side) / 2
    y0 = (reach[1] + reach[3] - side) / 2 - face_px * HEAD_ROOM
    left = max(0, min(round(x0 / 2) * 2, (width - side) // 2 * 2))
    top = max(0, min(round(y0 / 2) * 2, (height - side) // 2 * 2))
    return left, top, left + side, top + side


def _holds(crop: tuple[int, int, int, int], reach: Box, margin_px: float, size_px: tuple[int, int]) -> bool:
    """Does the crop hold `reach` and a margin? At the picture's own edges a face may be cut as filmed."""
    width, height = size_px
    return (
        (reach[0] - margin_px >= crop[0] or crop[0] == 0)
        and (reach[1] - margin_px >= crop[1] or crop[1] == 0)
        and (reach[2] + margin_px <= crop[2] or crop[2] >= width - 1)
        and (reach[3] + margin_px <= crop[3] or crop[3] >= height - 1)
    )


def clip_of(draft: Draft[Face], segment: Segment, track: int, shot: int) -> Clip:
    """The record of a finished draft; its id is its content's."""
    span = f"{draft.start_frame}:{draft.end_frame}"
    text = f"{segment.source_id}/{span}/{draft.crop_xyxy_px}/{GEOMETRY_VERSION}"
    return Clip(
        clip_id=hashlib.sha256(text.encode()).hexdigest()[:20], source_id=segment.source_id,
        segment_id=segment.segment_id, track=track, shot=shot, start_frame=draft.start_frame,
        end_frame=draft.end_frame, crop_xyxy_px=draft.crop_xyxy_px,
    )  # fmt: skip
