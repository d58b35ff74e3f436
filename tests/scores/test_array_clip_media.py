"""The clip in memory that tests of scores stand on: does it show what a run would show?"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.clip_media import cut_face
from vividhead.testing.media import ArrayClipMedia

RAMP_1HWC = np.tile(np.arange(200, dtype=np.uint8)[:, None], (1, 150, 1, 3))


class SquareOnly:
    """A decoded picture of which only the square asked for is looked at."""

    def square_i420(self, *square: int) -> Any:
        self.square = square


@pytest.mark.parametrize("box", [(40, 30, 90, 80), (41.3, 30.7, 97.9, 87.1), (-20, -10, 35.5, 46), (120, 99, 200, 180)])
def test_it_cuts_the_square_that_a_run_cuts(box: tuple[float, float, float, float]) -> None:
    clip = ArrayClipMedia(RAMP_1HWC, box_xyxy_px_T4=np.array([box], np.float32))
    crop = cut_face(SquareOnly(), box)
    x1, y1 = crop.x0_px + crop.side_px, crop.y0_px + crop.side_px
    assert clip.crop_xyxy_px_T4[0].tolist() == [crop.x0_px, crop.y0_px, x1, y1]


def test_a_crop_shows_its_square_of_the_picture_and_repeats_the_border_outside() -> None:
    inside, outside = (
        ArrayClipMedia(RAMP_1HWC, box_xyxy_px_T4=np.array([box], np.float32))
        for box in ([75, 50, 125, 100], [-25, 50, 25, 100])
    )
    shown = inside.face_HWC(0)
    assert shown.shape == (256, 256, 3)
    assert shown[:, [0, 128, 255], 0].mean(axis=0) == pytest.approx([55, 100, 144], abs=1)
    beyond = outside.face_HWC(0)
    assert beyond[:, :120].max() == 0
    assert beyond[0, 255, 0] == pytest.approx(44, abs=1)


def test_the_detector_s_box_follows_a_face_that_moves(astronaut: NDArray[np.uint8]) -> None:
    def show(frame: int) -> NDArray[np.uint8]:
        return np.roll(astronaut, 4 * frame, axis=1)

    boxes_T4 = ArrayClipMedia(show, 16).box_xyxy_px_T4
    assert boxes_T4[15, 0] - boxes_T4[0, 0] == pytest.approx(60, abs=6)
    assert boxes_T4[8, 0] - boxes_T4[0, 0] == pytest.approx(32, abs=6)


def test_the_clip_s_crop_is_the_largest_even_square_around_the_face() -> None:
    pictures = np.zeros((1, 151, 301, 3), np.uint8)
    clip = ArrayClipMedia(pictures, box_xyxy_px_T4=np.array([[240, 50, 290, 100]], np.float32))
    assert clip.clip.crop_xyxy_px == (150, 0, 300, 150)


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ({"audio_S": np.zeros(100, np.float32)}, "640"),
        ({}, "no face"),
    ],
)
def test_what_cannot_be_a_clip_is_refused(about: dict[str, Any], text: str) -> None:
    box = {"box_xyxy_px_T4": np.array([[2, 2, 6, 6]], np.float32)} if about else {}
    with pytest.raises(ValueError, match=text):
        ArrayClipMedia(np.zeros((1, 64, 64, 3), np.uint8), **box, **about)
