"""Pictures compressed in blocks, and slopes with too few levels."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unknown, loaded_score
from vividhead.testing.media import ArrayClipMedia

Picture = NDArray[np.uint8]


def read(picture: Picture, box: NDArray[np.float32]) -> dict[str, float | Unknown]:
    return dict(loaded_score("artifacts").measure(ArrayClipMedia(picture[None], box_xyxy_px_T4=box)))


def jpeg(picture: Picture, quality: int) -> Picture:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def blocking(picture: Picture, box: NDArray[np.float32]) -> float:
    value = read(picture, box)["blocking"]
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("enlarged", [1.0, 1.5, 2.5])
def test_stronger_compression_in_blocks_reads_more_at_any_size_of_the_face(
    astronaut: Picture, astronaut_box: NDArray[np.float32], enlarged: float
) -> None:
    picture, box = cv2.resize(astronaut, None, fx=enlarged, fy=enlarged), astronaut_box * enlarged
    clean, *coded = (blocking(seen, box) for seen in (picture, *(jpeg(picture, q) for q in (50, 20, 8))))
    assert clean < 1.25  # the portrait has been a JPEG before
    assert coded == sorted(coded)
    assert coded[-1] > 1.5


def test_blocks_are_sought_where_the_source_has_them(astronaut: Picture, astronaut_box: NDArray[np.float32]) -> None:
    shifted = np.roll(jpeg(astronaut, 10), (3, 3), (0, 1))
    assert blocking(jpeg(astronaut, 10), astronaut_box) > 1.4 * blocking(shifted, astronaut_box)


def test_of_a_face_much_larger_than_the_crop_no_blocks_can_be_told(
    astronaut: Picture, astronaut_box: NDArray[np.float32]
) -> None:
    large = cv2.resize(astronaut, None, fx=5, fy=5)
    assert read(large, astronaut_box * 5)["blocking"] == Unknown("scaled_down")


def test_a_slope_of_few_levels_is_banded_and_one_with_grain_is_not() -> None:
    rng = np.random.default_rng(0)
    slope_HW = np.linspace(60, 120, 300)[None, :] + np.linspace(0, 20, 300)[:, None]
    box = np.array([[90, 90, 210, 210]], np.float32)

    def banding(levels_HW: NDArray[np.float64]) -> float:
        value = read(np.repeat(np.clip(levels_HW, 0, 255).astype(np.uint8)[:, :, None], 3, 2), box)["banding"]
        assert isinstance(value, float)
        return value

    assert banding(slope_HW + rng.normal(0, 1.5, slope_HW.shape)) < 0.05
    assert banding(slope_HW // 4 * 4) > 0.5
