"""Footage by script: drawn pictures in memory, and a detector that says what the script says."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from vividhead.faces import DetectedFace
from vividhead.media import GridFrame
from vividhead.records import Box

FACE: Box = (100.0, 60.0, 200.0, 160.0)
"""Where the face is unless the script says otherwise."""
WIDTH, HEIGHT = 320, 240


def picture(luma: int) -> VideoFrame:
    noise_HW = np.random.default_rng(luma).integers(0, 8, (HEIGHT * 3 // 2, WIDTH))
    noise_HW[:HEIGHT] += luma
    noise_HW[HEIGHT:] += 124
    return VideoFrame.from_ndarray(noise_HW.astype(np.uint8), format="yuv420p")


SHADES = tuple([picture(luma + k) for k in range(7)] for luma in (60, 180))
"""Two shots of a few pictures each: from one shot to the other is a cut, from one picture to the next is none."""


@dataclass
class Film:
    """Footage by script. It is its own detector: a look sees the faces of the frame that was read last."""

    n_frames: int
    faces: Callable[[int], Sequence[Box]] = lambda frame: [FACE]
    cuts: Sequence[int] = ()
    holes: Sequence[int] = ()
    start: int = 0
    every: int = 1
    """Grid frames that each picture is shown for."""
    now: int = field(default=-1, init=False)

    def frames(self, start: int | None = None, end: int | None = None) -> Iterator[GridFrame]:
        """The grid frames [start, end), all unless said otherwise."""
        last = self.start + self.n_frames if end is None else end
        for frame in range(self.start if start is None else start, last):
            self.now = frame
            number, age = divmod(frame - self.start, self.every)
            shade = SHADES[sum(cut <= frame for cut in self.cuts) % 2][number % 7]
            yield GridFrame(frame, None if frame in self.holes else shade, age > 0)

    def detect(self, picture_HWC: NDArray[np.uint8]) -> list[DetectedFace]:
        assert picture_HWC.shape == (HEIGHT, WIDTH, 3)
        return [DetectedFace(box, 0.9) for box in self.faces(self.now)]
