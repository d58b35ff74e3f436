"""What a perturbation is: a pure function that spoils a good clip by a known amount, and what is known of it after.

Axes: T frames on the 25 fps clip grid, H W C picture (RGB), S audio samples at 16 kHz.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from vividhead.records import SAMPLES_PER_FRAME, Box

Pictures = NDArray[np.uint8]
Samples = NDArray[np.float32]

MARGIN_FRAMES = 16
"""Sound known before and after a clip, so that moving it by up to 15 frames brings in what was said there."""


def spoken(heard_S: Samples, n_frames: int) -> Samples:
    """The sound of the clip itself, without the margins."""
    margin = MARGIN_FRAMES * SAMPLES_PER_FRAME
    return heard_S[margin : margin + n_frames * SAMPLES_PER_FRAME]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A clip before it is measured: its pictures, its sound with `MARGIN_FRAMES` to either side, its face."""

    frames_THWC: Pictures
    heard_S: Samples
    """(T + 2 × MARGIN_FRAMES) × 640 samples in -1 … 1; silence where the source has no sound."""
    face: Box
    """Median of the face boxes, in pixels of the pictures."""
    mouth_xy_T2: NDArray[np.float32]
    """Middle of the lips in every frame, in pixels of the pictures."""

    @property
    def n_frames(self) -> int:
        return len(self.frames_THWC)

    @property
    def face_px(self) -> float:
        """Height of the face from brow to chin."""
        return self.face[3] - self.face[1]

    @property
    def audio_S(self) -> Samples:
        """The sound that goes with the pictures, 640 samples a frame."""
        return self.sound_at(0.0)

    def sound_at(self, later_frames: float) -> Samples:
        """The sound from so many frames later on, so that the pictures come as much too late; parts of frames too."""
        start = round((MARGIN_FRAMES + later_frames) * SAMPLES_PER_FRAME)
        count = self.n_frames * SAMPLES_PER_FRAME
        if not 0 <= start <= len(self.heard_S) - count:
            raise ValueError(f"sound is known {MARGIN_FRAMES} frames to either side, not {later_frames:g}")
        return self.heard_S[start : start + count]

    def shown(self, frames_THWC: Pictures) -> Self:
        """The same with other pictures."""
        return replace(self, frames_THWC=frames_THWC)

    def said(self, audio_S: Samples) -> Self:
        """The same with other sound beside the pictures."""
        margin = MARGIN_FRAMES * SAMPLES_PER_FRAME
        heard_S = self.heard_S.copy()
        heard_S[margin : len(heard_S) - margin] = np.clip(audio_S, -1, 1)
        return replace(self, heard_S=heard_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a field must read after a perturbation of a given level."""

    field: str
    """`score.field`."""
    of_level: Callable[[float], float]
    compared: Literal["to_zero", "times_duration", "plus_untouched", "times_untouched"]
    """The value itself, or in lengths of the clip, or what is added to the untouched clip's reading, or what that is
    multiplied by."""

    def needs_untouched(self) -> bool:
        """Is there no truth without the untouched clip's reading?"""
        return self.compared in ("plus_untouched", "times_untouched")

    def expected(self, level: float, untouched: float, seconds: float) -> float:
        """The reading to expect of a clip of so many seconds, where the untouched clip reads `untouched`."""
        value = self.of_level(level)
        if self.compared == "times_duration":
            return value * seconds
        if self.compared == "plus_untouched":
            return untouched + value
        return untouched * value if self.compared == "times_untouched" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of damage in several strengths."""

    name: str
    meaning: str
    """What is done, for readers of the report."""
    unit: str
    """Of a level."""
    levels: tuple[float, ...]
    """Strengths, the mildest first; of signed ones from end to end."""
    harmful: tuple[float, ...]
    """Those of the levels that a training set must not hold."""
    concerns: tuple[str, ...]
    """`score.field` of the fields that should tell the harmful levels from good clips: their limits come from it."""
    changes: Literal["pictures", "sound", "both"]
    make: Callable[[Scene, Scene, float, np.random.Generator], Scene]
    """(clip, a clip of another source, level, chance) → the spoilt clip, as many frames long or shorter."""
    truth: tuple[Truth, ...] = ()
    watches: tuple[str, ...] = ()
    """Further fields whose answer is worth a curve, without being asked to refuse anything."""
