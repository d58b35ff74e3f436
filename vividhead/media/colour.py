"""Colour matrices: which one a picture has, and bringing it to BT.709, the one of all clips.

FFmpeg's scaler converts too, but is either off by up to 4 of 255, also for grey, or takes five times as long.
"""

from functools import cache

import cv2
import numpy as np
from av import VideoFrame

from vividhead.media.planes import Planes

BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)
"""How much red and blue weigh in luma: Kr and Kb of ITU-R BT.601-7 and BT.709-6."""
WEIGHTS = {
    1: BT709, 4: (0.30, 0.11), 5: BT601, 6: BT601, 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593),
}  # fmt: skip
"""The same by matrix coefficients as coded in ITU-T H.273 and `VideoFrame.colorspace`."""
SD_LARGEST_PX = (1280, 576)
"""Untagged pictures under this width and up to this height are taken for BT.601, larger ones for BT.709."""
NEUTRAL = 128.0
LUMA_STEPS, CHROMA_STEPS = 219, 224
"""Of video range, from black to white, and from one end of a colour difference to the other."""


def weights_of(picture: VideoFrame) -> tuple[float, float]:
    """Kr and Kb of an upright picture; where it says nothing, those that its size suggests."""
    if (tagged := int(picture.colorspace)) in WEIGHTS:
        return WEIGHTS[tagged]
    shorter, longer = sorted((picture.width, picture.height))
    return BT709 if longer >= SD_LARGEST_PX[0] or shorter > SD_LARGEST_PX[1] else BT601


def to_bt709(picture: VideoFrame, weights: tuple[float, float]) -> VideoFrame:
    """A yuv420p picture in video range, made with these Kr and Kb, as BT.709; right to one step of 255."""
    if weights == BT709:
        return picture
    planes = Planes(picture)
    (luma_u, luma_v), (u_u, u_v), (v_u, v_v) = _turn(*weights)
    u_HW = cv2.addWeighted(planes.u_HW, u_u, planes.v_HW, u_v, NEUTRAL * (1 - u_u - u_v))
    v_HW = cv2.addWeighted(planes.u_HW, v_u, planes.v_HW, v_v, NEUTRAL * (1 - v_u - v_v))
    shift_HW = cv2.addWeighted(planes.u_HW, luma_u, planes.v_HW, luma_v, -NEUTRAL * (luma_u + luma_v), dtype=cv2.CV_32F)
    height, width = planes.y_HW.shape
    y_HW = cv2.add(planes.y_HW, cv2.resize(shift_HW, (width, height)), dtype=cv2.CV_8U)
    flat = np.concatenate([part.reshape(-1) for part in (y_HW, u_HW, v_HW)])
    return VideoFrame.from_ndarray(flat.reshape(height * 3 // 2, width), format="yuv420p")


@cache
def _turn(kr: float, kb: float) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Shares of both colour differences in new luma (added to the old), new Cb and new Cr, in steps of video range."""
    red, blue, kg = 2 * (1 - kr), 2 * (1 - kb), 1 - kr - kb
    to_rgb = np.array([[1, 0, red], [1, -kb * blue / kg, -kr * red / kg], [1, blue, 0]])
    new_kr, new_kb = BT709
    luma = np.array([new_kr, 1 - new_kr - new_kb, new_kb])
    from_rgb = np.stack(
        [luma, (np.array([0, 0, 1]) - luma) / (2 * (1 - new_kb)), (np.array([1, 0, 0]) - luma) / (2 * (1 - new_kr))]
    )
    y, u, v = (from_rgb @ to_rgb)[:, 1:].tolist()
    scale = LUMA_STEPS / CHROMA_STEPS
    return (y[0] * scale, y[1] * scale), (u[0], u[1]), (v[0], v[1])
