"""A spoilt clip on curation's own path: pictures as if decoded, the tracker, face crops, mesh, speech, scores.

It differs in one thing: where curation would part a clip, at a cut or where the face is lost, this goes on, and the
reading says so. Else a score could only be tried on what the tracker had let through.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead import score
from vividhead.calibrate.perturbations.family import Pictures, Samples, Scene
from vividhead.calibrate.records import Reading
from vividhead.clip_media import BufferedClipMedia, FaceCrop, cut_face, mesh_of
from vividhead.lip_audio import LIPS_P
from vividhead.media import GridFrame
from vividhead.media.decode import Planes
from vividhead.media.still import FromRgb
from vividhead.pipeline import Pipeline
from vividhead.records import Box, Clip, Measurement
from vividhead.scan import detector
from vividhead.score import FACE_CROP_PX, OtherFace
from vividhead.track import Watcher
from vividhead.vad import speech_spans_s

MOUTH_HEIGHT = 0.75
"""Of the face box, from its top: where mouths are."""
LEAST_FACE_SHARE = 0.5
"""A clip in which the tracker has a face in less of the frames is not measured at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the tracker and the knife made of a clip's pictures."""

    boxes: Sequence[Box]
    crops: Sequence[FaceCrop]
    size_px: tuple[int, int]
    looked: Sequence[int]
    others: Sequence[OtherFace]
    cuts: int
    face_share: float
    watch_ms: float


def _grid(frames_THWC: Pictures) -> Iterator[GridFrame]:
    picture_of = FromRgb()
    for frame, picture_HWC in enumerate(frames_THWC):
        yield GridFrame(frame, picture_of(picture_HWC), False)


def watched(frames_THWC: Pictures, pipeline: Pipeline, near: Box | None = None) -> Seen | None:
    """Track the clip's face: in each frame the track nearest to `near`, else the largest. None where it is missing."""
    began = time.perf_counter()
    watcher = Watcher(pipeline.track, detector(pipeline.track.min_confidence))
    boxes: list[Box | None] = []
    tracks: list[int | None] = []
    pictures = []
    for seen in watcher.watch(_grid(frames_THWC)):
        chosen = min(seen.boxes, key=lambda track: _rank(seen.boxes[track], near), default=None)
        tracks.append(chosen)
        boxes.append(None if chosen is None else seen.boxes[chosen])
        pictures.append(seen.picture)
    share = sum(box is not None for box in boxes) / len(boxes)
    if share < LEAST_FACE_SHARE:
        return None
    filled = _filled(boxes)
    shown = enumerate(zip(pictures, filled, strict=True))
    crops = [cut_face(Planes(picture), box, frame) for frame, (picture, box) in shown if picture]
    mine = dict(enumerate(tracks))
    others = [
        OtherFace(look.frame, box[3] - box[1])
        for look in watcher.looks
        for (box, _), track in zip(look.faces, look.tracks, strict=True)
        if track != mine[look.frame]
    ]
    height, width = frames_THWC.shape[1:3]
    return Seen(
        boxes=filled, crops=crops, size_px=(width, height), looked=[look.frame for look in watcher.looks],
        others=others, cuts=len(watcher.cuts), face_share=share, watch_ms=1000 * (time.perf_counter() - began),
    )  # fmt: skip


def _rank(box: Box, near: Box | None) -> float:
    if near is None:
        return box[1] - box[3]
    return abs(box[0] + box[2] - near[0] - near[2]) + abs(box[1] + box[3] - near[1] - near[3])


def _filled(boxes: Sequence[Box | None]) -> list[Box]:
    """Each frame's box, or that of the nearest frame that has one."""
    known = [frame for frame, box in enumerate(boxes) if box is not None]
    nearest = (min(known, key=lambda k: (abs(k - frame), k)) for frame in range(len(boxes)))
    return [box for frame in nearest if (box := boxes[frame]) is not None]


Mesh = NDArray[np.float32]
Deaf = dict[str, Measurement]
"""Score that reads no sound → what it said of the pictures."""


class HeardMedia(BufferedClipMedia):
    """The clip as scores see it, which knows whether a score has listened, and what those said that have not."""

    def __init__(self, *args: Any, deaf: Deaf, **kw: Any) -> None:
        """As `BufferedClipMedia`; `deaf` is shared by all clips of the same pictures."""
        self.listened = False
        self.deaf = deaf
        super().__init__(*args, **kw)

    @property
    def audio_S(self) -> Samples:
        self.listened = True
        return super().audio_S

    @property
    def speech_spans_s(self) -> Sequence[tuple[float, float]]:
        self.listened = True
        return self._speech_spans_s

    @speech_spans_s.setter
    def speech_spans_s(self, spans_s: Sequence[tuple[float, float]]) -> None:
        self._speech_spans_s = spans_s

    def measured(self, name: str) -> Measurement:
        """The score's row: the one it gave for other sound, where it reads none."""
        if name in self.deaf:
            return replace(self.deaf[name], clip_id=self.clip.clip_id)
        self.listened = False
        row = score.measure(name, self)
        if not self.listened:
            self.deaf[name] = row
        return row


