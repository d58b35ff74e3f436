"""A talk looked at once, second by second: mesh, identity and sharpness, as curation's scores see them.

Two decodes: the detector's looks first, as boxes are smoothed over both sides of a frame; then the face crops, of
which a second is held at a time, so that memory does not grow with the pictures. Of each frame the largest face is
taken for the talker's.

Axes: T frames on the 25 fps grid, N mesh points, C x y z, S audio samples at 16 kHz.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.backends.syncnet import LipReader, face_of
from vividhead.clip_media import BufferedClipMedia, FaceCrop, cut_face
from vividhead.errors import MediaError
from vividhead.faces import MESH_POINTS, FaceDetector, FaceMesh, hushed
from vividhead.flashhead.evaluate.records import Reading, field_of, unmeasurable
from vividhead.ingest import examine
from vividhead.media import pictures, sound
from vividhead.media.decode import Planes, rgb_from_i420
from vividhead.pipeline import DEFAULT_PIPELINE, Pipeline, load_pipeline
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME, Box, Clip, Listed, Measurement, Source
from vividhead.score import FACE_CROP_SCALE, loaded_score, measure
from vividhead.track import Sighting, smoothed_box

SHEET_PICTURES, SHEET_PX = 8, 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What one second of pictures says by itself."""

    start_s: float
    sharpness: Reading
    embedding_128: NDArray[np.float32] | None
    """None where the face is not seen in the middle of the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A small picture of the talk."""

    at_s: float
    picture_HWC: NDArray[np.uint8]
    """RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A talk as far as it is graded."""

    source: Source
    landmarks_TNC: NDArray[np.float32]
    """In pixels of each frame's face crop, NaN where there is none."""
    audio_S: NDArray[np.float32]
    """Exactly 640 T samples."""
    seconds: tuple[Second, ...]
    sheet: tuple[Shown, ...]
    """A few pictures, evenly spread."""
    lips_ND: NDArray[np.float32] | None
    """SyncNet's points, see `LipReader`; None without SyncNet."""

    @property
    def n_frames(self) -> int:
        """Frames looked at."""
        return len(self.landmarks_TNC)

    def score(self, name: str, audio_S: NDArray[np.float32], start: int, end: int) -> Measurement:
        """A score that needs mesh and sound alone, on frames `[start, end)` held against this sound."""
        heard_S = audio_S[start * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME]
        return measure(name, _stretch(self.source, start, self.landmarks_TNC[start:end], heard_S))


def _stretch(
    source: Source, start: int, landmarks_TNC: NDArray[np.float32], audio_S: NDArray[np.float32],
    crops: Sequence[FaceCrop] = (),
) -> BufferedClipMedia:  # fmt: skip
    """Some frames as scores see a clip: their mesh and sound, and their crops where a score looks at pictures."""
    size = source.width_px or 0, source.height_px or 0
    end = start + len(landmarks_TNC)
    clip = Clip(
        clip_id=f"{source.source_id[:16]}-{start}-{end}", source_id=source.source_id, segment_id="talk", track=0,
        shot=0, start_frame=start, end_frame=end, crop_xyxy_px=(0, 0, min(size), min(size)),
    )  # fmt: skip
    frames = range(len(landmarks_TNC))
    return BufferedClipMedia(
        clip, size, [_box_in(crop) for crop in crops], lambda: crops, frames, (), (), lambda start, end: audio_S,
        mesh=lambda crops: landmarks_TNC,
    )  # fmt: skip


def _box_in(crop: FaceCrop) -> Box:
    """The face box that a crop was cut around."""
    margin = crop.side_px * (1 - 1 / FACE_CROP_SCALE) / 2
    x0, y0 = crop.x0_px + margin, crop.y0_px + margin
    side = crop.side_px - 2 * margin
    return x0, y0, x0 + side, y0 + side


