"""From pictures to shots and FaceTracks, streaming: each picture is seen once and held for about a second.

looks    o    o    o    o    o    o    the detector, every few grid frames
cut                  |                 known a few pictures late (the adaptive detector looks around)
tracks   [=====a=====|====b=====]      one face through one shot; ends at a cut or when its face is lost
yielded  . . . . . .                   frames leave once all looks that can tell of them are in
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.faces import FaceDetector
from vividhead.media import GridFrame, Picture
from vividhead.media.decode import Planes
from vividhead.pipeline import Track as TrackOptions
from vividhead.records import GRID_FPS, Box

SMOOTH_FRAMES = 13
"""Half width of the triangle over which a track's boxes are averaged: about half a second to each side."""
CUT_THUMBNAIL_PX = 128
EDGE_PICTURES = 3
"""How often a run's first and last picture are repeated: the adaptive detector is blind to cuts near a run's ends."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The detector's box for a track's face at one look, in source pixels."""

    frame: int
    box: Box


@dataclass(slots=True)
class Look:
    """One frame at which the detector looked, and the faces it saw, each with its track (None: too small)."""

    frame: int
    faces: list[tuple[Box, float]]
    tracks: list[int | None] = field(default_factory=list)
    """One for each of `faces`; empty until the look is linked."""


@dataclass(slots=True)
class FaceTrack:
    """One face through one shot, growing while the footage is read. `end_frame` is None while it may go on."""

    number: int
    shot: int
    start_frame: int
    sightings: list[Sighting]
    end_frame: int | None = None

    def has(self, frame: int) -> bool:
        """Is the face in view at `frame`, as far as is known?"""
        last = self.end_frame if self.end_frame is not None else self.sightings[-1].frame + 1
        return self.start_frame <= frame < last


@dataclass(frozen=True, slots=True)
class Watched:
    """A grid frame whose tracks are settled: track → smoothed square face box in source pixels."""

    frame: int
    picture: Picture | None
    boxes: dict[int, Box]


def smoothed_box(sightings: Sequence[Sighting], frame: int) -> Box:
    """The track's square box at `frame`: a triangle-weighted mean of the boxes seen around it."""
    first = bisect_right(sightings, frame - SMOOTH_FRAMES, key=lambda s: s.frame)
    last = bisect_left(sightings, frame + SMOOTH_FRAMES, key=lambda s: s.frame)
    near = sightings[first:last]
    if near:
        cx, cy, side = _weighted_mean(near, frame)
    else:  # in the middle of a bridged gap
        frames = [s.frame for s in sightings]
        boxes = np.array([_square(s.box) for s in sightings])
        cx, cy, side = (float(np.interp(frame, frames, boxes[:, axis])) for axis in range(3))
    x0, y0, x1, y1 = cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2
    return _hundredths(x0), _hundredths(y0), _hundredths(x1), _hundredths(y1)


def _weighted_mean(near: Sequence[Sighting], frame: int) -> tuple[float, float, float]:
    """Centre and side; without arrays, as a handful of numbers for every face of every frame is dear in them."""
    weight_sum = x_sum = y_sum = side_sum = 0.0
    for sighting in near:
        weight = SMOOTH_FRAMES - abs(sighting.frame - frame)
        cx, cy, side = _square(sighting.box)
        weight_sum += weight
        x_sum += cx * weight
        y_sum += cy * weight
        side_sum += side * weight
    return x_sum / weight_sum, y_sum / weight_sum, side_sum / weight_sum


def _hundredths(px: float) -> float:
    return round(px * 100) / 100


def _square(box: Box) -> tuple[float, float, float]:
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0)


