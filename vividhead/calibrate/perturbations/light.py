"""Noise, too little light and too much, and coding that throws detail away."""

import cv2
import numpy as np

from vividhead.calibrate.perturbations.family import Family, Pictures, Scene
from vividhead.calibrate.perturbations.focus import each
from vividhead.media.encode import ClipWriter, EncodeOptions
from vividhead.media.still import FromRgb
from vividhead.media.window import window_pictures


def noisy(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Normal noise of `level` luma steps, fresh in every picture and pixel, alike in all three colours."""

    def change(frame_HWC: Pictures) -> Pictures:
        noise_HW = rng.standard_normal(frame_HWC.shape[:2], np.float32) * np.float32(level)
        return np.clip(frame_HWC + noise_HW[..., None], 0, 255).astype(np.uint8)

    return scene.shown(each(scene.frames_THWC, change))


def lit(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """`level` stops more light (negative: less): twice the linear light for each, what is too bright cut off."""
    linear = (np.arange(256) / 255.0) ** 2.2 * 2.0**level
    table = np.rint(np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    return scene.shown(each(scene.frames_THWC, lambda frame: cv2.LUT(frame, table)))


def coded(scene: Scene, other: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Encoded as H.264 at a constant rate factor of `level`, and decoded."""
    side = scene.frames_THWC.shape[2]
    assert scene.frames_THWC.shape[1] == side, "clips are square"
    options = EncodeOptions(side_px=side, crf=round(level), preset="veryfast", gop_frames=50, aac_kbps=32)
    writer, picture_of = ClipWriter((0, 0, side, side), scene.audio_S, options), FromRgb()
    for frame_HWC in scene.frames_THWC:
        writer.add(picture_of(frame_HWC))
    return scene.shown(window_pictures(writer.finish(), range(scene.n_frames), side))


EXPOSURE = ("exposure.face_luma_median", "exposure.under_fraction")

FAMILIES = (
    Family(
        name="noise", meaning="normal noise of this standard deviation in luma", unit="of 255",
        levels=(5, 20), harmful=(20,), concerns=(), changes="pictures", make=noisy,
        watches=("sharpness.blurs_per_face_p10",),
    ),
    Family(
        name="under_exposure", meaning="less light (negative stops)", unit="stops", levels=(-1, -2, -3, -4),
        harmful=(-4,), concerns=EXPOSURE, changes="pictures", make=lit,
    ),
    Family(
        name="over_exposure", meaning="more light", unit="stops", levels=(1, 2, 3), harmful=(2, 3),
        concerns=("exposure.over_fraction",), changes="pictures", make=lit,
    ),
    Family(
        name="h264", meaning="H.264 at this constant rate factor", unit="crf", levels=(30, 37, 44),
        harmful=(44,), concerns=(), changes="pictures", make=coded,
        watches=("sharpness.blurs_per_face_p10",),
    ),
)  # fmt: skip
