"""A face to measure: scikit-image's astronaut, carried about as a test says, and footage if there."""

import os
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from tests.parity import parity
from vividhead.testing.media import ArrayClipMedia

__all__ = ["parity"]

Picture = NDArray[np.uint8]


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    """A portrait, 512 px square, its face about 104 px high."""
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def astronaut_box(astronaut: Picture) -> NDArray[np.float32]:
    """The detector's box of the astronaut's face, (1, 4)."""
    return ArrayClipMedia(astronaut[None]).box_xyxy_px_T4


@pytest.fixture(scope="session")
def astronaut_mesh(astronaut: Picture, astronaut_box: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mesh of the astronaut's face in its crop, (478, 3)."""
    return ArrayClipMedia(np.stack([astronaut] * 3), box_xyxy_px_T4=astronaut_box).landmarks_TNC[-1]


Moved = Callable[..., ArrayClipMedia]


@pytest.fixture(scope="session")
def moved() -> Moved:
    """Carry a still picture and its face box about, as a camera would that films a photo."""

    def make(
        picture: Picture,
        box_14: NDArray[np.float32],
        n_frames: int,
        *,
        px_per_frame: float = 0.0,
        turn_deg: float = 0.0,
        zoom: float = 0.0,
        noise: float = 0.0,
    ) -> ArrayClipMedia:
        """Steadily to the right; `turn_deg` and `zoom` are the sizes of a slow swing; noise in levels."""
        height, width = picture.shape[:2]
        middle = (float(box_14[0, 0] + box_14[0, 2]) / 2, float(box_14[0, 1] + box_14[0, 3]) / 2)

        def affine(frame: int) -> NDArray[np.float64]:
            swing = np.sin(2 * np.pi * frame / 70)
            matrix = cv2.getRotationMatrix2D(middle, turn_deg * swing, 1 + zoom * swing)
            matrix[0, 2] += px_per_frame * frame
            return matrix

        def show(frame: int) -> Picture:
            seen = cv2.warpAffine(picture, affine(frame), (width, height), borderMode=cv2.BORDER_REFLECT)
            grain = np.random.default_rng(frame).normal(0, noise, seen.shape) if noise else 0.0
            return np.clip(seen + grain, 0, 255).round().astype(np.uint8)

        boxes = []
        half = (box_14[0, 2:] - box_14[0, :2]) / 2
        for frame in range(n_frames):
            centre = affine(frame) @ (*middle, 1.0)
            boxes.append([*(centre - half), *(centre + half)])
        return ArrayClipMedia(show, n_frames, box_xyxy_px_T4=np.array(boxes, np.float32))

    return make


@pytest.fixture(scope="session")
def footage() -> Callable[..., NDArray[np.uint8]]:
    """Read 25 fps frames of shared footage by its stem, or skip the test where there is none."""
    default = Path(__file__).parents[2].parent / "shared"
    folder = Path(os.environ.get("VIVIDHEAD_SHARED", default)) / "footage"

    def read(stem: str, start: int, end: int) -> NDArray[np.uint8]:
        path = folder / f"{stem}.mp4"
        if not path.is_file():
            pytest.skip(f"no {path}; set VIVIDHEAD_SHARED to the folder that holds footage/")
        with av.open(str(path)) as container:
            frames = enumerate(container.decode(video=0))
            return np.stack([f.to_ndarray(format="rgb24") for i, f in frames if start <= i < end])

    return read
