import numpy as np
import pytest

from vividhead.score import OtherFace, Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

GREY = np.full((10, 90, 90, 3), 128, np.uint8)
BOX = np.array([[20, 20, 60, 60]], np.float32)


def read(others: list[OtherFace], looked: list[int]) -> dict[str, float]:
    clip = ArrayClipMedia(GREY, box_xyxy_px_T4=BOX, others=others, detected_frames=looked)
    return dict(loaded_score("other_faces").measure(clip))


def test_a_frame_with_two_other_faces_counts_once_and_the_largest_gives_the_ratio() -> None:
    got = read([OtherFace(0, 10), OtherFace(0, 30), OtherFace(5, 20)], [0, 3, 5, 8])
    assert got == {"seconds_fraction": 0.5, "largest_height_ratio": 0.75}


def test_nobody_else_is_zero() -> None:
    assert read([], [0, 5]) == {"seconds_fraction": 0.0, "largest_height_ratio": 0.0}


def test_where_the_detector_never_looked_nothing_is_known() -> None:
    with pytest.raises(Unmeasurable) as why:
        read([], [])
    assert why.value.code == "not_looked"
