"""Pictures and sound for a live connection: frames as a peer's encoders take them, and VP8 or VP9 without delay.

Axes: H W picture, C channel (RGB), S samples.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

import av
import cv2
import numpy as np
from av import AudioFrame, VideoFrame
from av.video.frame import PictureType
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.records import GRID_FPS

Packed = Literal["vp8", "vp9"]
__all__ = ["AudioFrame", "LiveEncoder", "VideoFrame", "i420_of", "mono_of", "picture_frame", "sound_frame"]

VIDEO_HZ: Final = 90000
_LIBRARIES: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_REALTIME: Final = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}


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


class LiveEncoder:
    """VP8 or VP9 of square pictures, one packet for each, at once. Belongs to one thread at a time."""

    def __init__(self, codec: Packed, side_px: int, quality: int) -> None:
        """For pictures of this side; `quality` as of JPEG, 1 … 100."""
        context = av.CodecContext.create(_LIBRARIES[codec], "w")
        assert isinstance(context, av.VideoCodecContext)
        self._context = context
        self._context.width = self._context.height = side_px
        self._context.pix_fmt, self._context.time_base = "yuv420p", Fraction(1, GRID_FPS)
        self._context.framerate = Fraction(GRID_FPS)
        self._context.gop_size, self._context.thread_count = 1 << 20, 1
        crf = round(4 + (100 - quality) * 0.4)  # 10 at 85
        self._context.options = {**_REALTIME, "crf": str(crf)}
        self._context.bit_rate = 0 if codec == "vp9" else side_px * side_px * GRID_FPS  # a lid: VP8 knows no other crf
        self._n = 0

    def encode(self, pictures: Sequence[NDArray[np.uint8]]) -> list[bytes]:
        """A packet for each RGB picture; the first can be decoded without any before it."""
        return [self._packet(picture_HWC, is_key=at == 0) for at, picture_HWC in enumerate(pictures)]

    def _packet(self, picture_HWC: NDArray[np.uint8], *, is_key: bool) -> bytes:
        frame = VideoFrame.from_ndarray(i420_of(picture_HWC), format="yuv420p")
        frame.pts, frame.pict_type = self._n, PictureType.I if is_key else PictureType.NONE
        self._n += 1
        packets = self._context.encode(frame)
        if len(packets) != 1 or (is_key and not packets[0].is_keyframe):
            raise VividHeadError(f"{self._context.name} gave {len(packets)} packets for a picture")
        return bytes(packets[0])
