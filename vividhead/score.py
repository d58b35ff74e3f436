"""What a score is, how it is found by name, and how it is run so that no clip can break a run.

A score is one class in one file of `vividhead/scores/`; the file's name is the score's name. It measures and
never decides: thresholds live in `filters/*.toml`.

Axes: T frames on the 25 fps clip grid, H W C picture, N mesh points, S audio samples at 16 kHz.
"""

import difflib
import importlib
import math
import pkgutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import ConfigError, VividHeadError
from vividhead.records import Clip, Measurement
from vividhead.weights import find_file, fingerprint, home

FACE_CROP_PX = 256
"""Side of the square face crops that scores see."""
FACE_CROP_SCALE = 1.8
"""Side of a face crop in units of the (smoothed) detected face box's side."""
UNSCALED_EVERY = 12
"""Of the source's grid frames, how many lie between two whose face is also kept in the source's own pixels."""
UNSCALED_MOST_PX = 512
"""Of a face larger than that just the middle is kept so."""
WIDE_PX = 224
"""Side of the luma thumbnails of what is around the face."""
WIDE_SCALE = 3.0
"""Their side in units of the face box's side: the packed crop, and as far as the head strays from its middle."""
WIDE_EVERY = 6
"""Of the source's grid frames, how many lie between two of which such a thumbnail is kept."""


def _face_disc() -> NDArray[np.bool_]:
    from_centre = np.arange(FACE_CROP_PX) + 0.5 - FACE_CROP_PX / 2
    return np.hypot(from_centre[:, None], from_centre) < FACE_CROP_PX / FACE_CROP_SCALE / 2


FACE_DISC_HW = _face_disc()
"""Which pixels of a face crop are face: the circle inside the face box."""


@dataclass(frozen=True, slots=True)
class Field:
    """One number a score yields: its unit, what it means, and the range it must lie in."""

    unit: str
    meaning: str
    low: float = -math.inf
    high: float = math.inf


class Unmeasurable(VividHeadError):  # noqa: N818 - a state, not a fault
    """This clip has no such value, and why: `code` is short, closed and stable, e.g. `no_speech`."""

    def __init__(self, code: str, detail: str = "") -> None:
        """Take the stable `code` and a `detail` for people."""
        self.code = code
        self.detail = detail
        super().__init__(detail or code)


@dataclass(frozen=True, slots=True)
class Unknown:
    """In place of one field's value when the rest of the score is known. `code` as in `Unmeasurable`."""

    code: str


@dataclass(frozen=True, slots=True)
class OtherFace:
    """A detection of a face that is not the clip's own."""

    frame: int
    """Grid frame within the clip, 0 … T-1."""
    height_px: float
    """Height of the detected face box in source pixels."""


