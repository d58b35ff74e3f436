"""From a Scan to clips and measurements: one decode of the surviving spans, scores cheapest first.

`measure_segment` reads every span once, forward. `measure_more` decodes single clips again, when a new policy asks
for scores that a hard rule of the old one had skipped; it cuts the same crops from the same looks.

Cutting the face out of every frame costs a tenth of a decode and more for each face, in vain for most of the footage
that is refused. So no more is cut for a clip that a hard rule would refuse if it ended now; should it come right in
the end after all, that one clip is decoded a second time. What is measured is the same either way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead import score
from vividhead.cascade import is_known, looks_hopeless, run_scores
from vividhead.clip_media import BufferedClipMedia, FaceCrop, cut_face
from vividhead.clips import ClipCutter, Draft, clip_of
from vividhead.errors import MediaError
from vividhead.media import GridFrame, Picture, pictures, sound
from vividhead.media.decode import DecodeLog, Planes
from vividhead.pipeline import Pipeline
from vividhead.policy import Policy
from vividhead.records import GRID_FPS, Box, Clip, Measurement, Segment, Source, Stretch
from vividhead.scan import Scan, detector, subtract
from vividhead.track import Look, Sighting, Watcher, smoothed_box

LANDMARK_STEPS_PER_PX = 16
"""Mesh points are kept as int16 in sixteenths of a pixel of the clip's own picture."""
NO_LANDMARK = int(np.iinfo(np.int16).min)
HOPE_EVERY_FRAMES = GRID_FPS
"""How often it is asked whether a growing clip still has a chance."""

Arrays = dict[str, NDArray[np.generic]]
"""What is kept beside the numbers, `<clip_id>.<name>` → array: the mesh, embeddings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one segment's spans hold. With the scan's, the stretches and clips cover the segment."""

    clips: tuple[Clip, ...]
    measurements: tuple[Measurement, ...]
    stretches: tuple[Stretch, ...]
    looks: tuple[Look, ...]
    cut_frames: tuple[int, ...]
    decode_errors: int


@dataclass(frozen=True, slots=True)
class Work:
    """One segment and what is asked of it."""

    path: Path
    source: Source
    segment: Segment
    scan: Scan
    pipeline: Pipeline
    policy: Policy
    beat: Callable[[], None]
    arrays: Arrays = field(default_factory=dict)

    def media(
        self, clip: Clip, boxes: Sequence[Box], faces: Callable[[], Sequence[FaceCrop]], looks: Sequence[Look]
    ) -> BufferedClipMedia:
        """The clip as scores see it; `faces` is called when one of them first asks for a picture."""
        mine = [look for look in looks if clip.start_frame <= look.frame < clip.end_frame]
        others = [
            score.OtherFace(look.frame - clip.start_frame, box[3] - box[1])
            for look in mine
            for (box, _), track in zip(look.faces, look.tracks, strict=True)
            if track != clip.track
        ]
        start_s, end_s = clip.start_s_in_source, clip.end_s_in_source
        heard = self.scan.speech_s_in_source
        speech = [(max(a, start_s) - start_s, min(b, end_s) - start_s) for a, b in heard if a < end_s and b > start_s]
        size_px = self.source.width_px or 0, self.source.height_px or 0
        return BufferedClipMedia(
            clip, size_px, boxes, faces, [look.frame - clip.start_frame for look in mine], others, speech,
            lambda start, end: sound(self.path, self.source, start, end), self.beat,
            syncnet_every_frames=self.pipeline.measure.syncnet_every_frames,
        )  # fmt: skip

    def cut_again(self, clip: Clip, boxes: Sequence[Box]) -> list[FaceCrop]:
        """The clip's face crops, by decoding its span."""
        faces: list[FaceCrop] = []
        gap_s = self.pipeline.track.max_picture_gap_s
        for grid in pictures(self.path, self.source, clip.start_frame, clip.end_frame, gap_s):
            if grid.picture is None:
                raise MediaError("failed.changed", f"no picture at frame {grid.frame}, where there was one before")
            self.beat()
            faces.append(_face_in(grid.picture, boxes[len(faces)], grid.frame))
        return faces

    def drop_faces_in_vain(self, draft: Draft[FaceCrop], track: int, looks: Sequence[Look]) -> None:
        """Cut no more faces for a draft that a hard rule would refuse if it ended now."""
        if draft.has_faces and len(draft.boxes) % HOPE_EVERY_FRAMES == 0:
            options = self.pipeline.measure
            so_far = self.media(clip_of(draft, self.segment, track, 0), draft.boxes, lambda: draft.faces, looks)
            if looks_hopeless(options.scores, so_far, self.policy, options.exhaustive):
                draft.drop_faces()

    def scores(self, media: BufferedClipMedia, have: Mapping[str, Measurement]) -> list[Measurement]:
        """Run the cascade on one clip and keep the arrays of what was newly measured."""
        options = self.pipeline.measure
        rows = run_scores(options.scores, media, have, self.policy, options.exhaustive)
        for name, row in rows.items():
            if row.status == "measured" and not is_known(have.get(name)):
                for key, array in score.loaded_score(name).keep(media).items():
                    self.arrays[f"{media.clip.clip_id}.{name}.{key}"] = array
        if media.has_mesh:
            self.arrays[f"{media.clip.clip_id}.landmarks"] = mesh_in_clip(media, self.pipeline.pack.side_px)
        return list(rows.values())


