"""A head that moves, before a wall that stays, passes or flickers."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

N_FRAMES, SIDE_PX, FACE_PX = 60, 360, 120
Wall = Callable[[int], NDArray[np.uint8]]


def texture(width_px: int) -> NDArray[np.uint8]:
    """Blobs of about ten pixels, as of a bookshelf out of focus."""
    noise_HW = np.random.default_rng(0).normal(0, 1, (SIDE_PX, width_px))
    smooth_HW = cv2.GaussianBlur(noise_HW, (0, 0), 5)
    return np.clip(128 + 60 * smooth_HW / smooth_HW.std(), 0, 255).astype(np.uint8)


def talk_before(wall: Wall) -> ArrayClipMedia:
    """A grey disc as a head, swaying by a quarter of itself, under grain."""

    def centre(frame: int) -> int:
        return round(SIDE_PX / 2 + FACE_PX / 8 * np.sin(2 * np.pi * frame / 40))

    def show(frame: int) -> NDArray[np.uint8]:
        seen_HWC = np.repeat(wall(frame)[:, :, None], 3, 2).copy()
        cv2.circle(seen_HWC, (centre(frame), SIDE_PX // 2), FACE_PX * 6 // 10, (190, 150, 130), -1)
        grain = np.random.default_rng(frame).normal(0, 3, seen_HWC.shape)
        return np.clip(seen_HWC + grain, 0, 255).astype(np.uint8)

    half, y = FACE_PX / 2, SIDE_PX / 2
    boxes = [(centre(f) - half, y - half, centre(f) + half, y + half) for f in range(N_FRAMES)]
    return ArrayClipMedia(show, N_FRAMES, box_xyxy_px_T4=np.array(boxes, np.float32))


def read(clip: ArrayClipMedia) -> dict[str, float]:
    return dict(loaded_score("background").measure(clip))


def test_a_wall_stays_however_the_head_moves() -> None:
    still = texture(SIDE_PX)
    assert read(talk_before(lambda frame: still))["moving_fraction_p95"] < 0.02


def test_a_background_that_passes_moves() -> None:
    wide = texture(SIDE_PX * 2)
    passing = read(talk_before(lambda frame: wide[:, 3 * frame : 3 * frame + SIDE_PX]))
    assert passing["moving_fraction"] > 0.5


def test_a_short_disturbance_shows_in_the_percentile_and_hardly_in_the_mean() -> None:
    still, other = texture(SIDE_PX), texture(SIDE_PX)[::-1].copy()
    got = read(talk_before(lambda frame: other if 25 <= frame < 32 else still))
    assert got["moving_fraction"] < 0.5 < got["moving_fraction_p95"]


def test_a_face_that_fills_the_picture_leaves_no_background() -> None:
    grey = np.full((30, 100, 100, 3), 128, np.uint8)
    with pytest.raises(Unmeasurable) as why:
        read(ArrayClipMedia(grey, box_xyxy_px_T4=np.array([[0, 0, 100, 100]], np.float32)))
    assert why.value.code == "no_background"
