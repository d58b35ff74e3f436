"""Pictures and sound for a live connection: frames as a peer's encoders take them.

Axes: H W picture, C channel (RGB), S samples.
"""

from fractions import Fraction
from typing import Final

import cv2
import numpy as np
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from vividhead.records import GRID_FPS

__all__ = ["AudioFrame", "VideoFrame", "i420_of", "mono_of", "picture_frame", "sound_frame"]

VIDEO_HZ: Final = 90000


def i420_of(picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to planes of Y, U and V, one below the other: (3 H / 2, W); sides are even."""
    return np.asarray(cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2YUV_I420), np.uint8)


def picture_frame(i420_HW: NDArray[np.uint8], number: int) -> VideoFrame:
    """Picture `number` of 25 a second, in a clock of 90 kHz."""
    frame = VideoFrame.from_ndarray(i420_HW, format="yuv420p")
    frame.pts, frame.time_base = number * VIDEO_HZ // GRID_FPS, Fraction(1, VIDEO_HZ)
    return frame


def sound_frame(samples_S: NDArray[np.int16], first: int, rate_hz: int) -> AudioFrame:
    """Mono sound whose first sample is number `first`."""
    frame = AudioFrame.from_ndarray(samples_S[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, first, Fraction(1, rate_hz)
    return frame


def mono_of(frame: AudioFrame) -> NDArray[np.int16]:
    """The samples of a packed 16-bit frame, channels averaged."""
    interleaved_S = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
    return np.asarray(interleaved_S.mean(axis=1), np.int16)
