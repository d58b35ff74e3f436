import numpy as np
import pytest

from vividhead.score import loaded_score
from vividhead.testing.media import ArrayClipMedia

GREY = np.full((2, 400, 600, 3), 128, np.uint8)


def read(boxes: list[list[float]]) -> dict[str, float]:
    clip = ArrayClipMedia(GREY, box_xyxy_px_T4=np.array(boxes, np.float32), crop_xyxy_px=(100, 0, 500, 400))
    return dict(loaded_score("framing").measure(clip))


def test_sizes_are_read_in_source_pixels_and_in_parts_of_the_crop() -> None:
    got = read([[200, 100, 300, 200], [200, 100, 300, 220]])
    assert got["face_height_px_in_source"] == 110
    assert got["crop_side_px_in_source"] == 400
    assert got["face_fraction_of_crop"] == pytest.approx(0.275)


@pytest.mark.parametrize(
    ("box", "distance_px"),
    [
        ([120, 100, 220, 200], 20),
        ([200, 10, 300, 110], 10),
        ([390, 100, 490, 200], 10),
        ([200, 292, 300, 392], 8),
    ],
)
def test_the_nearest_side_of_the_crop_counts_whichever_it_is(box: list[float], distance_px: float) -> None:
    assert read([box])["border_distance_fraction"] == pytest.approx(distance_px / 400)


def test_one_frame_outside_the_crop_makes_the_distance_negative() -> None:
    got = read([[200, 100, 300, 200], [80, 100, 180, 200]])
    assert got["border_distance_fraction"] == pytest.approx(-0.05)
