"""Pictures that hold less detail than their pixels promise: out of focus, smeared, scaled up, woven of two fields.

Sizes are relative to the face's height, so that a level means the same in every clip.
"""

from collections.abc import Callable

import cv2
import numpy as np

from vividhead.calibrate.perturbations.family import Family, Pictures, Scene, Truth

SHARPNESS = ("sharpness.blurs_per_face_p10",)
DETAIL = ("detail.true_face_px", "detail.true_resolution_fraction")
SMEAR = ("detail.motion_blur_anisotropy",)
COMBING = ("interlacing.combed_fraction",)


def each(frames_THWC: Pictures, change: Callable[[Pictures], object]) -> Pictures:
    """Every picture changed by itself."""
    return np.stack([np.asarray(change(frame_HWC), np.uint8) for frame_HWC in frames_THWC])


def defocused(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Blurred by a Gaussian whose sigma is `level` percent of the face's height."""
    sigma = scene.face_px * level / 100
    return scene.shown(each(scene.frames_THWC, lambda frame: cv2.GaussianBlur(frame, (0, 0), sigma)))


def smeared(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """As by a camera that moves on by `level` percent of the face's height while the shutter is open."""
    length = max(1, round(scene.face_px * level / 100))
    angle = float(rng.uniform(0, np.pi))
    reach = np.linspace(-length / 2, length / 2, 4 * length + 1)
    half = length // 2 + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    columns, rows = (np.rint(half + reach * part).astype(int) for part in (np.cos(angle), np.sin(angle)))
    np.add.at(kernel, (rows, columns), 1)
    return scene.shown(each(scene.frames_THWC, lambda frame: cv2.filter2D(frame, -1, kernel / kernel.sum())))


def down_and_up(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Scaled down to a face of `-level` pixels and up again: the resolution is no longer what it seems."""
    height, width = scene.frames_THWC.shape[1:3]
    ratio = min(1.0, -level / scene.face_px)
    small = max(8, round(width * ratio)), max(8, round(height * ratio))

    def change(frame_HWC: Pictures) -> object:
        less = cv2.resize(frame_HWC, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(less, (width, height), interpolation=cv2.INTER_CUBIC)

    return scene.shown(each(scene.frames_THWC, change))


def scaled(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """The whole picture smaller, to 1 + `level` of its size: honestly less resolution."""
    height, width = scene.frames_THWC.shape[1:3]
    small = round(width * (1 + level) / 2) * 2, round(height * (1 + level) / 2) * 2
    return scene.shown(each(scene.frames_THWC, lambda frame: cv2.resize(frame, small, interpolation=cv2.INTER_AREA)))


def woven(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Every other row from `level` frames later: what moved meanwhile is combed."""
    frames_THWC = scene.frames_THWC.copy()
    later = np.minimum(np.arange(scene.n_frames) + round(level), scene.n_frames - 1)
    frames_THWC[:, 1::2] = scene.frames_THWC[later, 1::2]
    return scene.shown(frames_THWC)


FAMILIES = (
    Family(
        name="defocus", meaning="a Gaussian blur of this sigma", unit="% of the face's height",
        levels=(0.5, 1, 2, 4), harmful=(2, 4), concerns=SHARPNESS, watches=(*DETAIL, *SMEAR), changes="pictures",
        make=defocused,
    ),
    Family(
        name="motion_blur", meaning="a straight smear of this length", unit="% of the face's height",
        levels=(4, 8), harmful=(8,), concerns=SMEAR, watches=(*SHARPNESS, *DETAIL), changes="pictures", make=smeared,
    ),
    Family(
        name="false_resolution", meaning="scaled down to a face of this height and up again (negative, in pixels)",
        unit="px", levels=(-160, -110, -80, -50), harmful=(-80, -50), concerns=DETAIL, watches=(*SHARPNESS, *SMEAR),
        changes="pictures", make=down_and_up,
    ),
    Family(
        name="scaled", meaning="the whole picture made smaller by this part: no damage", unit="of 1",
        levels=(-0.25, -0.5), harmful=(), concerns=SHARPNESS, watches=DETAIL, changes="pictures", make=scaled,
        truth=(Truth(field=SHARPNESS[0], of_level=lambda less: 1.0, compared="times_untouched"),),
    ),
    Family(
        name="interlaced", meaning="every other row from so many frames later, as two fields in one picture",
        unit="frames", levels=(1, 2), harmful=(1, 2), concerns=COMBING, changes="pictures", make=woven,
    ),
)  # fmt: skip
