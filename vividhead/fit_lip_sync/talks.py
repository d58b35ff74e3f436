"""Labelled in-sync clips, read by the product's own path from tracking to mesh.

A footage folder holds videos and a `footage.csv` with the columns path, has_audio, faces and in_sync, and
where known licence, source_repo and speaker. A speaker not named is the file's name up to the first
underscore: clips of one collection count as one speaker, and are held out together.

Axes: T frames, N mesh points, C coordinates, P still or lip points, F features, S samples, as in lip_audio.
"""

import csv
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vividhead import lip_audio
from vividhead.clip_media import BufferedClipMedia, FaceCrop, cut_face
from vividhead.clips import ClipCutter, Draft, clip_of
from vividhead.errors import UsageError, VividHeadError
from vividhead.faces import FaceDetector
from vividhead.ingest import examine
from vividhead.lip_audio import Floats
from vividhead.media import pictures, sound
from vividhead.media.decode import Planes
from vividhead.pipeline import Pipeline
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME, Listed, Segment, Source
from vividhead.track import Watcher

logger = logging.getLogger(__name__)

LABELS = "footage.csv"
TALKS = {"has_audio": "yes", "faces": "1", "in_sync": "yes"}
"""What its columns say of one face that talks in sync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One in-sync clip of one speaker."""

    name: str
    sha256: str
    """Of the file: the map's provenance names clips by it, not by what somebody called a file after a person."""
    speaker: str
    licence: str
    source_repo: str
    fitted: bool
    """Do the coefficients see it, or is it there to check and calibrate them?"""
    landmarks_TNC: NDArray[np.float32]
    audio_S: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.landmarks_TNC)

    def heard(self, start: int, count: int) -> NDArray[np.float32]:
        """Sound of `count` grid frames from frame `start`, which may lie outside: silence there."""
        out = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
        a, b = max(0, start), min(len(self), start + count)
        inside = self.audio_S[a * SAMPLES_PER_FRAME : b * SAMPLES_PER_FRAME]
        place = (a - start) * SAMPLES_PER_FRAME
        out[place : place + len(inside)] = inside
        return out


def labelled_talks(labels: Path) -> list[dict[str, str]]:
    """Rows of a `footage.csv` that stand for one face that talks in sync. Raises UsageError naming what it lacks."""
    with labels.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = [name for name in ("path", *TALKS) if name not in (rows.fieldnames or ())]
        if missing:
            raise UsageError(f"{labels}: lacks the columns {', '.join(missing)}; docs/lip-sync.md says what they hold")
        return [row for row in rows if all(row[name] == wanted for name, wanted in TALKS.items())]


def read_talks(folder: Path, *, fitted: bool) -> list[Talk]:
    """Read every labelled in-sync clip of one face in `folder`; a hard cut makes two of one file."""
    labels = folder / LABELS
    if not labels.is_file():
        raise UsageError(f"{labels}: not there; write one with the columns path, has_audio, faces, in_sync")
    talks: list[Talk] = []
    for row in labelled_talks(labels):
        stem = Path(row["path"]).stem
        for number, media in enumerate(clips_of(folder / row["path"])):
            talks.append(Talk(
                name=f"{stem}#{number}" if number else stem, sha256=media.clip.source_id,
                speaker=row.get("speaker") or stem.split("_")[0], licence=row.get("licence", ""),
                source_repo=row.get("source_repo", ""), fitted=fitted,
                landmarks_TNC=media.landmarks_TNC, audio_S=media.audio_S,
            ))  # fmt: skip
            logger.info("read %s: %d frames", talks[-1].name, len(talks[-1]))
    return talks


def clips_of(path: Path) -> Iterator[BufferedClipMedia]:
    """The clips the pipeline would make of a short file, with all the options at their defaults."""
    options = Pipeline()

    def beat() -> None:
        """Nobody watches over this process."""

    source = examine(Listed(uri=str(path)), options.ingest, beat)
    if source.outcome != "ready":
        raise VividHeadError(f"{path}: {source.code}: {source.detail}; take it out of {LABELS}")
    segment = Segment(segment_id="", source_id=source.source_id, start_frame=0, end_frame=source.n_frames)
    watcher = Watcher(options.track, FaceDetector(options.track.min_confidence))
    cutters: dict[int, ClipCutter[FaceCrop]] = {}
    size = source.width_px or 0, source.height_px or 0

    def media(draft: Draft[FaceCrop] | None, track: int) -> Iterator[BufferedClipMedia]:
        if draft is not None and len(draft.boxes) >= options.clips.min_s * GRID_FPS:
            clip, hear = clip_of(draft, segment, track, shot=0), _sound(path, source)
            yield BufferedClipMedia(clip, size, draft.boxes, partial(list, draft.faces), [], [], [], hear, beat)

    for seen in watcher.watch(pictures(path, source, 0, source.n_frames, options.track.max_picture_gap_s)):
        for track in [t for t in cutters if t not in seen.boxes]:
            yield from media(cutters.pop(track).close(), track)
        if seen.picture is None:
            continue
        for track, box in seen.boxes.items():
            cutter = cutters.setdefault(track, ClipCutter(options.clips, *size))
            yield from media(cutter.add(seen.frame, box, partial(cut_face, Planes(seen.picture), box)), track)
    for track, cutter in cutters.items():
        yield from media(cutter.close(), track)


def _sound(path: Path, source: Source) -> Callable[[int, int], NDArray[np.float32]]:
    return lambda start, end: sound(path, source, start, end)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A talk's bridged points and its voice, as every fit needs them."""

    points_TPC: Floats
    used_T: NDArray[np.bool_]
    voice_TF: Floats

    @classmethod
    def of(cls, talk: Talk) -> Self:
        """Take the features that do not depend on a map."""
        return cls(*lip_audio.bridged(talk.landmarks_TNC), lip_audio.voice_features(talk.audio_S))