def iou(a: Box, b: Box) -> float:
    """Overlap over union of two boxes, 0 … 1."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _cut_detector(options: TrackOptions) -> Any:
    from scenedetect import AdaptiveDetector

    class Lean(AdaptiveDetector):  # type: ignore[misc]  # untyped
        """PySceneDetect's own, its measure of change between two pictures computed in a quarter of the time.

        That is a private method: should another version not call it, its own runs and finds the same.
        """

        _last_hsv_HWC: NDArray[np.uint8] | None = None

        def _calculate_frame_score(self, timecode: object, frame_img: NDArray[np.uint8]) -> float:
            hsv_HWC = np.asarray(cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV), np.uint8)
            last_HWC, self._last_hsv_HWC = self._last_hsv_HWC, hsv_HWC
            if last_HWC is None:
                return 0.0
            pixels = hsv_HWC.shape[0] * hsv_HWC.shape[1]
            return sum(change / pixels for change in cv2.sumElems(cv2.absdiff(hsv_HWC, last_HWC))[:3]) / 3

    return Lean(
        adaptive_threshold=options.cut_adaptive_threshold,
        min_content_val=options.cut_min_content,
        min_scene_len=3,
    )


class ShotFinder:
    """PySceneDetect's adaptive detector on thumbnails of the distinct pictures of one span."""

    def __init__(self, options: TrackOptions) -> None:
        """Start with no picture seen; `cuts` fills as pictures are fed."""
        from scenedetect import FrameTimecode

        self._timecode = FrameTimecode
        self._detector = _cut_detector(options)
        self._frames: list[int] = []
        self._last: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.cuts: list[int] = []

    def feed(self, frame: int, picture: Planes) -> bool:
        """See the picture first shown at grid frame `frame`; was a cut found (a few pictures back)?"""
        thumbnail = picture.thumbnail_HWC(CUT_THUMBNAIL_PX, order=cv2.COLOR_YUV2BGR_I420, how=cv2.INTER_LINEAR)
        self._last = thumbnail
        if not self._frames:
            self._repeat(frame)
        return self._process(frame, thumbnail)

    def finish(self) -> None:
        """No more pictures come: find the cuts among the last ones."""
        if self._frames:
            self._repeat(self._frames[-1])

    def _repeat(self, frame: int) -> None:
        for _ in range(EDGE_PICTURES):
            self._process(frame, self._last)

    def _process(self, frame: int, thumbnail_HWC: NDArray[np.uint8]) -> bool:
        code = self._timecode(len(self._frames), fps=float(GRID_FPS))
        self._frames.append(frame)
        found = self._detector.process_frame(code, thumbnail_HWC)
        self.cuts += [self._frames[cut.frame_num] for cut in found]
        return bool(found)

    @property
    def settled(self) -> int:
        """Grid frames before this one can have no further cut."""
        late = self._detector.event_buffer_length + 1
        return self._frames[-late] if len(self._frames) >= late else -1


