"""Pictures woven from two fields."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]


def combed(pictures: NDArray[np.uint8], boxes: Boxes) -> float:
    return dict(loaded_score("interlacing").measure(ArrayClipMedia(pictures, box_xyxy_px_T4=boxes)))["combed_fraction"]


def woven(picture: Picture, px: float) -> Picture:
    """Odd rows as the camera saw them a field later, everything `px` further to the right."""
    height, width = picture.shape[:2]
    later = cv2.warpAffine(picture, np.array([[1, 0, px], [0, 1, 0]], np.float32), (width, height))
    both = picture.copy()
    both[1::2] = later[1::2]
    return both


def test_rows_of_two_fields_are_combed_by_how_far_the_face_moved_and_scaling_hides_it(
    astronaut: Picture, astronaut_box: Boxes
) -> None:
    still, *moving = (combed(woven(astronaut, px)[None], astronaut_box) for px in (0, 0.5, 1, 2))
    assert still < 0.1
    assert moving == sorted(moving)
    assert moving[1] > 0.2
    scaled = cv2.resize(woven(astronaut, 2), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    assert combed(np.asarray(scaled, np.uint8)[None], astronaut_box * 0.6) < 0.5 * moving[-1]


def test_one_moment_of_combing_tells(astronaut: Picture, astronaut_box: Boxes) -> None:
    pictures = np.stack([astronaut] * 60)
    assert combed(pictures, astronaut_box) < 0.1
    pictures[20:30] = woven(astronaut, 2)
    assert combed(pictures, astronaut_box) > 0.3


def test_a_face_without_a_whole_patch_is_unmeasurable(astronaut: Picture) -> None:
    with pytest.raises(Unmeasurable) as why:
        combed(astronaut[None], np.array([[100, 100, 112, 112]], np.float32))
    assert why.value.code == "too_small"