def media_of(name: str, seen: Seen, audio_S: Samples, pipeline: Pipeline, same: HeardMedia | None = None) -> HeardMedia:
    """The clip as scores see it; `same` has the same pictures, so that what is read of them is read once."""
    width, height = seen.size_px
    side = min(width, height) // 2 * 2
    clip = Clip(
        clip_id=name, source_id="", segment_id="", track=0, shot=0, start_frame=0, end_frame=len(seen.boxes),
        crop_xyxy_px=(0, 0, side, side),
    )  # fmt: skip
    speech = speech_spans_s(audio_S, pipeline.scan.speech_probability, pipeline.scan.min_speech_s)
    made: Callable[[Iterator[Pictures]], Mesh] = mesh_of if same is None else lambda crops: same.landmarks_TNC
    return HeardMedia(
        clip, seen.size_px, seen.boxes, lambda: seen.crops, seen.looked, seen.others, speech,
        lambda start, end: audio_S, mesh=made, syncnet_every_frames=pipeline.measure.syncnet_every_frames,
        deaf={} if same is None else same.deaf,
    )  # fmt: skip


def mouth_of(media: BufferedClipMedia) -> NDArray[np.float32]:
    """Middle of the lips (T, 2) in pixels of the pictures; NaN where there is no mesh."""
    squares_T4 = media.crop_xyxy_px_T4
    per_px_T1 = (squares_T4[:, 2:3] - squares_T4[:, :1]) / FACE_CROP_PX
    lips_T2 = media.landmarks_TNC[:, list(LIPS_P[:40]), :2].mean(axis=1)
    return np.asarray(squares_T4[:, :2] + lips_T2 * per_px_T1, np.float32)


def scene_of(frames_THWC: Pictures, heard_S: Samples, media: BufferedClipMedia, with_mouth: bool) -> Scene:
    """The clip as perturbations see it; `with_mouth` takes the mesh, else the mouth is where mouths are."""
    x0, y0, x1, y1 = np.median(media.box_xyxy_px_T4, axis=0).tolist()
    usual_2 = [(x0 + x1) / 2, y0 + (y1 - y0) * MOUTH_HEIGHT]
    mouth_xy_T2 = mouth_of(media) if with_mouth else np.full((len(frames_THWC), 2), np.nan, np.float32)
    known_2 = np.nanmedian(mouth_xy_T2, axis=0) if np.isfinite(mouth_xy_T2).any() else usual_2
    mouth_xy_T2 = np.where(np.isnan(mouth_xy_T2), known_2, mouth_xy_T2).astype(np.float32)
    return Scene(frames_THWC=frames_THWC, heard_S=heard_S, face=(x0, y0, x1, y1), mouth_xy_T2=mouth_xy_T2)


def read(
    clip: str, family: str, level: float, seen: Seen | None, media: HeardMedia | None, names: Sequence[str]
) -> Reading:
    """Run the scores, each timed; the mesh by itself, as several share it."""
    if seen is None or media is None:
        return Reading(
            clip=clip, family=family, level=level, measurements=(), cost_ms={}, n_frames=0, cuts=0, face_share=0.0
        )
    cost: dict[str, float] = {"watch": seen.watch_ms}
    rows = []
    for name in names:
        had_mesh = media.has_mesh
        began = time.perf_counter()
        if not had_mesh and name not in media.deaf and _reads_mesh(name):
            assert media.landmarks_TNC is not None
            cost["face_mesh"] = 1000 * (time.perf_counter() - began)
            began = time.perf_counter()
        rows.append(media.measured(name))
        cost[name] = 1000 * (time.perf_counter() - began)
    return Reading(
        clip=clip, family=family, level=level, measurements=tuple(rows), cost_ms=_rounded(cost),
        n_frames=len(seen.boxes), cuts=seen.cuts, face_share=round(seen.face_share, 3),
    )  # fmt: skip


def _rounded(cost: Mapping[str, float]) -> dict[str, float]:
    return {name: round(ms, 2) for name, ms in cost.items()}


def _reads_mesh(name: str) -> bool:
    """Does the score look at the mesh? Those that do say so by its fingerprint."""
    from vividhead.faces import FaceMesh

    return FaceMesh.fingerprint in score.loaded_score(name).fingerprint