class Watcher:
    """Reads one span's grid frames in order and yields them with their tracks settled.

    `looks` and `cuts` hold what was seen in the span, for the record; `shot_of` every track's shot. Numbers of
    tracks and shots go on from span to span.
    """

    def __init__(self, options: TrackOptions, detector: FaceDetector) -> None:
        """Take the options and the process's detector."""
        self.options = options
        self.looks: list[Look] = []
        self.cuts: list[int] = []
        self.shot_of: dict[int, int] = {}
        self._tracks: list[FaceTrack] = []
        self._shot = 0
        self._detector = detector
        self._active: list[FaceTrack] = []
        self._unlinked: deque[Look] = deque()
        self._shot_start = 0
        self._next_look = 0
        self._last_seen = 0

    def watch(self, frames: Iterable[GridFrame]) -> Iterator[Watched]:
        """Yield every frame given, about a second late, with the boxes of the tracks that hold it."""
        held: deque[GridFrame] = deque()
        lag = max(self.options.max_gap_frames, SMOOTH_FRAMES)
        shots = ShotFinder(self.options)
        start = None
        for grid in frames:
            if start is None:
                start = self._next_look = self._shot_start = grid.frame
                self._last_seen = grid.frame - self.options.max_gap_frames - 1
            held.append(grid)
            if grid.picture is None:
                hole_begins = len(held) > 1
                yield from self._flush(held, shots, grid.frame)
                self._shot += hole_begins
                shots, self._next_look, self._shot_start = (
                    ShotFinder(self.options),
                    grid.frame + 1,
                    grid.frame + 1,
                )
                continue
            planes = Planes(grid.picture)
            if not grid.repeated and shots.feed(grid.frame, planes):
                self._next_look = grid.frame  # a new shot may bring the face that was being searched for
            if grid.frame >= self._next_look:
                self._look(grid.frame, planes)
            self._link(shots, min(shots.settled, grid.frame))
            linked = self._unlinked[0].frame if self._unlinked else min(shots.settled, grid.frame)
            while held and held[0].frame < linked - lag:
                yield self._settled(held.popleft())
        if held:
            yield from self._flush(held, shots, held[-1].frame + 1)

    def next_span(self) -> None:
        """Forget the span's looks and cuts; the next span begins a new shot."""
        self.looks, self.cuts = [], []
        self._shot += 1

    def _flush(self, held: deque[GridFrame], shots: ShotFinder, end: int) -> Iterator[Watched]:
        """The run of pictures ends at `end`: settle all that is held."""
        shots.finish()
        self._link(shots, end)
        self._end_all(end)
        while held:
            yield self._settled(held.popleft())

    def _settled(self, grid: GridFrame) -> Watched:
        self._tracks = [t for t in self._tracks if t.end_frame is None or t.end_frame > grid.frame]
        boxes = {t.number: smoothed_box(t.sightings, grid.frame) for t in self._tracks if t.has(grid.frame)}
        return Watched(grid.frame, grid.picture, boxes)

    def _look(self, frame: int, picture: Planes) -> None:
        small = picture.thumbnail_HWC(self.options.detector_width_px)
        scale = picture.y_HW.shape[1] / small.shape[1]
        faces = []
        for face in self._detector.detect(small):
            x0, y0, x1, y1 = (round(v * scale, 2) for v in face.box)
            faces.append(((x0, y0, x1, y1), round(face.confidence, 3)))
        self._unlinked.append(Look(frame, faces))
        if faces:
            self._last_seen = frame
        lost = frame - self._last_seen > self.options.max_gap_frames
        self._next_look = frame + (self.options.search_every_frames if lost else self.options.detect_every_frames)

    def _link(self, shots: ShotFinder, until: int) -> None:
        """Assign the looks before `until`, where all cuts are known, to tracks."""
        while self._unlinked and self._unlinked[0].frame < until:
            look = self._unlinked.popleft()
            while shots.cuts and shots.cuts[0] <= look.frame:
                cut = shots.cuts.pop(0)
                self.cuts.append(cut)
                self._end_all(cut)
                self._begin_shot(cut)
            self._assign(look)
            self.looks.append(look)
        while shots.cuts and shots.cuts[0] < until:
            cut = shots.cuts.pop(0)
            self.cuts.append(cut)
            self._end_all(cut)
            self._begin_shot(cut)

    def _begin_shot(self, frame: int) -> None:
        self._shot += 1
        self._shot_start = frame

    def _end_all(self, end: int) -> None:
        """A cut, a hole or the span's end: a face seen just before is taken to be there up to it."""
        for track in self._active:
            last = track.sightings[-1].frame
            track.end_frame = end if end - last <= self.options.detect_every_frames else last + 1
        self._active = []

    def _assign(self, look: Look) -> None:
        from scipy.optimize import linear_sum_assignment

        for track in self._active:
            if look.frame - track.sightings[-1].frame > self.options.max_gap_frames:
                track.end_frame = track.sightings[-1].frame + 1
        self._active = [t for t in self._active if t.end_frame is None]
        look.tracks = [None] * len(look.faces)
        if self._active and look.faces:
            overlap = np.array([[iou(t.sightings[-1].box, box) for box, _ in look.faces] for t in self._active])
            for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
                if overlap[row, column] >= self.options.min_iou:
                    look.tracks[column] = self._active[row].number
                    self._active[row].sightings.append(Sighting(look.frame, look.faces[column][0]))
        for index, (box, _) in enumerate(look.faces):
            if look.tracks[index] is None and box[3] - box[1] >= self.options.min_face_px:
                look.tracks[index] = self._start(look.frame, box)

    def _start(self, frame: int, box: Box) -> int:
        fresh_shot = frame - self._shot_start < self.options.detect_every_frames
        start = self._shot_start if fresh_shot else frame
        track = FaceTrack(len(self.shot_of), self._shot, start, [Sighting(frame, box)])
        self.shot_of[track.number] = track.shot
        self._tracks.append(track)
        self._active.append(track)
        return track.number
