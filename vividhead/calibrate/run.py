"""All readings of a calibration: a task for each clip and family, each committed whole, several clips at a time.

readings/<clip>-<family>-<digest>.json      there: done; the digest is of all that made the readings
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np

from vividhead import score
from vividhead.calibrate.goods import opened
from vividhead.calibrate.perturbations import FAMILIES, Family, Scene
from vividhead.calibrate.perturbations.family import spoken
from vividhead.calibrate.records import UNTOUCHED, Good, Reading
from vividhead.calibrate.subject import MOUTH_HEIGHT, HeardMedia, Seen, media_of, read, scene_of, watched
from vividhead.faces import hushed
from vividhead.ledger import write_atomically
from vividhead.pipeline import Pipeline
from vividhead.plain import from_plain, to_plain

LOOK_EVERY_S = 5.0
BYSTANDER_CLIPS = 6
"""One clip in so many is measured by all scores under every perturbation's last level, to see which answer unasked."""
VERSION = 1
"""Raise it when the same clip and family may read otherwise by a change in this room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One clip under some families."""

    good: Good
    other: Good
    families: tuple[str, ...]
    everything: bool
    """Are all scores wanted at a family's last level, also those that it does not concern?"""
    scores: tuple[str, ...]
    seed: int
    pipeline: Pipeline
    folder: Path
    """Holds `clips/` and `readings/`."""

    def place(self, family: str) -> Path:
        """Where the readings of this family lie."""
        named = next((f for f in FAMILIES if f.name == family), None)
        asked = self.asked(named, named.levels[-1] if named else None)
        made_by = [
            VERSION, to_plain(self.good), to_plain(self.other), family, named.levels if named else (), self.seed,
            [(n, score.score_class(n).version, score.score_class(n).fingerprint, score.model_in_use(n)) for n in asked],
            to_plain(self.pipeline.scan), to_plain(self.pipeline.track),
            *([every] if (every := self.pipeline.measure.syncnet_every_frames) != 1 else []),
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(made_by, default=str).encode()).hexdigest()[:12]
        return self.folder / "readings" / f"{self.good.name}-{family}-{digest}.json"

    def asked(self, family: Family | None, level: float | None = None) -> tuple[str, ...]:
        """Scores wanted under this family, None being the untouched clip."""
        if family is None or (self.everything and level == family.levels[-1]):
            return self.scores
        fields = (*family.concerns, *family.watches, *(t.field for t in family.truth))
        concerned = {field.split(".")[0] for field in fields}
        return tuple(name for name in self.scores if name in concerned)

    @property
    def open_families(self) -> list[str]:
        """Those not done yet, the untouched clip first."""
        return [name for name in (UNTOUCHED, *self.families) if not self.place(name).is_file()]


def work(task: Task) -> None:
    """Make the readings that are missing."""
    import cv2

    cv2.setNumThreads(1)
    with hushed():
        _measure(task, task.open_families)


def _measure(task: Task, todo: Sequence[str]) -> None:
    clips = task.folder / "clips"
    name, options = task.good.name, task.pipeline
    frames_THWC, heard_S = opened(clips, name, task.good.n_frames, task.good.side_px)
    seen = watched(frames_THWC, options)
    if seen is None:
        for family in todo:
            _commit(task, family, [])
        return
    audio_S = spoken(heard_S, len(frames_THWC))
    media = media_of(name, seen, audio_S, options)
    if UNTOUCHED in todo:
        _commit(task, UNTOUCHED, [read(name, UNTOUCHED, 0.0, seen, media, task.asked(None))])
    families = [family for family in FAMILIES if family.name in todo]
    scene = scene_of(frames_THWC, heard_S, media, any(family.changes != "sound" for family in families))
    other = _stranger(task) if families else scene
    for made in families:
        _stop_if_alone()
        readings = []
        for level in made.levels:
            spoilt = made.make(scene, other, level, _chance(task, made.name, level))
            readings.append(_read_spoilt(task, made, level, spoilt, (seen, media)))
        _commit(task, made.name, readings)


def _stop_if_alone() -> None:
    """A worker whose run was killed would go on for minutes, for nobody."""
    asked_by = parent_process()
    if asked_by is not None and not asked_by.is_alive():
        raise SystemExit(1)


def _read_spoilt(task: Task, family: Family, level: float, spoilt: Scene, before: tuple[Seen, HeardMedia]) -> Reading:
    """Measure it; `before` is the good clip: what was read of its pictures holds for other sound too."""
    name, asked = f"{task.good.name}/{family.name}/{level:g}", task.asked(family, level)
    if family.changes == "sound":
        seen, media = before
        heard = media_of(name, seen, spoilt.audio_S, task.pipeline, media)
        return read(task.good.name, family.name, level, seen, heard, asked)
    look = watched(spoilt.frames_THWC, task.pipeline, spoilt.face if family.name == "second_face" else None)
    made = None if look is None else media_of(name, look, spoilt.audio_S, task.pipeline)
    return read(task.good.name, family.name, level, look, made, asked)


def _stranger(task: Task) -> Scene:
    """The other clip, its mouth where mouths are; as if its face filled the middle, should the tracker not find it."""
    frames_THWC, heard_S = opened(task.folder / "clips", task.other.name, task.other.n_frames, task.other.side_px)
    seen = watched(frames_THWC, task.pipeline)
    side = task.other.side_px
    boxes = [(side / 4, side / 4, side * 3 / 4, side * 3 / 4)] if seen is None else seen.boxes
    x0, y0, x1, y1 = np.median(np.array(boxes), axis=0).tolist()
    return Scene(
        frames_THWC=frames_THWC, heard_S=heard_S, face=(x0, y0, x1, y1),
        mouth_xy_T2=np.full((len(frames_THWC), 2), ((x0 + x1) / 2, y0 + (y1 - y0) * MOUTH_HEIGHT), np.float32),
    )  # fmt: skip


def _chance(task: Task, family: str, level: float) -> np.random.Generator:
    text = f"{task.seed}/{task.good.name}/{family}/{level}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def _commit(task: Task, family: str, readings: Sequence[Reading]) -> None:
    write_atomically(task.place(family), json.dumps(to_plain(list(readings))).encode())


def readings_of(task: Task, family: str) -> list[Reading]:
    """What was committed."""
    return [from_plain(Reading, row) for row in json.loads(task.place(family).read_text(encoding="utf-8"))]


def run(tasks: Sequence[Task], workers: int, told: Callable[[int, int], None]) -> None:
    """Work off the tasks, `workers` clips at a time; `told` hears of families done and in all."""
    places = [task.place(family) for task in tasks for family in (UNTOUCHED, *task.families)]
    parts = [task for task in tasks if task.open_families]

    def tell() -> None:
        told(sum(place.is_file() for place in places), len(places))

    tell()
    if workers == 1:
        for part in parts:
            work(part)
            tell()
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        pending = {pool.submit(work, part) for part in parts}
        try:
            while pending:
                ready, pending = wait(pending, LOOK_EVERY_S, return_when=FIRST_COMPLETED)
                for future in ready:
                    future.result()
                tell()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
