"""A clip that scores can measure without a file or a decoder: pictures, sound and boxes held in arrays.

For tests of scores, and for trying a new score at a prompt. It cuts face crops as `vividhead.score` documents
them and runs the real detector and mesh, so a score sees what it would see in a run.

Axes: T frames on the 25 fps clip grid, H W C picture, N mesh points, S audio samples at 16 kHz.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.clip_media import unscaled, wide_luma
from vividhead.faces import FaceDetector, FaceMesh
from vividhead.media.planes import resized
from vividhead.records import SAMPLES_PER_FRAME, Clip
from vividhead.score import FACE_CROP_PX, FACE_CROP_SCALE, UNSCALED_EVERY, WIDE_EVERY, OtherFace

Picture = NDArray[np.uint8]

_DETECT_STEP = 5  # grid frames between two looks of the detector, as often as a run looks
_MIN_CONFIDENCE = 0.5


class ArrayClipMedia:
    """A `ClipMedia` over in-memory pictures; nothing is made before it is asked for.

    What is left out gets a plain stand-in: boxes are found by the real face detector, sound is silence,
    nobody else is in the picture, nobody speaks, and the clip's crop is the largest square around the face.
    """

    def __init__(
        self,
        frames: NDArray[np.uint8] | Callable[[int], Picture],
        n_frames: int | None = None,
        *,
        box_xyxy_px_T4: NDArray[np.float32] | None = None,
        audio_S: NDArray[np.float32] | None = None,
        others: Sequence[OtherFace] = (),
        detected_frames: Sequence[int] | None = None,
        speech_spans_s: Sequence[tuple[float, float]] = (),
        crop_xyxy_px: tuple[int, int, int, int] | None = None,
        clip_id: str = "array-clip",
    ) -> None:
        """Take RGB `frames` (T, H, W, 3), or a function from frame number to picture and its `n_frames`.

        A function's pictures are asked for anew each time, so a long clip need not lie in memory.
        `box_xyxy_px_T4` of one row holds for all frames; `audio_S` must be exactly 640 T samples.
        """
        if callable(frames):
            if n_frames is None:
                raise ValueError("n_frames is needed where frames is a function")
            self._picture, n = frames, n_frames
        else:
            stack_THWC = frames
            self._picture, n = (lambda frame: np.asarray(stack_THWC[frame])), len(stack_THWC)
        self.source_height_px, self.source_width_px = (int(px) for px in self._picture(0).shape[:2])
        self.others = tuple(others)
        looked = range(0, n, _DETECT_STEP) if detected_frames is None else detected_frames
        self.detected_frames = tuple(looked)
        self.speech_spans_s = tuple(speech_spans_s)
        self.syncnet_every_frames = 1
        boxes_T4 = self._detected(n) if box_xyxy_px_T4 is None else box_xyxy_px_T4
        self.box_xyxy_px_T4 = np.array(np.broadcast_to(boxes_T4, (n, 4)), np.float32)
        self.audio_S = np.zeros(n * SAMPLES_PER_FRAME, np.float32) if audio_S is None else audio_S
        if len(self.audio_S) != n * SAMPLES_PER_FRAME:
            raise ValueError(f"{n} frames own {n * SAMPLES_PER_FRAME} audio samples, not {len(self.audio_S)}")
        self.clip = Clip(
            clip_id=clip_id, source_id="array-source", segment_id="array-source-0000000", track=0, shot=0,
            start_frame=0, end_frame=n, crop_xyxy_px=crop_xyxy_px or self._square_around_face(),
        )  # fmt: skip

    @cached_property
    def crop_xyxy_px_T4(self) -> NDArray[np.float32]:
        """The square behind each face crop, even-placed as in a run, so exactly what was cut."""
        centre_T2 = (self.box_xyxy_px_T4[:, :2] + self.box_xyxy_px_T4[:, 2:]) / 2
        face_T1 = self.box_xyxy_px_T4[:, 3:] - self.box_xyxy_px_T4[:, 1:2]
        side_T1 = _even(face_T1 * FACE_CROP_SCALE)
        corner_T2 = _even(centre_T2 - side_T1 / 2)
        return np.hstack([corner_T2, corner_T2 + side_T1]).astype(np.float32)

    @cached_property
    def landmarks_TNC(self) -> NDArray[np.float32]:
        """The real mesh on the face crops; see `ClipMedia.landmarks_TNC`."""
        with FaceMesh() as mesh:
            return np.stack(list(mesh.points(crop for _, crop in self.faces())))

    def face_HWC(self, frame: int) -> Picture:
        """RGB face crop of grid frame `frame`; see `ClipMedia.face_HWC`."""
        return cut_square(self._picture(frame), self.crop_xyxy_px_T4[frame], FACE_CROP_PX)

    def faces(self, step: int = 1) -> Iterator[tuple[int, Picture]]:
        """Yield (frame, RGB face crop) for every `step`-th grid frame."""
        for frame in range(0, self.clip.n_frames, step):
            yield frame, self.face_HWC(frame)

    def unscaled_lumas(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (frame, luma) of the face box, unscaled; see `ClipMedia.unscaled_lumas`."""
        for frame in range(0, self.clip.n_frames, UNSCALED_EVERY):
            luma_HW = np.asarray(cv2.cvtColor(self._picture(frame), cv2.COLOR_RGB2GRAY), np.uint8)
            x0, y0, x1, y1 = self.box_xyxy_px_T4[frame].tolist()
            inside_HW = unscaled(luma_HW, (x0, y0, x1, y1))
            if inside_HW is not None:
                yield frame, inside_HW

    def wide_lumas(self) -> Iterator[tuple[int, NDArray[np.uint8], tuple[int, int, int]]]:
        """Yield (frame, luma, square) of what is around the face; see `ClipMedia.wide_lumas`."""
        for frame in range(0, self.clip.n_frames, WIDE_EVERY):
            luma_HW = np.asarray(cv2.cvtColor(self._picture(frame), cv2.COLOR_RGB2GRAY), np.uint8)
            x0, y0, x1, y1 = self.box_xyxy_px_T4[frame].tolist()
            yield frame, *wide_luma(luma_HW, (x0, y0, x1, y1))

    def _detected(self, n: int) -> NDArray[np.float64]:
        """Return (T, 4) boxes of the largest face, interpolated between the detector's looks."""
        detector, looked = FaceDetector(_MIN_CONFIDENCE), range(0, n, _DETECT_STEP)
        seen = [(frame, found[0].box) for frame in looked if (found := detector.detect(self._picture(frame)))]
        if not seen:
            raise ValueError("the detector sees no face in these pictures: pass box_xyxy_px_T4")
        frames, boxes = zip(*seen, strict=True)
        return np.stack([np.interp(np.arange(n), frames, edge) for edge in zip(*boxes, strict=True)], axis=1)

    def _square_around_face(self) -> tuple[int, int, int, int]:
        box_4 = np.median(self.box_xyxy_px_T4, axis=0)
        side = min(self.source_width_px, self.source_height_px) // 2 * 2
        x0 = int(np.clip((box_4[0] + box_4[2] - side) / 2, 0, self.source_width_px - side)) // 2 * 2
        y0 = int(np.clip((box_4[1] + box_4[3] - side) / 2, 0, self.source_height_px - side)) // 2 * 2
        return x0, y0, x0 + side, y0 + side


def _even(px: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.round(px / 2) * 2)


def cut_square(picture_HWC: Picture, square_xyxy_px: NDArray[np.float32], side_px: int) -> Picture:
    """Cut a square of whole pixels and bring it to `side_px`; outside, the picture's border is repeated."""
    height, width = picture_HWC.shape[:2]
    x0, y0, x1, y1 = (int(edge) for edge in square_xyxy_px)
    inside = picture_HWC[max(y0, 0) : max(y1, 1), max(x0, 0) : max(x1, 1)]
    missing = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
    square = cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE) if any(missing) else inside
    return resized(np.asarray(square, np.uint8), side_px)