def mesh_in_clip(media: BufferedClipMedia, side_px: int) -> NDArray[np.int16]:
    """The mesh (T, 478, 3) in the clip's own picture of `side_px`, int16 in 1/16 px; -32768 where unknown."""
    squares = media.crop_xyxy_px_T4
    x0, y0, x1, _ = media.clip.crop_xyxy_px
    per_crop_px = ((squares[:, 2] - squares[:, 0]) / score.FACE_CROP_PX)[:, None, None]
    corner = np.stack([squares[:, 0] - x0, squares[:, 1] - y0, np.zeros(len(squares))], 1)[:, None, :]
    steps_per_px = side_px / (x1 - x0) * LANDMARK_STEPS_PER_PX
    steps = (media.landmarks_TNC * per_crop_px + corner) * steps_per_px
    known = np.clip(np.rint(np.nan_to_num(steps)), NO_LANDMARK + 1, -NO_LANDMARK - 1)
    return np.where(np.isnan(steps), NO_LANDMARK, known).astype(np.int16)


def measure_segment(work: Work) -> Measured:
    """Decode the scan's spans once; the arrays to keep are left in `work.arrays`."""
    options, log = work.pipeline.track, DecodeLog()
    clips: list[Clip] = []
    rows: list[Measurement] = []
    stretches: list[Stretch] = []
    looks: list[Look] = []
    cuts: list[int] = []
    watcher = Watcher(options, detector(options.min_confidence))
    for start, end in work.scan.spans:
        errors_before, here = log.errors, len(clips)
        labels: dict[int, str] = {}
        frames = pictures(work.path, work.source, start, end, options.max_picture_gap_s, log)
        for draft, track in _drafts(watcher, frames, work, labels):
            clip = clip_of(draft, work.segment, track, watcher.shot_of[track])
            is_there = clip.clip_id in {c.clip_id for c in clips[here:]}  # two large faces, one whole picture
            if clip.duration_s >= work.pipeline.clips.min_s and not is_there:
                faces = partial(_faces_of, work, clip, draft)
                rows += work.scores(work.media(clip, draft.boxes, faces, watcher.looks), {})
                clips.append(clip)
        looks += watcher.looks
        cuts += watcher.cuts
        watcher.next_span()
        stretches += _leftover((start, end), clips[here:], labels, log.errors > errors_before)
    return Measured(
        clips=tuple(clips), measurements=tuple(rows), stretches=tuple(stretches), looks=tuple(looks),
        cut_frames=tuple(cuts), decode_errors=log.errors,
    )  # fmt: skip


def _faces_of(work: Work, clip: Clip, draft: Draft[FaceCrop]) -> Sequence[FaceCrop]:
    return draft.faces if draft.has_faces else work.cut_again(clip, draft.boxes)


def _face_in(picture: Picture, box: Box, frame: int) -> FaceCrop:
    return cut_face(Planes(picture), box, frame)


def _drafts(
    watcher: Watcher, frames: Iterator[GridFrame], work: Work, labels: dict[int, str]
) -> Iterator[tuple[Draft[FaceCrop], int]]:
    """Cut the largest faces' tracks into drafts; `labels` learns what each frame of the span is."""
    width, height = work.source.width_px or 0, work.source.height_px or 0
    cutters: dict[int, ClipCutter[FaceCrop]] = {}
    for seen in watcher.watch(frames):
        work.beat()
        largest = sorted(seen.boxes, key=lambda track: (seen.boxes[track][1] - seen.boxes[track][3], track))
        followed = largest[: work.pipeline.track.max_faces]
        for track in [t for t in cutters if t not in followed]:
            draft = cutters.pop(track).close()
            if draft is not None:
                yield draft, track
        labels[seen.frame] = "no_picture" if seen.picture is None else "too_short" if followed else "no_face"
        if seen.picture is None:
            continue
        for track in followed:
            cutter = cutters.setdefault(track, ClipCutter(work.pipeline.clips, width, height))
            box = seen.boxes[track]
            draft = cutter.add(seen.frame, box, partial(_face_in, seen.picture, box, seen.frame))
            if draft is not None:
                yield draft, track
            if cutter.draft is not None:
                work.drop_faces_in_vain(cutter.draft, track, watcher.looks)
    for track, cutter in cutters.items():
        draft = cutter.close()
        if draft is not None:
            yield draft, track


def _leftover(span: tuple[int, int], clips: Sequence[Clip], labels: Mapping[int, str], broken: bool) -> list[Stretch]:
    """What of a span became no clip, and why; holes are a failure where the decoder stumbled."""
    taken = sorted((c.start_frame, c.end_frame) for c in clips)
    out: list[Stretch] = []
    for a, b in subtract([span], taken):
        begin = a
        for frame in range(a, b):
            if frame + 1 == b or labels[frame + 1] != labels[frame]:
                code = "failed.corrupt" if broken and labels[frame] == "no_picture" else labels[frame]
                out.append(Stretch(start_frame=begin, end_frame=frame + 1, code=code))
                begin = frame + 1
    return out


def measure_more(
    work: Work, measured: Measured, wanted: Sequence[str], have: Mapping[str, Mapping[str, Measurement]]
) -> list[Measurement]:
    """Measure what is missing of the clips `wanted` (clip ids), decoding just their spans."""
    rows: list[Measurement] = []
    for clip in measured.clips:
        if clip.clip_id not in wanted:
            continue
        sightings = [
            Sighting(look.frame, box)
            for look in measured.looks
            for (box, _), track in zip(look.faces, look.tracks, strict=True)
            if track == clip.track
        ]
        boxes = [smoothed_box(sightings, frame) for frame in range(clip.start_frame, clip.end_frame)]
        media = work.media(clip, boxes, partial(work.cut_again, clip, boxes), measured.looks)
        rows += work.scores(media, have[clip.clip_id])
    return rows
