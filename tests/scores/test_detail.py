"""Faces scaled up, scaled down, smeared and out of focus."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]


def read(pictures: NDArray[np.uint8], boxes: Boxes, field: str) -> float:
    return dict(loaded_score("detail").measure(ArrayClipMedia(pictures, box_xyxy_px_T4=boxes)))[field]


def enlarged(picture: Picture, times: float) -> Picture:
    return cv2.resize(picture, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("times", [2.0, 3.0])
def test_a_face_scaled_up_has_the_detail_of_the_small_one_and_nearly_its_edges(
    astronaut: Picture, astronaut_box: Boxes, times: float
) -> None:
    picture, box = enlarged(astronaut, times)[None], astronaut_box * times
    small_px = float(astronaut_box[0, 3] - astronaut_box[0, 1])
    assert read(astronaut[None], astronaut_box, "true_resolution_fraction") > 0.95
    assert read(picture, box, "true_face_px") == pytest.approx(small_px, rel=0.35)
    assert read(picture, box, "true_resolution_fraction") == pytest.approx(1 / times, rel=0.35)
    assert read(picture, box, "motion_blur_anisotropy") < 2


def test_a_smear_takes_the_detail_of_one_direction_and_defocus_that_of_all(footage: Callable[..., Picture]) -> None:
    picture = footage("portrait_kitchen", 10, 11)[0]
    box = ArrayClipMedia(picture[None]).box_xyxy_px_T4
    length = round(0.08 * float(box[0, 3] - box[0, 1]))
    across, down = (np.full(shape, 1 / length) for shape in ((1, length), (length, 1)))

    def poorest(seen: Picture) -> float:
        return read(seen[None], box, "motion_blur_anisotropy")

    assert max(poorest(picture), poorest(cv2.GaussianBlur(picture, (0, 0), 0.25 * length))) < 2
    assert min(poorest(np.asarray(cv2.filter2D(picture, -1, smear), np.uint8)) for smear in (across, down)) > 3


def test_an_honestly_smaller_picture_is_as_fine_as_its_pixels(footage: Callable[..., Picture]) -> None:
    picture = footage("portrait_kitchen", 10, 11)[0]
    box = ArrayClipMedia(picture[None]).box_xyxy_px_T4
    small = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    assert read(small[None], box / 2, "true_resolution_fraction") > 0.95


def test_a_tiny_face_has_too_few_features_to_tell(astronaut: Picture, astronaut_box: Boxes) -> None:
    tiny = cv2.resize(astronaut, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    with pytest.raises(Unmeasurable) as why:
        read(np.asarray(tiny, np.uint8)[None], astronaut_box * 0.25, "true_face_px")
    assert why.value.code == "too_small"
