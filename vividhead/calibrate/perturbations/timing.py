"""Sound out of time with the picture, or somebody else's."""

import numpy as np

from vividhead.calibrate.perturbations.family import Family, Samples, Scene, Truth
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME

FRAME_MS = 1000 / GRID_FPS


def moved(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Pictures `level` frames later than the sound (negative: earlier)."""
    return scene.said(scene.sound_at(level))


def drifting(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """In time at the middle; pictures `level` / 2 frames too early at the start and as much too late at the end."""
    count = len(scene.audio_S)
    start, reach = (len(scene.heard_S) - count) / 2, level / 2 * SAMPLES_PER_FRAME
    at_S = np.linspace(start - reach, start + count - 1 + reach, count)
    return scene.said(np.interp(at_S, np.arange(len(scene.heard_S)), scene.heard_S).astype(np.float32))


def as_long_as(sound_S: Samples, n_samples: int) -> Samples:
    """The sound cut, or repeated, to this length."""
    return np.resize(sound_S, n_samples)


def another_voice(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """The sound of a clip of another source."""
    return scene.said(as_long_as(other.audio_S, len(scene.audio_S)))


FAMILIES = (
    Family(
        name="audio_shift", meaning="the pictures come later than their sound (negative: earlier)", unit="frames",
        levels=(-15, -12, -8, -5, -3, -2, -1, -0.5, 0.5, 1, 2, 3, 5, 8, 12, 15),
        harmful=(-15, -12, -8, -5, 5, 8, 12, 15), concerns=("lip_sync.offset_ms",), changes="sound", make=moved,
        truth=(
            Truth(field="lip_sync.offset_ms", of_level=lambda k: k * FRAME_MS, compared="plus_untouched"),
            Truth(field="lip_sync_syncnet.offset_frames", of_level=lambda k: k, compared="plus_untouched"),
        ),
    ),
    Family(
        name="audio_drift", meaning="sound that runs away from the pictures by so much over the clip", unit="frames",
        levels=(2, 5, 10, 20), harmful=(10, 20), concerns=(), changes="sound", make=drifting,
        watches=("lip_sync.confidence",),
    ),
    Family(
        name="other_voice", meaning="the sound of a clip of another source", unit="of 1", levels=(1,), harmful=(1,),
        concerns=("lip_sync.confidence",), changes="sound", make=another_voice,
        watches=("lip_sync_syncnet.lse_c", "lip_sync_syncnet.lse_d"),
    ),
)  # fmt: skip