def watch(path: Path, minutes: float, lips: LipReader | None = None) -> Watched:
    """Look at a talk's first minutes, and let SyncNet read its lips.

    Raises MediaError where the file is none that curation would read.
    """
    options = load_pipeline(DEFAULT_PIPELINE)
    anything = replace(options.ingest, min_duration_s=0.0, min_side_px=16)  # a small model's talk is graded, too
    source = examine(Listed(uri=str(path)), anything, lambda: None)
    if source.outcome != "ready":
        raise MediaError(source.code or "failed", f"{path}: {source.detail}")
    n_frames = min(source.n_frames, round(minutes * 60 * GRID_FPS))
    if n_frames < GRID_FPS:
        raise MediaError("source.too_short", f"{path}: {n_frames / GRID_FPS:g} s, under one second")
    audio_S = sound(path, source, 0, n_frames)
    with hushed():
        sightings, sheet = _looks(path, source, n_frames, options)
        landmarks, seconds = [np.zeros((0, MESH_POINTS, 3), np.float32)], []
        with FaceMesh() as mesh:
            for start, crops in _crops(path, source, n_frames, options, sightings):
                seen_TNC = _mesh_of(mesh, crops)
                heard_S = audio_S[start * SAMPLES_PER_FRAME : (start + len(crops)) * SAMPLES_PER_FRAME]
                landmarks.append(seen_TNC)
                if lips is not None:
                    for crop in crops:
                        lips.add(None if crop is None else face_of(rgb_from_i420(crop.i420), FACE_CROP_SCALE))
                if len(crops) == GRID_FPS:
                    cut = [crop for crop in crops if crop is not None]
                    is_whole = len(cut) == GRID_FPS
                    seconds.append(_second(_stretch(source, start, seen_TNC, heard_S, cut), is_whole))
    return Watched(
        source=source, landmarks_TNC=np.concatenate(landmarks), audio_S=audio_S, seconds=tuple(seconds),
        sheet=tuple(sheet), lips_ND=None if lips is None else lips.points_ND(),
    )  # fmt: skip


def _looks(path: Path, source: Source, n_frames: int, options: Pipeline) -> tuple[list[Sighting], list[Shown]]:
    """The largest face at each look of the detector, as often as curation looks; and a few small pictures."""
    track = options.track
    detector = FaceDetector(track.min_confidence)
    sightings: list[Sighting] = []
    sheet: list[Shown] = []
    for grid in pictures(path, source, 0, n_frames, track.max_picture_gap_s):
        if grid.picture is None or grid.frame % track.detect_every_frames:
            continue
        small_HWC = Planes(grid.picture).thumbnail_HWC(track.detector_width_px)
        scale = grid.picture.width / small_HWC.shape[1]
        if grid.frame >= len(sheet) * n_frames / SHEET_PICTURES:
            height = round(SHEET_PX * small_HWC.shape[0] / small_HWC.shape[1])
            small = cv2.resize(small_HWC, (SHEET_PX, height), interpolation=cv2.INTER_AREA)
            sheet.append(Shown(at_s=grid.frame / GRID_FPS, picture_HWC=np.asarray(small, np.uint8)))
        if found := detector.detect(small_HWC):
            x0, y0, x1, y1 = (edge * scale for edge in found[0].box)
            sightings.append(Sighting(grid.frame, (x0, y0, x1, y1)))
    return sightings, sheet


def _crops(
    path: Path, source: Source, n_frames: int, options: Pipeline, sightings: Sequence[Sighting]
) -> Iterator[tuple[int, Sequence[FaceCrop | None]]]:
    """First frame and crops of each second; None for a frame without picture, or all where nobody is ever seen."""
    cut: list[FaceCrop | None] = []
    start = 0
    for grid in pictures(path, source, 0, n_frames, options.track.max_picture_gap_s):
        if grid.picture is None or not sightings:
            cut.append(None)
        else:
            cut.append(cut_face(Planes(grid.picture), smoothed_box(sightings, grid.frame)))
        if len(cut) == GRID_FPS:
            yield start, cut
            start, cut = grid.frame + 1, []
    if cut:
        yield start, cut


def _mesh_of(mesh: FaceMesh, crops: Sequence[FaceCrop | None]) -> NDArray[np.float32]:
    """The mesh (T, 478, 3) of a second's crops; NaN where there is none."""
    seen = mesh.points(rgb_from_i420(crop.i420) for crop in crops if crop is not None)
    nothing = np.full((MESH_POINTS, 3), np.nan, np.float32)
    return np.stack([nothing if crop is None else next(seen) for crop in crops])


def _second(stretch: BufferedClipMedia, is_whole: bool) -> Second:
    """A second with a picture missing counts as one in which nobody is seen."""
    is_seen = is_whole and bool(np.isfinite(stretch.landmarks_TNC[GRID_FPS // 2, 0, 0]))
    return Second(
        start_s=stretch.clip.start_s_in_source,
        sharpness=field_of(measure("sharpness", stretch), "blurs_per_face_p10") if is_seen else unmeasurable("no_face"),
        embedding_128=loaded_score("identity").keep(stretch)["mean_embedding"] if is_seen else None,
    )
