import numpy as np
import pytest

from vividhead.score import loaded_score
from vividhead.testing.media import ArrayClipMedia

BOX = np.array([[60, 60, 160, 160]], np.float32)


def read(*lumas: tuple[int, int]) -> dict[str, float]:
    """Each sample: luma of the face's left and right half, on a background that must not count."""
    pictures = np.zeros((12 * len(lumas), 220, 220, 3), np.uint8)
    for sample, (left, right) in enumerate(lumas):
        pictures[12 * sample, 60:160, 60:110] = left
        pictures[12 * sample, 60:160, 110:160] = right
    return dict(loaded_score("exposure").measure(ArrayClipMedia(pictures, box_xyxy_px_T4=BOX)))


def test_only_the_face_is_read_not_the_black_around_it() -> None:
    got = read((128, 128))
    assert got["face_luma_median"] == 128
    assert got["under_fraction"] == got["over_fraction"] == 0


def test_each_half_of_a_face_split_into_night_and_glare_counts_as_half() -> None:
    got = read((5, 255))
    assert got["under_fraction"] == pytest.approx(0.5, abs=0.02)
    assert got["over_fraction"] == pytest.approx(0.5, abs=0.02)


def test_the_limits_of_8_bits_are_16_and_250() -> None:
    assert read((16, 16))["under_fraction"] > 0.99
    assert read((17, 17))["under_fraction"] < 0.01
    assert read((250, 250))["over_fraction"] > 0.99
    assert read((249, 249))["over_fraction"] < 0.01


def test_one_dark_sample_of_four_is_a_quarter_of_the_pixels() -> None:
    got = read((100, 100), (100, 100), (0, 0), (100, 100))
    assert got["under_fraction"] == pytest.approx(0.25, abs=0.01)
    assert got["face_luma_median"] == 100
