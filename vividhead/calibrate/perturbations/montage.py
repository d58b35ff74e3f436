"""Time tampered with: a piece cut out of the middle, a still photo in place of a film."""

import cv2
import numpy as np

from vividhead.calibrate.perturbations.family import MARGIN_FRAMES, Family, Scene
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME

CAMERA_NOISE = 1.5
"""Luma steps."""


def jumping(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """`level` frames of picture and sound taken out of the middle: in time on both sides of the jump."""
    gone = round(level)
    first = (scene.n_frames - gone) // 2
    keep = np.r_[0:first, first + gone : scene.n_frames]
    start = (MARGIN_FRAMES + first) * SAMPLES_PER_FRAME
    heard_S = np.delete(scene.heard_S, slice(start, start + gone * SAMPLES_PER_FRAME))
    return Scene(
        frames_THWC=scene.frames_THWC[keep], heard_S=heard_S, face=scene.face, mouth_xy_T2=scene.mouth_xy_T2[keep]
    )


def photographed(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """The first picture throughout, a camera moving over it: `level` percent of the side a second, and a zoom."""
    height, width = scene.frames_THWC.shape[1:3]
    angle = float(rng.uniform(0, 2 * np.pi))
    frames = []
    for frame in range(scene.n_frames):
        way = level / 100 * frame / GRID_FPS
        laid = cv2.getRotationMatrix2D((width / 2, height / 2), 20 * way, 1 + way)
        laid = laid + way * width / 4 * np.array([[0, 0, np.cos(angle)], [0, 0, np.sin(angle)]])
        moved = cv2.warpAffine(
            scene.frames_THWC[0], laid, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        noise_HW = rng.standard_normal((height, width), np.float32) * np.float32(CAMERA_NOISE)
        frames.append(np.clip(moved + noise_HW[..., None], 0, 255).astype(np.uint8))
    return scene.shown(np.stack(frames))


FAMILIES = (
    Family(
        name="jump_cut", meaning="so many frames of picture and sound taken out of the middle", unit="frames",
        levels=(5, 12, 25, 50), harmful=(12, 25, 50), concerns=("jump_cut.largest_jump",), changes="both", make=jumping,
        watches=("sharpness.blurs_per_face_p10",),
    ),
    Family(
        name="still_photo", meaning="a still photo with camera noise, moved and zoomed at this rate",
        unit="% of the side/s", levels=(0, 4), harmful=(0, 4),
        concerns=("motion.expression_std",), changes="pictures", make=photographed,
        watches=("lip_sync.confidence",),
    ),
)  # fmt: skip