class ClipMedia(Protocol):
    """What a score may look at. Every property is computed when first asked for, and kept for the next score."""

    clip: Clip
    source_width_px: int
    source_height_px: int
    detected_frames: Sequence[int]
    """Grid frames within the clip, 0 … T-1, at which the detector looked."""
    others: Sequence[OtherFace]
    """Other faces seen at `detected_frames`, in frame order."""
    box_xyxy_px_T4: NDArray[np.float32]
    """The clip's own face per frame, smoothed, in source pixels (square box from brow to chin, x0 y0 x1 y1)."""
    syncnet_every_frames: int
    """One window of lips in so many frames is read by `lip_sync_syncnet`: an option of the pipeline file."""
    speech_spans_s: Sequence[tuple[float, float]]
    """Speech in the clip by voice activity: start and end in seconds since the clip's start."""

    @property
    def landmarks_TNC(self) -> NDArray[np.float32]:
        """MediaPipe's 478 mesh points, (T, 478, 3): x, y in pixels of the 256 px face crop of that frame, z in the
        same unit (smaller is nearer); NaN rows where the mesh found no face. Dear: 3 ms a frame."""

    @property
    def crop_xyxy_px_T4(self) -> NDArray[np.float32]:
        """The square of the source picture behind each frame's face crop (1.8 × face box; may reach outside)."""

    @property
    def audio_S(self) -> NDArray[np.float32]:
        """16 kHz mono, float32 in -1 … 1, exactly 640 T samples."""

    def face_HWC(self, frame: int) -> NDArray[np.uint8]:
        """RGB face crop (256, 256, 3) of grid frame `frame` within the clip; picture borders are replicated."""

    def faces(self, step: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (frame, RGB face crop) for every `step`-th grid frame."""

    def unscaled_lumas(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (frame, luma) of about two frames a second: what the face box holds, pixel for pixel as in the source.

        Not square where the box reaches out of the picture; of a face over 512 px the middle 512 px. For what scaling
        would hide: the rows of two fields, how much detail the pixels hold.
        """

    def wide_lumas(self) -> Iterator[tuple[int, NDArray[np.uint8], tuple[int, int, int]]]:
        """Yield (frame, luma (224, 224), (x0, y0, side) in source pixels) of about four frames a second.

        What is around the face, three boxes wide. The squares step by an eighth of their side, and their side by a
        fifth, so that what stays in the source falls on the same pixels; outside, the picture's border is repeated.
        """


class Score(ABC):
    """Base of all scores. Instances are made once per process and reused; load models in `__init__`."""

    version: ClassVar[int] = 1
    """Raise it when a number may change for the same clip."""
    fields: ClassVar[Mapping[str, Field]]
    texts: ClassVar[Mapping[str, str]] = {}
    """Texts it yields beside the numbers: name → what it says. They are stored as they are; no rule can be on them."""
    cost_ms_per_s: ClassVar[float]
    """Rough CPU milliseconds per second of clip on one core; cheap scores are run first."""
    needs: ClassVar[tuple[str, str] | None] = None
    """Model and file that must be fetched before (`vividhead weights list`); None where all comes with the wheels."""
    package: ClassVar[tuple[str, str] | None] = None
    """Python package it runs on, and the extra that installs it; None where that comes with vividhead itself."""
    fingerprint: str = ""
    """Name, version and digest of the model behind the score; empty where there is none."""

    @abstractmethod
    def measure(self, clip: ClipMedia) -> Mapping[str, float | Unknown]:
        """Return a value or an `Unknown` for every name in `fields`; raise `Unmeasurable` when there is none."""

    def say(self, clip: ClipMedia) -> Mapping[str, str]:
        """A text for every name in `texts`; called after `measure` succeeded on the same clip."""
        return {}

    def keep(self, clip: ClipMedia) -> Mapping[str, NDArray[np.float32]]:
        """Arrays to store beside the numbers, by name; called after `measure` succeeded on the same clip."""
        return {}


def score_names() -> list[str]:
    """Names of all scores: the files in `vividhead/scores/`."""
    import vividhead.scores as package

    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


@cache
def score_class(name: str) -> type[Score]:
    """The score's class, for its declared fields; loads no model."""
    if name not in score_names():
        near = difflib.get_close_matches(name, score_names(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError("scores", [f"no score {name!r}; {hint}there are {', '.join(score_names())}"])
    module = importlib.import_module(f"vividhead.scores.{name}")
    found = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    scores = [c for c in found if issubclass(c, Score)]
    if len(scores) != 1:
        raise VividHeadError(f"vividhead/scores/{name}.py must hold exactly one Score, not {len(scores)}")
    return scores[0]


def require_models(names: Sequence[str]) -> None:
    """Raise VividHeadError, with the command that brings it, for a model or package that a score needs and lacks."""
    for name in names:
        needed, package = score_class(name).needs, score_class(name).package
        if package is not None and find_spec(package[0]) is None:
            raise VividHeadError(f"{name} needs {package[0]}, which is missing: pip install 'vividhead[{package[1]}]'")
        if needed is not None:
            find_file(*needed)


def model_in_use(name: str) -> str:
    """Fingerprint of the fetched file that the score would read now; empty where it needs none, or lacks it."""
    needed = score_class(name).needs
    return "" if needed is None else _model_in(home(), needed)


@cache
def _model_in(folder: Path, needed: tuple[str, str]) -> str:
    """`folder` is where `find_file` looks: of a file that is exchanged while this runs, the one found first holds."""
    try:
        return fingerprint(needed[0], find_file(*needed))
    except VividHeadError:
        return ""


@cache
def loaded_score(name: str) -> Score:
    """The score, its models loaded, one per process."""
    return score_class(name)()


SPENT_S: ContextVar[dict[str, float] | None] = ContextVar("SPENT_S", default=None)
"""Where it is set, `measure` adds each score's CPU seconds to it, with what it is the first to ask of ClipMedia."""


def measure(name: str, media: ClipMedia) -> Measurement:
    """Run one score on one clip. Never raises for the clip's fault: the fault becomes the measurement's status."""
    spent_s = SPENT_S.get()
    if spent_s is None:
        return _measured(name, media)
    began = time.process_time()
    row = _measured(name, media)
    spent_s[name] = spent_s.get(name, 0.0) + time.process_time() - began
    return row


def _measured(name: str, media: ClipMedia) -> Measurement:
    cls = score_class(name)

    def row(status: str, code: str = "", detail: str = "", **kw: Mapping[str, object]) -> Measurement:
        return Measurement(
            clip_id=media.clip.clip_id, score=name, version=cls.version, fingerprint=loaded_score(name).fingerprint,
            status=status, code=code, detail=detail, **kw,  # type: ignore[arg-type]
        )  # fmt: skip

    try:
        result = loaded_score(name).measure(media)
        if set(result) != set(cls.fields):
            raise VividHeadError(f"{name} returned {sorted(result)}, declared {sorted(cls.fields)}")
        texts = dict(loaded_score(name).say(media)) if cls.texts else {}
        if set(texts) != set(cls.texts):
            raise VividHeadError(f"{name} said {sorted(texts)}, declared {sorted(cls.texts)}")
        values = {k: None if isinstance(v, Unknown) else round(float(v), 6) for k, v in result.items()}
        for key, value in values.items():
            declared = cls.fields[key]
            if value is not None and not (math.isfinite(value) and declared.low <= value <= declared.high):
                raise VividHeadError(f"{name}.{key} = {value} is outside {declared.low} … {declared.high}")
    except Unmeasurable as why:
        return row("unmeasurable", why.code, why.detail)
    except (MemoryError, OSError):
        raise  # the machine's fault, not the clip's: the unit is retried
    except Exception as fault:  # noqa: BLE001 - the one broad except of this stage: the fault becomes a row
        return row("failed", type(fault).__name__, str(fault))
    unknown = {k: v.code for k, v in result.items() if isinstance(v, Unknown)}
    return row("measured", values=values, unknown=unknown, texts=texts)
